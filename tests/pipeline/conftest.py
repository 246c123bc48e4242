"""Real text for the tests of phrases, tokenized once for all of them."""

from pathlib import Path

import pytest

from tests.conftest import sample_lines


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 600 kB of real text."""
    path = tmp_path_factory.mktemp("phrases") / "text.txt"
    path.write_text("".join(sample_lines(1200)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For the runs over this text, which are tokenized once."""
    return tmp_path_factory.mktemp("store")
