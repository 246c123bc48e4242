"""Bad input, a full disk, kills and interruptions, as a person meets them: a few clear lines, the right exit code, and a whole store."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.journal import JOURNAL
from pipeline.storage.artifact import MANIFEST, Manifest
from pipeline.storage.keys import digest_of_file
from pipeline.storage.locks import OF_STORE
from pipeline.storage.records import RECORD
from pipeline.storage.store import CHECKPOINTS, NO_STAGES, RUNS, Store
from tests.conftest import COMMAND, Finished, Project, environment_of, new_project

FAILURE, WRONG_USE, INTERRUPTED = 1, 2, 130
STEPS = ("snapshot", "tokenize", "phrases-1", "vocabulary", "pairs", "train", "evaluate")
LONG = ("pairs.epochs=200", "train.dimensions=200")  # minutes of training: a signal comes long before the end


def assert_store_is_whole(root: Path, *, after_a_kill: bool = False) -> None:
    """Every artifact has the files that its manifest names and no others, with their bytes; only a kill leaves hidden, unfinished work."""
    for stage in sorted(root.glob("*")) if root.is_dir() else []:
        if stage.name in {".prefect", OF_STORE} | NO_STAGES:
            continue
        assert stage.is_dir(), stage
        for directory in stage.iterdir():
            if after_a_kill and directory.name.startswith("."):
                continue
            assert not directory.name.startswith("."), f"unfinished: {directory}"
            manifest = Manifest.read(directory / MANIFEST)
            assert (manifest.stage, manifest.key[: len(directory.name)]) == (stage.name, directory.name)
            files = {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}
            assert files == {MANIFEST} | {file.name for file in manifest.files}
            for file in manifest.files:
                assert digest_of_file(directory / file.name) == file.sha256, file.name
    for run in Store(root).records(RUNS):
        assert run["steps"]
    for directory in (root / RUNS).glob("*"):
        assert (directory / JOURNAL).is_file()
        assert {path.name for path in directory.glob("[!.]*")} <= {JOURNAL, RECORD}
    assert after_a_kill or not list((root / RUNS).rglob(".*"))


def assert_explained(finished: Finished, exit_code: int, *words: str) -> None:
    """The exit code, and a few lines with what, where, expected and remedy, and no traceback."""
    assert finished.exit_code == exit_code, finished.err
    assert "Traceback" not in finished.err + finished.out
    assert finished.err.startswith("error: "), finished.err
    assert 2 <= len(finished.err.splitlines()) <= 8, finished.err
    for word in words:
        assert word in finished.err, finished.err


ALL_PARTS = ("  where: ", "  expected: ", "  remedy: ")


@pytest.fixture(scope="module")
def untouched(small_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose commands must fail before Prefect starts: at its address nothing listens."""
    project = new_project(tmp_path_factory.mktemp("untouched"), small_text, "http://127.0.0.1:9/api")
    (project.directory / "empty.txt").touch()
    (project.directory / "no-text").mkdir()
    (project.directory / "no-text" / "table.html").write_text("a,b\n")
    (project.directory / "questions.txt").write_text(": capitals\nathens greece oslo norway\nathens greece oslo\n")
    (project.directory / "ratings.tsv").write_text("cup\tcoffee\tvery\n")
    (project.directory / "file").touch()
    return project


