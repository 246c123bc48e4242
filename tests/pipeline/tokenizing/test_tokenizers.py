"""Text into codes and sentences with every option of the section, against the reference; and what is refused."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.configuration import Tokenize
from pipeline.configuration_file import parse_configuration
from pipeline.errors import ConfigurationError, InputError
from pipeline.reasons import LeftOut
from pipeline.run import Run
from pipeline.storage.schemas import LEXICON
from pipeline.storage.tables import read_table
from pipeline.tokenizing.tokenizers import new_tokenizer
from pipeline.words.text import SENTENCES_FILE, shards_of
from pipeline.workers import InPlace
from tests.conftest import sample_lines
from tests.kernels.test_tokens import TEXTS, cut, words_of
from tests.pipeline.small_runs import configured, digests, walk
from tests.reference.tokens import leave_out, read_text, written

OURS = "tests.pipeline.line_tokenizers"
FUNCTION = {"tokenizer": f"{OURS}:by_reference", "tokenizer_argument": "our own", "tokenizer_version": "1"}
STOP_WORDS = ["a", "The", "e\u0301", "中", "0", "x’y", "b'b", "ﬁ", "Σ", "h"]


def section(**values: object) -> Tokenize:
    return parse_configuration({"tokenize": values}).tokenize


def read(pieces: list[bytes], chosen: Tokenize) -> tuple[list[list[str]], dict[str, int]]:
    """The sentences as lists of strings, and everything that was left out."""
    tokenizer = new_tokenizer(chosen)
    codes, lengths, n_empty = [], [], 0
    for piece in pieces:
        some, offsets, empty, invalid = tokenizer.add(np.frombuffer(piece, np.uint8))
        assert invalid == -1
        assert (some.dtype, offsets.dtype) == (np.int32, np.int64)
        assert (offsets[0], offsets[-1]) == (0, len(some))
        codes += some.tolist()
        lengths += np.diff(offsets).tolist()
        n_empty += empty
    words = words_of(tokenizer)
    assert len(set(words)) == len(words)
    assert not codes or 0 <= min(codes) <= max(codes) < len(words)
    ends = np.cumsum([0, *lengths])
    sentences = [[words[code] for code in codes[ends[i] : ends[i + 1]]] for i in range(len(lengths))]
    return sentences, tokenizer.dropped_tokens | tokenizer.dropped_sentences | {"empty": n_empty}


def expected(text: str, chosen: Tokenize) -> tuple[list[list[str]], dict[str, int]]:
    """The same from the reference."""

    def normal(one: str) -> str:
        return one if chosen.normalize == "none" else unicodedata.normalize(chosen.normalize.upper(), one)

    def sentences_of(one: str, split: bool) -> tuple[list[list[str]], int]:
        return read_text(normal(one), chosen.lowercase, split, chosen.digits, chosen.tokenizer == "characters")

    stop_words = {word for one in chosen.stop_words for (word,) in sentences_of(one, False)[0]}
    if chosen.function:  # as they are, but prepared like the text
        prepared = [[written(character, chosen.lowercase, chosen.digits) for character in normal(one)] for one in chosen.stop_words]
        stop_words = set(map("".join, prepared))
    sentences, n_empty = sentences_of(text, chosen.split_sentences)
    kept, n = leave_out(sentences, stop_words, chosen.min_sentence_tokens)
    dropped = {"empty": n_empty + n["emptied"]}
    if stop_words:
        dropped[LeftOut.STOP_WORD] = n["stopped"]
    if chosen.min_sentence_tokens > 1:
        dropped |= {LeftOut.TOO_SHORT: n["short"], LeftOut.IN_TOO_SHORT: n["in_short"]}
    return kept, dropped


SECTIONS = st.builds(
    lambda tokenizer, stop_words, **values: section(**tokenizer, stop_words=stop_words, **values),
    st.sampled_from([{"tokenizer": "unicode"}, {"tokenizer": "characters"}, FUNCTION]),
    st.lists(st.sampled_from(STOP_WORDS), max_size=6),
    normalize=st.sampled_from(["none", "nfc", "nfkc"]),
    lowercase=st.booleans(),
    digits=st.sampled_from(["keep", "map"]),
    split_sentences=st.booleans(),
    min_sentence_tokens=st.integers(1, 4),
)
# Also what normalising changes, and stop words.
PARTS = st.one_of(TEXTS, st.sampled_from([*STOP_WORDS, "E\u0301", "Å", "Ａ", "½", "①", "カ\u3099", "．", " ", "the", "\n", ". "]))


@settings(max_examples=500)
@given(st.lists(PARTS, max_size=12).map("".join), SECTIONS, st.integers(1, 60))
@example("The a e\u0301. a The\n中\n\n a b c", section(stop_words=STOP_WORDS, min_sentence_tokens=2, split_sentences=True), 3)
@example("E\u0301 ﬁ fi Ｔhe X'Y", section(stop_words=STOP_WORDS, normalize="nfkc"), 9)
def test_new_tokenizer__equals_the_reference(text: str, chosen: Tokenize, n_bytes: int) -> None:
    assert read(list(cut(text.encode(), n_bytes)), chosen) == expected(text, chosen)


@settings(max_examples=100)
@given(TEXTS, st.sampled_from([{"tokenizer": "unicode"}, {"tokenizer": "characters"}, FUNCTION]))
@example("b2b 3'a 1990's ٣٤ 年10月", FUNCTION)
def test_new_tokenizer__takes_dropped_digits_for_separators(text: str, tokenizer: dict[str, str]) -> None:
    chosen = section(**tokenizer, digits="drop", min_sentence_tokens=2)
    assert read([text.encode()], chosen) == expected(text, chosen)


@pytest.mark.parametrize("tokenizer", [{"tokenizer": "unicode"}, {"tokenizer": "characters"}, FUNCTION])
@pytest.mark.parametrize("normalize", ["none", "nfc", "nfkc"])
@pytest.mark.parametrize("stop_words", [(), ("one",)])
def test_new_tokenizer__finds_the_first_invalid_byte_and_goes_on(
    tokenizer: dict[str, str], normalize: str, stop_words: tuple[str, ...]
) -> None:
    made = new_tokenizer(section(**tokenizer, normalize=normalize, stop_words=stop_words))
    content = "e\u0301 one two\nＡ three ".encode() + b"\xff four\n"
    codes, offsets, _, invalid = made.add(np.frombuffer(content, np.uint8))
    assert invalid == content.index(b"\xff")
    words = words_of(made)
    assert [words[code] for code in codes[: offsets[1]]][-1] == "two"
    assert len(offsets) == 2
    codes = made.add(np.frombuffer(b"two one", np.uint8))[0]
    words = words_of(made)
    assert [words[code] for code in codes] == [word for word in ("two", "one") if word not in stop_words]


def test_new_tokenizer__hands_out_no_stop_words_and_codes_by_first_occurrence() -> None:
    for stop_words in (["the", "a"], ["a", "the", "A"]):
        tokenizer = new_tokenizer(section(stop_words=stop_words))
        codes, offsets, _, _ = tokenizer.add(np.frombuffer(b"The b a c\na the\nb", np.uint8))
        assert (codes.tolist(), offsets.tolist(), words_of(tokenizer)) == ([0, 1, 0], [0, 2, 3], ["b", "c"])
        assert tokenizer.dropped_tokens == {LeftOut.STOP_WORD: 4}


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("e.g.", {}),
        ("...", {}),
        ("我们", {"tokenizer": "characters"}),
        ("a1b", {"digits": "drop"}),
        ("½", {"normalize": "nfkc", "digits": "drop"}),
    ],
)
def test_new_tokenizer__refuses_a_stop_word_that_is_not_one_token(word: str, values: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="not one token") as caught:
        new_tokenizer(section(stop_words=["fine", word], **values))
    assert repr(word) in str(caught.value)


# --- functions of the user's own


def test_new_tokenizer__calls_a_function_with_the_path_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "letters.txt"
    path.write_text("中人")
    chosen = section(tokenizer=f"{OURS}:pairs_of_letters", tokenizer_file=str(path), tokenizer_version="1")
    assert read(["中国人民 x\n中\n".encode()], chosen) == ([["中国", "人民"]], {"empty": 1})
    path.write_text("国")
    with pytest.raises(InputError, match="another one") as caught:
        new_tokenizer(chosen)
    assert str(path) in str(caught.value)
    path.unlink()
    with pytest.raises(InputError, match="another one"):
        new_tokenizer(chosen)


@pytest.mark.parametrize(
    ("tokenizer", "got"),
    [
        ("no_such_module:f", "No module named 'no_such_module'"),
        (f"{OURS}:no_such_function", "no_such_function"),
        (f"{OURS}:broken", "no dictionary"),
        ("json:dumps", "TypeError"),
    ],
)
def test_new_tokenizer__explains_why_a_function_cannot_be_had(tokenizer: str, got: str) -> None:
    chosen = section(tokenizer=tokenizer, tokenizer_argument="unmade", tokenizer_version="1")
    with pytest.raises(ConfigurationError) as caught:
        new_tokenizer(chosen).add(np.frombuffer(b"x", np.uint8))
    assert got in str(caught.value)
    assert "tokenize.tokenizer" in str(caught.value)


@pytest.mark.parametrize("wrong", ["white", "empty", "number", "list", "surrogate", "nothing"])
def test_new_tokenizer__refuses_what_is_no_token(wrong: str) -> None:
    tokenizer = new_tokenizer(section(tokenizer=f"{OURS}:broken", tokenizer_argument=wrong, tokenizer_version="1"))
    with pytest.raises(ConfigurationError, match="The tokenizer") as caught:
        tokenizer.add(np.frombuffer(b"some line\n", np.uint8))
    assert "some line" in str(caught.value)


# --- in the stage


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("".join(sample_lines(60)) + "The of\n...\n", encoding="utf-8")
    return path


def tokenized(text: Path, store: Path, **changes: object) -> Run:
    return walk(configured(text, corpus__shard_mb=0.01, **changes), store, InPlace(), "tokenize")


@pytest.mark.parametrize("tokenizer", [{}, {f"tokenize__{key}": value for key, value in FUNCTION.items()}], ids=["ours", "function"])
def test_tokenize__accounts_for_everything_that_it_left_out(tokenizer: dict[str, str], text: Path, tmp_path: Path) -> None:
    options = {"stop_words": ["the", "of", "and"], "min_sentence_tokens": 5, "normalize": "nfkc", "digits": "map", "split_sentences": True}
    run = tokenized(text, tmp_path, **tokenizer, **{f"tokenize__{key}": value for key, value in options.items()})
    sentences, dropped = expected(text.read_text(encoding="utf-8"), section(**options))
    found, n_in, n_kept, reasons = [], {}, {}, {}
    assert len(run.made["tokenize"]) > 2
    for artifact in run.made["tokenize"]:
        (shard,) = shards_of([artifact])
        lexicon = shard.lexicon()["token"].to_pylist()
        for sentence_codes in shard.sentences():
            found += [[lexicon[code] for code in sentence_codes.part(i, i + 1).codes] for i in range(sentence_codes.n_sentences)]
        for tally in artifact.manifest.tallies:
            n_in[tally.unit] = n_in.get(tally.unit, 0) + tally.n_in
            n_kept[tally.unit] = n_kept.get(tally.unit, 0) + tally.n_kept
            for reason, n in tally.dropped.items():
                reasons[reason] = reasons.get(reason, 0) + n
    assert found == sentences
    assert n_kept["tokens"] == sum(map(len, sentences))
    assert n_in["tokens"] - n_kept["tokens"] == dropped[LeftOut.STOP_WORD] + dropped[LeftOut.IN_TOO_SHORT]
    assert n_in["sentences"] - n_kept["sentences"] == dropped["empty"] + dropped[LeftOut.TOO_SHORT]
    assert reasons == {
        LeftOut.WORDLESS: dropped["empty"],
        **{reason: dropped[reason] for reason in (LeftOut.STOP_WORD, LeftOut.IN_TOO_SHORT, LeftOut.TOO_SHORT)},
    }
    assert min(dropped.values()) > 0


def test_tokenize__is_known_by_its_words_and_files_not_by_their_paths(text: Path, tmp_path: Path) -> None:
    def keys(**changes: object) -> list[str]:
        run = tokenized(text, tmp_path / "store", **{f"tokenize__{key}": value for key, value in changes.items()})
        return [artifact.manifest.key for artifact in run.made["tokenize"]]

    for name, words in (("one.txt", "the\r\nof\n\n"), ("two.txt", "\ufeff of\nthe"), ("other.txt", "the\n")):
        (tmp_path / name).write_text(words, encoding="utf-8")
    plain, listed = keys(), keys(stop_words=["the", "of"])
    one, two, other = (keys(stop_words=str(tmp_path / f"{name}.txt")) for name in ("one", "two", "other"))
    assert listed == one == two
    assert len({str(some) for some in (plain, one, other)}) == 3

    (tmp_path / "letters").write_text("abc")
    (tmp_path / "same-letters").write_text("abc")
    (tmp_path / "others").write_text("abd")
    function = {"tokenizer": f"{OURS}:pairs_of_letters", "tokenizer_version": "1"}
    first, moved, content, version = (
        keys(**function | {"tokenizer_file": str(tmp_path / name)} | more)
        for name, more in (("letters", {}), ("same-letters", {}), ("others", {}), ("letters", {"tokenizer_version": "2"}))
    )
    assert first == moved
    assert len({str(some) for some in (plain, first, content, version)}) == 4


def test_tokenize__gives_the_same_bytes_for_any_order_of_stop_words(text: Path, tmp_path: Path) -> None:
    one = tokenized(text, tmp_path / "one", tokenize__stop_words=["the", "of", "and", "The"])
    two = tokenized(text, tmp_path / "two", tokenize__stop_words=["and", "of", "the"])
    assert digests(one, "tokenize") == digests(two, "tokenize")
    (shard, *_) = shards_of(one.made["tokenize"])
    assert "the" not in read_table(shard.directory / "lexicon.parquet", LEXICON)["token"].to_pylist()
    assert (shard.directory / SENTENCES_FILE).is_file()
