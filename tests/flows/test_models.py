"""`diff`, `models`, `promote` and `rollback` as a person meets them, on a store without Prefect."""

import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.lineage.models import find_model
from pipeline.storage.registry import Registry
from pipeline.storage.store import Store
from tests.conftest import COMMAND, Finished, environment_of, run_command
from tests.pipeline.lineage.stores import WORDS, finished_run, text
from tests.pipeline.small_runs import configured, walk

ANYTHING = ("--max-drop", 100, "--min-coverage", 0, "--max-drift", 1)
HOSTILE = "te\x1b[31mxt [bold]<script>.txt"


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A directory with a store: three versions, the last one from another file with an unpleasant name."""
    directory = tmp_path_factory.mktemp("models")
    questions = [" ".join(four) for four in itertools.islice(itertools.permutations(WORDS, 4), 0, 40_000, 97)]
    (directory / "asked.txt").write_text(": all\n" + "\n".join(questions))
    evaluate = {"evaluate__analogies": (str(directory / "asked.txt"),), "evaluate__similarity": ()}
    finished_run(directory, **evaluate)
    (directory / HOSTILE).write_text(text(3))
    paths = [directory / "text-1.txt", directory / "text-2.txt"]
    for more, seed in (([], 2), ([directory / HOSTILE], 1)):
        run = walk(configured(*paths, *more, **evaluate, train__seed=seed), directory / "store")
        run.finish("a test")
    return directory


def said(home: Path, *arguments: object) -> Finished:
    return run_command(*arguments, cwd=home)


def test_diff__says_the_main_thing_first_and_shows_no_control_characters(home: Path) -> None:
    done = said(home, "diff", "vectors@1", "vectors@3")
    assert (done.exit_code, done.err) == (0, "")
    first, *rest = done.out.splitlines()
    assert first.startswith("vectors@1 -> vectors@3: 1 file more, asked ")
    assert "points, vectors moved 0." in first
    assert "\x1b" not in done.out
    assert any("te␛[31mxt [bold]<script>.txt" in line and "1,440" in line for line in rest)
    seeds = json.loads(said(home, "diff", "vectors@1", "vectors@2", "--words", 5, "--json").out)
    assert seeds["headline"].startswith("vectors@1 -> vectors@2: train.seed 1 -> 2, asked ")
    assert seeds["movement"]["n_words"] == 5
    assert seeds["movement"]["drift"] == pytest.approx(1 - seeds["movement"]["overlap"])
    assert said(home, "diff", "vectors@1", "vectors@1").out == "vectors@1 and vectors@1 have the same bytes.\n"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("diff", "vectors@1", "vektors"), "Did you mean vectors"),
        (("diff", "vectors@1"), "diff --help"),
        (("promote", "vektors"), "Did you mean vectors"),
        (("promote", "vectors", "17"), "no such version"),
        (("promote", "vectors", "1", "--as", "../up"), "alias cannot be called"),
        (("promote", "vectors", "1", "--max-drift", "nan"), "--max-drift"),
        (("promote", "vectors", "1", "--max-drop", "nan"), "--max-drop"),
        (("rollback", "vectors", "--as", "staging"), "promote vectors --as staging"),
        (("models", "vektors"), "Did you mean vectors"),
    ],
)
def test_commands__of_mistakes_say_what_to_do(arguments: tuple, part: str, home: Path) -> None:
    done = said(home, *arguments)
    assert (done.exit_code, done.out) == (2, "")
    assert part in done.err


def test_promote__and_rollback_move_what_the_other_commands_use(home: Path) -> None:
    assert "vectors@production is vectors@1 from now on" in said(home, "promote", "vectors", 1, *ANYTHING).out
    refused = said(home, "promote", "vectors", 2, "--max-drop", 100, "--min-coverage", 0, "--max-drift", 0)
    assert refused.exit_code == 1
    assert "vectors@2 was not promoted: drift." in refused.err
    assert [line.split()[0] for line in refused.out.splitlines() if "FAILED" in line] == ["drift"]
    assert "vectors@production is vectors@2, and was vectors@1." in said(home, "promote", "vectors", 2, *ANYTHING).out
    assert "is vectors@2 already" in said(home, "promote", "vectors", 2).out

    def answers(model: str) -> list:
        done = [said(home, "similar", "king", "--json", "-m", model), said(home, "analogy", "king", "queen", "old", "--json", "-m", model)]
        return [json.loads(one.out) for one in done]

    assert answers("vectors@production") == answers("vectors@2") != answers("vectors@1")
    exported = home / "exported.txt"
    assert said(home, "export", exported, "-m", "vectors@production").exit_code == 0
    matrix = find_model(Store(home / "store"), "vectors@2").read().matrix
    assert np.allclose(np.loadtxt(exported, skiprows=1, usecols=range(1, 9)), matrix[:, :8], atol=1e-5)
    assert said(home, "evaluate", "-m", "vectors@production", "--json").exit_code == 0
    shown = said(home, "show", "vectors@production").out
    assert shown.startswith("vectors@2 production  run ")
    assert "vectors@production is vectors@1 again, and was vectors@2." in said(home, "rollback", "vectors").out
    assert answers("vectors@production") == answers("vectors@1")
    assert "vectors@1 production" in said(home, "show").out

    overview, one = said(home, "models"), said(home, "models", "vectors")
    assert "production vectors@1" in overview.out
    history = [line for line in one.out.splitlines() if line[:1].isdigit()]
    assert ["rolled back from vectors@2" in line or "promoted" in line for line in history] == [True] * 3
    assert json.loads(said(home, "models", "vectors", "--json").out)["history"]["production"][2]["back_to"] == 1
    assert [model["name"] for model in json.loads(said(home, "models", "--json").out)] == ["vectors"]


def test_promote__by_processes_at_once_leaves_an_unbroken_history(home: Path) -> None:
    commands = [[str(COMMAND), "promote", "vectors", str(number), "--as", "raced", *map(str, ANYTHING)] for number in (1, 2, 3) * 2]
    environ = environment_of(home)
    racing = [subprocess.Popen(one, cwd=home, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for one in commands]
    assert [(*one.communicate(), one.returncode)[1:] for one in racing] == [("", 0)] * 6
    history = Registry(Store(home / "store")).history("vectors", "raced")
    assert [move.number for move in history] == list(range(1, len(history) + 1))
    assert len(history) >= 3
    for before, after in itertools.pairwise(history):
        assert f"promoted over vectors@{before.version}," in after.reason


def test_models__of_a_version_that_is_gone_says_so(home: Path, tmp_path: Path) -> None:
    assert "No models yet" in said(home, "models", "--store", tmp_path / "empty").out
    (tmp_path / "models" / "[bold]nobody").mkdir(parents=True)
    registry = Registry(Store(tmp_path))
    version = Registry(Store(home / "store")).versions("vectors")[0]
    registry.register("lost", "a-run", version.vectors, version.evaluation)
    assert "train gone, evaluate gone" in said(home, "models", "--store", tmp_path).out
    refused = said(home, "promote", "lost", "--store", tmp_path)
    assert refused.exit_code == 1
    assert "lost@1 is no longer what was registered" in refused.err


ALL_BUT_TRAIN = """lineage vectors
verify --all
why train
diff vectors@1 vectors@2
reproduce vectors
gc
keep vectors
keep
push vectors file:{home}/shared
pull vectors file:{home}/shared
models vectors
promote vectors vectors@1
promote vectors vectors@2 --max-drop 100 --min-coverage 0 --max-drift 1
rollback vectors
show
plan --set corpus.paths={home}/text-1.txt
card vectors
phrases
similar {0}
analogy {0} {1} {2}
export words.txt
evaluate"""


def test_commands__but_train_do_not_import_prefect(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    lines = ALL_BUT_TRAIN.format(*WORDS, home=tmp_path).splitlines()
    named = set(re.findall(r"^│ (\w+) ", said(tmp_path, "--help").out, re.MULTILINE))
    assert named == {line.split()[0] for line in lines} | {"train"}
    code = "import sys; from flows.command import run_command\n"
    code += f"for line in {lines}: code = run_command(line.split()); print(line, code, 'prefect' in sys.modules, file=sys.stderr)"
    there = {"cwd": tmp_path, "env": environment_of(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], **there, capture_output=True, text=True, check=True)
    for line in lines:
        code = 2 if line == "phrases" else 0  # there are none
        assert f"{line} {code} False\n" in done.stderr


def test_commands__import_neither_prefect_nor_numba_nor_dask(home: Path) -> None:
    code = "import sys; from flows.command import run_command; "
    code += "codes = [run_command(line.split()) for line in ('diff vectors@1 vectors@2', 'models', 'models vectors')]; "
    code += "print([name for name in ('prefect', 'numba', 'dask', 'distributed', 'scipy') if name in sys.modules], codes)"
    done = subprocess.run([sys.executable, "-c", code], cwd=home, env=environment_of(home), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] [0, 0, 0]"
