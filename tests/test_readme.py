"""What README.md says of results and defaults is what the files say."""

from benchmarks.write_readme import written
from tests.conftest import ROOT


def test_readme__is_what_its_writer_writes() -> None:
    """After a change of the configuration or of benchmarks/results: python -m benchmarks.write_readme."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert written(readme) == readme