@pytest.mark.parametrize(
    ("override", "exit_code", "words"),
    [
        ("corpus.paths=smal.txt", FAILURE, ("does not exist", "smal.txt", *ALL_PARTS)),
        ("corpus.paths=*.text", FAILURE, ("matches no file", "*.text", *ALL_PARTS)),
        ("corpus.paths=empty.txt", FAILURE, ("corpus is empty", "empty.txt", "1 file of 0 bytes", *ALL_PARTS)),
        ("corpus.paths=s3://AKIA:hidden@bucket/a.txt", WRONG_USE, ("holds credentials", "AWS_PROFILE", *ALL_PARTS)),
        ("corpus.paths=unheard-of://bucket/a.txt", FAILURE, ("cannot be reached", "unheard-of://bucket/a.txt", *ALL_PARTS)),
        ("corpus.paths=no-text", FAILURE, ("holds no text", "no-text", ".txt", *ALL_PARTS)),
        ("corpus.paths=[]", WRONG_USE, ("No corpus", "key corpus.paths", *ALL_PARTS)),
        ("train.dimension=50", WRONG_USE, ("'train.dimension'", "Did you mean 'dimensions'?", *ALL_PARTS)),
        ("dimensions=50", WRONG_USE, ("'dimensions'", "Did you mean 'train.dimensions'?", *ALL_PARTS)),
        ("train.dimensions=0", WRONG_USE, ("key train.dimensions", "got:      0", "greater than or equal to 1", *ALL_PARTS)),
        ("train.dimensions=many", WRONG_USE, ("key train.dimensions", "'many'", "a valid integer", *ALL_PARTS)),
        ("pairs.window_kind=round", WRONG_USE, ("key pairs.window_kind", "'dynamic' or 'fixed'", *ALL_PARTS)),
        ("train.dimensions", WRONG_USE, ("An override cannot be read", "section.key=value", *ALL_PARTS)),
        ("evaluate.analogies=['question-words']", WRONG_USE, ("set does not exist", "Did you mean questions-words?", *ALL_PARTS)),
        ("evaluate.similarity=['none.tsv']", WRONG_USE, ("set does not exist", "none.tsv", "evaluate.similarity=[]", *ALL_PARTS)),
        ("evaluate.analogies=['questions.txt']", FAILURE, ("questions.txt, line 3", "four words", *ALL_PARTS)),
        ("evaluate.similarity=['ratings.tsv']", FAILURE, ("ratings.tsv, line 1", "a finite number", *ALL_PARTS)),
        ("tokenize.stop_words=['rock-n-roll']", WRONG_USE, ("not one token", "'rock-n-roll', 3 tokens", *ALL_PARTS)),
        ("store.path=file", FAILURE, ("store cannot be written", "Not a directory", *ALL_PARTS)),
        ("store.path=file/below/it", FAILURE, ("store cannot be written", "Not a directory", *ALL_PARTS)),
    ],
)
def test_train__says_what_is_wrong_before_prefect_starts(override: str, exit_code: int, words: tuple[str, ...], untouched: Project) -> None:
    before = sorted(untouched.directory.rglob("*"))
    finished = untouched.run("train", "small.toml", "--set", override)
    assert_explained(finished, exit_code, *words)
    assert finished.out == ""
    assert sorted(untouched.directory.rglob("*")) == before


def test_train__says_which_configuration_file_is_missing_or_broken(untouched: Project) -> None:
    assert_explained(untouched.run("train", "smal.toml"), WRONG_USE, "does not exist", "smal.toml", "Did you mean small.toml?")
    assert_explained(untouched.run("train", "small.txt"), WRONG_USE, "cannot be read", "small.txt", "line 1", "TOML")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_train__says_that_the_store_is_not_this_users(untouched: Project, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    finished = untouched.run("train", "small.toml", "--store", tmp_path / "store")
    assert_explained(finished, FAILURE, "store cannot be written", "Permission denied", *ALL_PARTS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], ("trian", 'Did you mean "train"?', "corpus2vec --help")),
        (["train", "--sett", "a=b"], ("--sett", "Did you mean --set?", "corpus2vec train --help")),
        (["analogy", "man", "king"], ("parameter C", "corpus2vec analogy --help")),
        (["export"], ("PATH", "corpus2vec export --help")),
        (["similar"], ("Which word?", "WORD [WORD ...]")),
        (["similar", "king", "--count", "few"], ("--count", '"few"', "int", "corpus2vec similar --help")),
    ],
)
def test_command__says_how_it_is_used(arguments: list[str], words: tuple[str, ...], untouched: Project) -> None:
    assert_explained(untouched.run(*arguments), WRONG_USE, *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["similar", "stat3"], ('"stat3"', "of the vocabulary", 'Close to "stat3"', '"state"')),
        (["analogy", "state", "states", "yeear"], ('"yeear"', "of the vocabulary", '"year"')),
        (["similar", "state", "--store", "nowhere"], ("no model yet", "nowhere", "corpus2vec train", *ALL_PARTS)),
        (["similar", "state", "--model", "smal"], ("nothing that is called so", "smal", "Did you mean small?", *ALL_PARTS)),
        (["show", "unheard-of"], ("nothing that is called so", "unheard-of", "corpus2vec show", *ALL_PARTS)),
        (["evaluate", "--set", "evaluate.analogies=['question-words']"], ("Did you mean questions-words?", *ALL_PARTS)),
        (["export", "nowhere/vectors.txt"], ("cannot be written there", "nowhere/vectors.txt", "No such file", *ALL_PARTS)),
        (["export", "store"], ("cannot be written there", "Is a directory", *ALL_PARTS)),
    ],
)
def test_command__says_what_it_did_not_find(arguments: list[str], words: tuple[str, ...], trained: tuple[Project, Finished]) -> None:
    project, _ = trained
    before = sorted(project.directory.rglob("*"))
    assert_explained(project.run(*arguments), WRONG_USE, *words)
    assert sorted(project.directory.rglob("*")) == before


