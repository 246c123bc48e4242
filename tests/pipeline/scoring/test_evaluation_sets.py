from pathlib import Path

import pytest

from pipeline.configuration import Evaluate
from pipeline.errors import ConfigurationError
from pipeline.scoring.evaluation_sets import find_evaluation_files, shipped_sets
from pipeline.scoring.questions import read_questions
from pipeline.scoring.rated_pairs import read_pairs
from pipeline.storage.keys import digest_of_file


def test_shipped_sets__are_found_by_name() -> None:
    assert set(shipped_sets()) == {"questions-words", "questions-phrases", "wordsim353", "simlex999"}


def test_shipped_sets__are_right() -> None:
    """Which is why nothing reads them before a run."""
    for path in shipped_sets().values():
        assert read_questions(path).n_questions if "questions" in path.stem else len(read_pairs(path))


def test_find_evaluation_files__knows_sets_by_content_and_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text(": family\nboy girl king queen\n")
    mine, shipped = find_evaluation_files(Evaluate(analogies=(str(path),), similarity=("wordsim353",)))
    assert (mine.name, mine.sha256) == ("mine", digest_of_file(path))
    assert mine.link.stage != shipped.link.stage
    path.rename(tmp_path / "other.txt")
    (renamed,) = find_evaluation_files(Evaluate(analogies=(str(tmp_path / "other.txt"),), similarity=()))
    assert renamed.link.digest == mine.link.digest
    assert renamed.link.stage != mine.link.stage


def test_find_evaluation_files__refuses_two_sets_of_one_name() -> None:
    with pytest.raises(ConfigurationError, match="same name") as caught:
        find_evaluation_files(Evaluate(similarity=("wordsim353", "wordsim353")))
    assert "wordsim353" in str(caught.value)
