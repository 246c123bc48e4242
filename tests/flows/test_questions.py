"""The commands lineage, why and card as a person meets them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flows.command import run_command
from pipeline.run import Run
from pipeline.storage.store import Store
from tests.conftest import ROOT, environment_of
from tests.pipeline.lineage.stores import finished_run

HEAVY = ("numpy", "pyarrow", "numba", "dask", "distributed", "scipy", "prefect", "fsspec")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Store, Run]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.sources.files._SETTLED_NS", 0)  # as if the text had been there for long: its digests are remembered
        return finished_run(tmp_path_factory.mktemp("questions"), corpus__shard_mb=0.001)


def asked(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, output and errors of a command."""
    code = run_command([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_lineage__is_shown_as_a_tree_as_json_and_as_a_page(finished, capsys, tmp_path: Path) -> None:
    store, run = finished
    here, vectors = ("--store", store.root), run.made["train"][0].manifest
    code, shown, _ = asked(capsys, "lineage", "vectors", *here)
    assert code == 0
    assert f"train {vectors.key[:12]}" in shown
    assert f"tokenize  {len(run.made['tokenize'])} artifacts" in shown
    code, shown, _ = asked(capsys, "lineage", "vectors", "--json", *here)
    assert vectors.digest in {one["digest"] for one in json.loads(shown)["artifacts"]}
    code, shown, _ = asked(capsys, "lineage", f"train/{vectors.key[:8]}", "--html", tmp_path / "page.html", *here)
    assert shown == f"{tmp_path / 'page.html'}: {3 + len(run.made['tokenize'])} artifacts\n"
    assert vectors.digest in (tmp_path / "page.html").read_text(encoding="utf-8")
    code, _, errors = asked(capsys, "lineage", "vectors", "--html", tmp_path / "none" / "page.html", *here)
    assert code == 2
    assert "cannot be written" in errors


def test_why__without_a_configuration_means_that_of_the_newest_run(finished, capsys, tmp_path: Path) -> None:
    store, run = finished
    here = ("--store", store.root)
    code, shown, _ = asked(capsys, "why", "train", *here)
    assert (code, shown.startswith("train would be reused: train/")) == (0, True)
    code, shown, _ = asked(capsys, "why", "train", "--set", "pairs.window=9", "--json", *here)
    found = json.loads(shown)
    assert (found["verdict"], found["because_of"], found["cause"]["of"]) == ("may run", ["pairs"], "pairs.window")
    assert (found["cause"]["before"], found["cause"]["now"]) == (4, 9)
    assert found["cause"]["compared_with"]["key"] == run.made["pairs"][0].manifest.key
    code, _, errors = asked(capsys, "why", "trian", *here)
    assert code == 2
    assert "Did you mean train?" in errors
    code, _, errors = asked(capsys, "why", "train", "--store", tmp_path / "empty")
    assert code == 2
    assert "No corpus is configured" in errors


def test_why__shows_no_command_of_a_file_name(finished, capsys, tmp_path: Path) -> None:
    store, _ = finished
    path = tmp_path / "a\x1b]0;b\x07\u202e[red].txt"
    path.write_text("some words of a text\n", encoding="utf-8")
    code, shown, _ = asked(capsys, "why", "tokenize", "--set", f"corpus.paths={json.dumps([str(path)])}", "--store", store.root)
    assert code == 0
    assert not set(shown) & set("\x1b\x07\u202e")
    assert "[red].txt is new" in shown


def test_card__is_printed_or_written(finished, capsys, tmp_path: Path) -> None:
    store, _ = finished
    code, shown, _ = asked(capsys, "card", "vectors", "--store", store.root)
    assert (code, shown.startswith("# vectors@1\n")) == (0, True)
    code, said, _ = asked(capsys, "card", "vectors", "--output", tmp_path / "card.md", "--store", store.root)
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == shown
    assert str(tmp_path / "card.md") in said


@pytest.mark.parametrize(
    "question", [("lineage", "vectors"), ("lineage", "vectors", "--json"), ("why", "train"), ("why", "pairs", "-s", "pairs.window=9")]
)
def test_questions__are_answered_without_what_takes_long_to_import(question: tuple[str, ...], finished) -> None:
    code = "import sys; from flows.command import run_command; code = run_command(sys.argv[1:]); "
    code += f"print([name for name in {HEAVY} if name in sys.modules], code, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code, *question, "--store", str(finished[0].root)],
        cwd=ROOT,
        env=environment_of(ROOT),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "[] 0\n"