def test_evaluate__says_which_line_of_a_set_is_broken(trained: tuple[Project, Finished], tmp_path: Path) -> None:
    (tmp_path / "questions.txt").write_text("athens greece oslo norway\n")
    finished = trained[0].run("evaluate", "--set", f"evaluate.analogies=['{tmp_path}/questions.txt']")
    assert_explained(finished, FAILURE, "questions.txt, line 1", *ALL_PARTS)
    assert_store_is_whole(trained[0].store)


def test_export__on_a_full_disk_leaves_no_half_file(trained: tuple[Project, Finished], tmp_path: Path) -> None:
    finished = run_with_full_disk(trained[0], 100_000, "export", tmp_path / "vectors.txt")
    assert_explained(finished, WRONG_USE, "cannot be written there", "File too large", "room", *ALL_PARTS)
    assert list(tmp_path.iterdir()) == []


def run_with_full_disk(project: Project, n_bytes: int, *arguments: object) -> Finished:
    """A command in a process for which the kernel refuses files of more than `n_bytes` bytes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))

    done = subprocess.run(
        [str(COMMAND), *map(str, arguments)],
        cwd=project.directory,
        env=environment_of(project.directory) | {"PREFECT_API_URL": project.prefect_api_url},
        capture_output=True,
        text=True,
        timeout=240,
        preexec_fn=limit,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def filling(small_text: Path, prefect_api_url: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose disk gets a little more room from test to test."""
    return new_project(tmp_path_factory.mktemp("filling"), small_text, prefect_api_url)


@pytest.mark.parametrize(
    ("n_bytes", "step"),
    [(20_000, "tokenize"), (300_000, "train")],  # on a worker of Dask, and not
)
def test_train__on_a_full_disk_keeps_the_finished_steps(n_bytes: int, step: str, filling: Project) -> None:
    finished = run_with_full_disk(filling, n_bytes, "train", "small.toml", "--json")
    assert_explained(finished, FAILURE, "no room left", f"store/{step}", "File too large", "more free space", *ALL_PARTS)
    assert [event["step"] for event in finished.events if event["event"] == "StepStarted"][-1] == step
    assert step not in [event["step"] for event in finished.events if event["event"] == "StepFinished"]
    assert_store_is_whole(filling.store)


@pytest.mark.parametrize(
    ("content", "overrides", "exit_code", "words"),
    [
        (b"\n\n  \n... --- !!\n", (), FAILURE, ("no tokens", "corpus.paths", *ALL_PARTS)),
        (b"\x7fELF\x02\x01\x01\x00\x00\x00" * 1000, (), FAILURE, ("not text", "odd.txt, byte 7", "NUL", *ALL_PARTS)),
        (b"good words\n" * 10_000 + b"caf\xe9 au lait\n" * 300, (), FAILURE, ("byte 110003", "e9", "10,300 records", "300", *ALL_PARTS)),
        (b"good words\n" * 9 + b"caf\xe9\n" + b"good\n" * 9999, ("corpus.broken=fail",), FAILURE, ("byte 102", "e9", *ALL_PARTS)),
        (b"a rose is a rose\n", ("vocabulary.min_count=9",), WRONG_USE, ("vocabulary.min_count", "2 times", "Lower it", *ALL_PARTS)),
        (b"a rose is a rose\n" * 99, ("pairs.subsample=1e-12",), WRONG_USE, ("pairs.subsample", "were subsampled", *ALL_PARTS)),
    ],
    ids=["punctuation", "binary", "latin-1", "one line", "min_count", "subsample"],
)
def test_train__says_what_is_wrong_with_the_text(
    content: bytes, overrides: tuple[str, ...], exit_code: int, words: tuple[str, ...], filling: Project
) -> None:
    (filling.directory / "odd.txt").write_bytes(content)
    finished = filling.train("corpus.paths=odd.txt", *overrides)
    assert_explained(finished, exit_code, *words)
    assert_store_is_whole(filling.store)
    last = filling.journal(max(path.name for path in (filling.store / RUNS).iterdir()))[-1]
    assert f"error: {last['error']}\n" == finished.err


