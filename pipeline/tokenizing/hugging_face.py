"""Tokenizers of the library `tokenizers` (Hugging Face), from their tokenizer.json; also the example of a tokenizer of one's own.

A configuration that uses it:

    [tokenize]
    tokenizer = "pipeline.tokenizing.hugging_face:pieces"
    tokenizer_file = "tokenizer.json"

Any module:function will do that Python can import: installed, or in a directory on PYTHONPATH, also for the workers. For each shard of text
it is called with one string (`tokenizer_argument`, or the path of `tokenizer_file`) and returns something that is called with each line, or
each sentence where they are split, and gives the tokens: strings, none empty or with white space in it. It must give the same tokens for
the same line, always. Shards are read by several threads at once, each with what its own call returned.

What such a function does cannot be seen from outside. `tokenizer_version` stands for it, and is in the key of the tokenized text together
with the argument and the digest of the file: change it whenever the function, or a library that it uses, would give other tokens.
Here that is the version of the library, filled in when the configuration is read.

`lowercase`, `normalize` and `digits` act on the text before a tokenizer sees it. One that was trained on text with capitals, and any that
lower-cases by itself, wants lowercase = false.
"""

from collections.abc import Callable

from tokenizers import Tokenizer

from pipeline.errors import ConfigurationError


def pieces(path: str) -> Callable[[str], list[str]]:
    """Word pieces: what the model of a tokenizer.json makes of a line, unknown ones as its unknown token, without special tokens around it.

    White space that a piece begins or ends with, or has in it, is no part of any token.

    Raises
    ------
    ConfigurationError
        When the file is no tokenizer.
    """
    tokenizer = _loaded(path)

    def tokens(line: str) -> list[str]:
        return [token for piece in tokenizer.encode(line, add_special_tokens=False).tokens for token in piece.split()]

    return tokens


def words(path: str) -> Callable[[str], list[str]]:
    """Words: a line after the normalizer of a tokenizer.json, cut by its pre-tokenizer (at white space when it has none).

    White space that a pre-tokenizer leaves in a word is no part of any token.

    Raises
    ------
    ConfigurationError
        When the file is no tokenizer.
    """
    tokenizer = _loaded(path)
    normalizer, cutter = tokenizer.normalizer, tokenizer.pre_tokenizer

    def tokens(line: str) -> list[str]:
        text = normalizer.normalize_str(line) if normalizer else line
        if cutter is None:
            return text.split()
        # By their places: some cutters write a space as another character.
        return [word for _, (begin, end) in cutter.pre_tokenize_str(text) for word in text[begin:end].split()]

    return tokens


def _loaded(path: str) -> Tokenizer:
    """A tokenizer that reads whole lines, whatever its file says of padding and truncation."""
    try:
        tokenizer = Tokenizer.from_file(path)
    except Exception as error:  # the library raises nothing narrower
        raise ConfigurationError(
            "The file is no tokenizer.",
            where=f"{path}, key tokenize.tokenizer_file",
            got=str(error),
            expected="a tokenizer.json, as Tokenizer.save of the library tokenizers writes it",
            remedy="The library transformers converts vocab.txt and others: AutoTokenizer.from_pretrained, then save_pretrained.",
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
