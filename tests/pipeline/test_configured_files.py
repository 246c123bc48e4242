"""Keys that name files: what the configuration makes of them, and what it says of wrong ones."""

import hashlib
import importlib.metadata
from pathlib import Path

import pytest

from pipeline.chain import chain
from pipeline.configuration import Configuration
from pipeline.configuration_file import load_configuration, parse_configuration
from pipeline.configured_files import SHIPPED_TOKENIZERS
from pipeline.errors import ConfigurationError

FUNCTION = ["tokenize.tokenizer=my.module:function", "tokenize.tokenizer_version=1"]


def parameters(configuration: Configuration) -> dict[str, object]:
    return dict(next(step for step in chain(configuration) if step.name == "tokenize").parameters)


def test_stop_words__are_read_with_the_configuration_and_stay_in_it(tmp_path: Path) -> None:
    (tmp_path / "stop.txt").write_bytes("\ufeffder\r\n\r\n die \ndas".encode())
    (tmp_path / "run.toml").write_text('[tokenize]\nstop_words = "stop.txt"\n')
    configuration = load_configuration(tmp_path / "run.toml")
    assert configuration.tokenize.stop_words == ("der", "die", "das")
    (tmp_path / "stop.txt").unlink()
    dumped = configuration.model_dump(mode="json")
    assert parse_configuration(dumped) == configuration
    assert load_configuration(None, ["evaluate.candidates=9"], of_run=dumped).tokenize == configuration.tokenize
    listed = load_configuration(None, ['tokenize.stop_words=["das", "die", "der", "die"]'])
    assert parameters(listed) == parameters(configuration) != parameters(load_configuration(None, ['tokenize.stop_words=["das"]']))


def test_tokenizer_file__is_known_by_its_digest_from_then_on(tmp_path: Path) -> None:
    (tmp_path / "my.json").write_bytes(b"{}")
    (tmp_path / "run.toml").write_text(
        '[tokenize]\ntokenizer = "my.module:function"\ntokenizer_file = "my.json"\ntokenizer_version = "of May"\n'
    )
    configuration = load_configuration(tmp_path / "run.toml")
    assert configuration.tokenize.tokenizer_file == str(tmp_path / "my.json")
    assert configuration.tokenize.tokenizer_sha256 == hashlib.sha256(b"{}").hexdigest()
    (tmp_path / "my.json").rename(tmp_path / "other.json")
    moved = load_configuration(tmp_path / "run.toml", [f"tokenize.tokenizer_file={tmp_path}/other.json"])
    assert parameters(moved) == parameters(configuration)
    assert parse_configuration(configuration.model_dump(mode="json")) == configuration
    (tmp_path / "other.json").write_bytes(b"[]")
    changed = load_configuration(tmp_path / "run.toml", [f"tokenize.tokenizer_file={tmp_path}/other.json"])
    assert parameters(changed) != parameters(configuration)


def test_tokenizer_version__of_a_shipped_tokenizer_is_that_of_its_library(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(b"{}")
    configuration = load_configuration(
        None, ["tokenize.tokenizer=pipeline.tokenizing.hugging_face:words", f"tokenize.tokenizer_file={tmp_path}/tokenizer.json"]
    )
    assert configuration.tokenize.tokenizer_version == f"tokenizers {importlib.metadata.version('tokenizers')}"


def test_tokenizer_version__of_a_shipped_tokenizer_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHIPPED_TOKENIZERS, "pipeline.tokenizing.hugging_face", "no-such-package")
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(None, ["tokenize.tokenizer=pipeline.tokenizing.hugging_face:words"])
    assert "pip install 'corpus2vec[no-such-package]'" in str(caught.value)


def test_parameters__of_tokenize_name_every_option_that_changes_tokens() -> None:
    ours = parameters(Configuration())
    assert set(ours) == {
        "tokenizer", "normalize", "lowercase", "digits", "split_sentences", "stop_words", "min_sentence_tokens", "definition", "unicode",
        "broken", "longest",
    }  # fmt: skip
    with_function = parameters(load_configuration(None, FUNCTION))
    assert set(with_function) - set(ours) == {"tokenizer_argument", "tokenizer_sha256", "tokenizer_version"}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["stop_words=missing.txt"], ["tokenize.stop_words", "missing.txt", "No such file"]),
        (["stop_words=text.txt"], ["tokenize.stop_words", "one a line", "number 2 is 'two words'"]),
        (['stop_words=["a", ""]'], ["tokenize.stop_words", "number 2 is ''"]),
        (["stop_words=latin.txt"], ["tokenize.stop_words", "UTF-8"]),
        (["tokenizer=words"], ["tokenize.tokenizer", "unicode, characters or module:function"]),
        (["tokenizer=my module:f"], ["tokenize.tokenizer", "module:function"]),
        (["tokenizer=m:f"], ["key tokenize", "a tokenizer_version"]),
        (["tokenizer=m:f", "tokenizer_file=missing.json"], ["tokenizer_file", "cannot be read", "missing.json"]),
        (["tokenizer=m:f", "tokenizer_version=1", "tokenizer_file=text.txt", "tokenizer_argument=x"], ["not with both"]),
        (["tokenizer=m:f", "tokenizer_version=1", "tokenizer_sha256=00"], ["there is none"]),
        (["tokenizer_argument=x"], ["unicode takes no argument"]),
        (["tokenizer=characters", "tokenizer_version=2"], ["characters takes no argument"]),
        (["normalize=nfd"], ["tokenize.normalize", "'none', 'nfc' or 'nfkc'"]),
        (["digits=none"], ["tokenize.digits", "'keep', 'drop' or 'map'"]),
        (["min_sentence_tokens=0"], ["tokenize.min_sentence_tokens", "greater than or equal to 1"]),
    ],
)
def test_tokenize__a_wrong_value_is_explained(
    overrides: list[str], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("one\ntwo words\n")
    Path("latin.txt").write_bytes(b"\xe9t\xe9\n")
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(None, [f"tokenize.{override}" for override in overrides])
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)