def signalled(project: Project, number: signal.Signals, when: Callable[[dict], bool], *overrides: str, after_s: float = 0.0) -> Finished:
    """`train`, sent a signal as soon as it prints an event of which `when` is true, or a little later."""
    arguments = ["train", "small.toml", "--json", *(f"--set={override}" for override in overrides)]
    with subprocess.Popen(
        [str(COMMAND), *arguments],
        cwd=project.directory,
        env=environment_of(project.directory) | {"PREFECT_API_URL": project.prefect_api_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if when(json.loads(line)):
                time.sleep(after_s)
                process.send_signal(number)
                break
        out, err = process.communicate(timeout=60)
    return Finished(process.returncode, "".join(lines) + out, err)


@pytest.fixture(scope="module")
def killed(small_text: Path, prefect_api_url: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that is killed in one stage after the other, so that each run also goes on where the last one was killed."""
    return new_project(tmp_path_factory.mktemp("killed"), small_text, prefect_api_url)


PHRASES = "phrases.thresholds=[10.0]"


@pytest.mark.parametrize("step", STEPS)
def test_train__killed_in_any_stage_leaves_a_whole_store_and_goes_on(step: str, killed: Project) -> None:
    finished = signalled(killed, signal.SIGKILL, lambda event: (event["event"], event["step"]) == ("StepStarted", step), PHRASES)
    assert finished.exit_code == -signal.SIGKILL, finished.err
    assert_store_is_whole(killed.store, after_a_kill=True)
    reached = [event["step"] for event in finished.events if event["event"] == "StepStarted"]
    assert reached[-1] == step
    assert len(reached) <= 2  # the stage that the last kill hit, and this one
    run = max(path.name for path in (killed.store / RUNS).iterdir())
    started = [line["step"] for line in killed.journal(run) if line["event"] == "StepStarted"]
    assert started == reached
    assert not (killed.store / RUNS / run / RECORD).exists()
    shown = next(line for line in killed.run("show").out.splitlines() if line.startswith(run)).split()
    assert shown[1] == "small"
    assert shown[3:5] == ["killed:", step]


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.stress) for seed in range(3, 21))])
def test_train__killed_at_a_random_moment_leaves_whole_artifacts(seed: int, killed: Project) -> None:
    """While files are written, hashed, synced and renamed: every seed draws text anew, from vocabulary to vectors."""
    overrides = (PHRASES, f"vocabulary.min_count={seed + 3}", f"pairs.seed={seed}")
    moment_s = random.Random(seed).uniform(0.0, 1.5)
    signalled(
        killed, signal.SIGKILL, lambda event: (event["event"], event["step"]) == ("StepStarted", "vocabulary"), *overrides, after_s=moment_s
    )
    assert_store_is_whole(killed.store, after_a_kill=True)


def test_train__after_all_those_kills_gives_what_an_undisturbed_run_gives(killed: Project, small_text: Path, tmp_path: Path) -> None:
    finished = killed.train(PHRASES)
    assert finished.exit_code == 0, finished.err
    assert_store_is_whole(killed.store)
    undisturbed = new_project(tmp_path, small_text, killed.prefect_api_url).train(PHRASES)
    digests = [{step["step"]: step["digests"] for step in run.events[-1]["steps"]} for run in (finished, undisturbed)]
    assert list(digests[0]) == list(STEPS)
    assert digests[0] == digests[1]


TRAINED_FOR_SECONDS = ("train.dimensions=100", "cluster.checkpoint_s=0.05")
MODELS = {
    "skip-gram": ("pairs.epochs=120",),
    "tree": ("pairs.epochs=120", "train.model=cbow", "train.loss=hierarchical_softmax"),
    "nce": ("pairs.epochs=120", "train.loss=nce"),
    "full softmax": ("pairs.epochs=20", "train.loss=full_softmax"),
    "glove": ("glove.epochs=400", "train.model=glove"),
}


def vectors_digest(finished: Finished) -> str:
    """The digest of the artifact that a finished run trained."""
    return next(step["digests"][0] for step in finished.events[-1]["steps"] if step["step"] == "train")


KILLS = [("skip-gram", 2), *(pytest.param(model, 20 if model == "skip-gram" else 5, marks=pytest.mark.stress) for model in MODELS)]


@pytest.mark.parametrize(("model", "n_kills"), KILLS)
def test_train__killed_while_it_trains_goes_on_to_the_same_bytes(
    model: str, n_kills: int, trained: tuple[Project, Finished], tmp_path: Path
) -> None:
    """At random moments of training; a run that is through before its moment comes starts over. One thread says what is right."""
    moments, gone_on = random.Random(n_kills), 0
    settings = (*TRAINED_FOR_SECONDS, *MODELS[model])
    undisturbed = trained[0].train(f"store.path={tmp_path}/undisturbed", *settings, "cluster.threads=1")
    assert undisturbed.exit_code == 0, undisturbed.err
    overrides = (f"store.path={tmp_path}/store", *settings)
    for _ in range(n_kills):
        hit = signalled(
            trained[0],
            signal.SIGKILL,
            lambda event: (event["event"], event["step"]) == ("StepAdvanced", "train"),
            *overrides,
            after_s=moments.uniform(0.0, 1.5 / n_kills),
        )
        assert_store_is_whole(tmp_path / "store", after_a_kill=True)
        gone_on += goes_on(hit)
    finished = trained[0].train(*overrides)
    assert finished.exit_code == 0, finished.err
    assert vectors_digest(finished) == vectors_digest(undisturbed)
    assert gone_on + goes_on(finished) >= n_kills / 2
    assert_store_is_whole(tmp_path / "store")
    assert not list((tmp_path / "store" / CHECKPOINTS).glob("*"))


def goes_on(finished: Finished) -> bool:
    """Whether a run began with a checkpoint."""
    return any(event["event"] == "StepResumed" for event in finished.events)


def test_train__that_diverges_says_so(trained: tuple[Project, Finished], tmp_path: Path) -> None:
    finished = trained[0].train(f"store.path={tmp_path}/store", "train.learning_rate=1", "pairs.epochs=20", "train.negatives=20")
    assert_explained(finished, FAILURE, "diverged", "epoch", "loss", "train.learning_rate", *ALL_PARTS)
    assert_store_is_whole(tmp_path / "store")


@pytest.mark.parametrize(
    ("event_name", "number"),  # while kernels are compiled or loaded, and while they run
    [("StepStarted", signal.SIGTERM), ("StepAdvanced", signal.SIGINT)],
)
def test_train__interrupted_in_training_ends_at_once_and_in_order(
    event_name: str, number: signal.Signals, trained: tuple[Project, Finished], tmp_path: Path
) -> None:
    project = trained[0]
    shutil.copytree(project.store, tmp_path / "store")
    store = f"store.path={tmp_path}/store"
    finished = signalled(project, number, lambda event: (event["event"], event["step"]) == (event_name, "train"), store, *LONG)
    assert finished.exit_code == INTERRUPTED, finished.err
    assert finished.err.splitlines() == ["Interrupted. Finished steps are kept; the same command goes on from there."]
    assert "Traceback" not in finished.out
    assert "evaluate" not in finished.out
    if event_name == "StepAdvanced":  # what was trained is kept
        assert len(list((tmp_path / "store" / CHECKPOINTS).glob("*/[!.]*"))) == 1
    (line,) = [line.split() for line in project.run("show", "--store", tmp_path / "store").out.splitlines() if "interrupted" in line]
    assert (tmp_path / "store" / RUNS / line[0] / JOURNAL).is_file()
    assert_store_is_whole(tmp_path / "store")


def test_train__interrupted_with_a_server_of_its_own_says_nothing_more(trained: tuple[Project, Finished], tmp_path: Path) -> None:
    """The server is gone before Prefect would send what it logged."""
    project = new_project(tmp_path, trained[0].directory / "small.txt", "")
    shutil.copytree(trained[0].store, project.store)
    finished = signalled(project, signal.SIGINT, lambda event: (event["event"], event["step"]) == ("StepAdvanced", "train"), *LONG)
    assert finished.exit_code == INTERRUPTED, finished.err
    assert finished.err.splitlines() == ["Interrupted. Finished steps are kept; the same command goes on from there."]
