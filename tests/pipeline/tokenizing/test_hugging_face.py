"""The library `tokenizers`: real tokenizers of three kinds, trained here on Chinese text, as the tokenizer of a run."""

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from pipeline.errors import ConfigurationError
from pipeline.storage.schemas import VECTORS_FILE
from pipeline.tokenizing.hugging_face import pieces, words
from pipeline.vectors import read_vectors
from pipeline.workers import InPlace
from tests.conftest import sample_lines
from tests.pipeline.small_runs import configured, digests, walk


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "zh.txt"
    path.write_text("".join(sample_lines(400, "zh-500kb.txt.xz")), encoding="utf-8")
    return path


def trained(kind: str, text: Path, directory: Path) -> Path:
    """The tokenizer.json of a small tokenizer of one kind."""
    if kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.BertNormalizer(lowercase=False)])
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=3000, special_tokens=["[UNK]", "[CLS]"], show_progress=False)
    elif kind == "bpe":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(vocab_size=3000, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    else:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=3000, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False)
    tokenizer.train([str(text)], trainer)
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=100)
    tokenizer.save(str(directory / f"{kind}.json"))
    return directory / f"{kind}.json"


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_pieces__of_a_real_tokenizer_go_through_the_whole_pipeline(kind: str, text: Path, tmp_path: Path) -> None:
    path = trained(kind, text, tmp_path)
    configuration = configured(
        text,
        corpus__shard_mb=0.05,
        tokenize__tokenizer="pipeline.tokenizing.hugging_face:pieces",
        tokenize__tokenizer_file=str(path),
        tokenize__lowercase=False,
        tokenize__split_sentences=True,
    )
    run = walk(configuration, tmp_path / "store", InPlace())
    n_tokens = sum(tally.n_in for artifact in run.made["tokenize"] for tally in artifact.manifest.tallies if tally.unit == "tokens")
    n_characters = len(text.read_text(encoding="utf-8"))
    assert 0.4 * n_characters < n_tokens < n_characters  # no line was cut off or filled up, pieces are longer than characters
    vectors = read_vectors(run.made["train"][0].path(VECTORS_FILE))
    assert len(vectors) > 1000
    assert np.isfinite(vectors.matrix).all()
    assert digests(walk(configuration, tmp_path / "again", InPlace(), "tokenize"), "tokenize") == digests(run, "tokenize")


def test_pieces__leave_out_special_tokens_and_white_space(text: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.BPE())  # without a pre-tokenizer: white space is a character like any other
    tokenizer.train_from_iterator(["a b\u3000c ab ab ab"] * 9, trainers.BpeTrainer(vocab_size=9, show_progress=False))
    tokenizer.save(str(tmp_path / "bpe.json"))
    found = pieces(str(tmp_path / "bpe.json"))("a ab\u3000c\tb")
    assert "".join(found) == "aabcb"
    assert all(token.split() == [token] for token in found)
    wordpiece = pieces(str(trained("wordpiece", text, tmp_path)))
    assert wordpiece("中国\U0001f600") == ["中", "国", "[UNK]"]
    assert wordpiece("") == []


@pytest.mark.parametrize(
    ("cutter", "expected"),
    [
        (None, ["It's", "3.5", "kg,", "中国"]),
        (pre_tokenizers.BertPreTokenizer(), ["It", "'", "s", "3", ".", "5", "kg", ",", "中国"]),
        (pre_tokenizers.WhitespaceSplit(), ["It's", "3.5", "kg,", "中国"]),
        (pre_tokenizers.Metaspace(), ["It's", "3.5", "kg,", "中国"]),
        (pre_tokenizers.ByteLevel(), ["It", "'s", "3", ".", "5", "kg", ",", "中国"]),
    ],
)
def test_words__are_what_the_normalizer_and_the_pre_tokenizer_make(
    cutter: pre_tokenizers.PreTokenizer | None, expected: list[str], tmp_path: Path
) -> None:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFKC()
    if cutter:
        tokenizer.pre_tokenizer = cutter
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert words(str(tmp_path / "tokenizer.json"))("It's  3.5\u00a0㎏,\u3000中国 ") == expected


@pytest.mark.parametrize("make", [pieces, words])
def test_hugging_face__says_what_a_tokenizer_file_is(make, tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[UNK]\na\n")
    with pytest.raises(ConfigurationError, match="no tokenizer") as caught:
        make(str(tmp_path / "vocab.txt"))
    assert "tokenizer.json" in str(caught.value)
