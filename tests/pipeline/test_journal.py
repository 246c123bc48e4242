"""The journal of a run, however the run ends, and of runs that did not finish."""

import json
import multiprocessing
import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.errors import ConfigurationError, InputError
from pipeline.events import Event, RunWarned, StepAdvanced, StepFinished, StepStarted, listening
from pipeline.journal import JOURNAL, RunState, UnfinishedRun, unfinished_runs
from pipeline.run import Run
from pipeline.storage.atomic import SECONDS_SILENT
from pipeline.storage.store import RUNS, Store
from pipeline.workers import InPlace
from tests.conftest import sample_lines
from tests.pipeline.small_runs import configured


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("".join(sample_lines(60)), encoding="utf-8")
    return path


ENDS = {"RunFailed": RunState.FAILED, "RunInterrupted": RunState.INTERRUPTED, "RunStopped": RunState.STOPPED}


def new_run(store: Path, *paths: Path, **changes: object) -> Run:
    return Run(configured(*paths, **changes), Store(store), InPlace())


def walk_through(run: Run) -> None:
    """All steps, in the run's `with`, and its end."""
    with run:
        for step in run.steps:
            run.perform(step)
        run.finish("a test")


def journal(run: Run) -> list[dict]:
    return [json.loads(line) for line in (run.store.root / RUNS / run.id / JOURNAL).read_text(encoding="utf-8").splitlines()]


def last(run: Run) -> dict:
    """The last line of the only, unfinished run of a store."""
    assert run.store.records(RUNS) == []
    (unfinished,) = unfinished_runs(run.store)
    assert (unfinished.run, unfinished.name) == (run.id, run.configuration.name)
    assert unfinished.state is ENDS.get(unfinished.last["event"], RunState.KILLED)
    assert unfinished.last == journal(run)[-1]
    return unfinished.last


def test_journal__has_every_event_between_the_start_and_the_end_each_with_its_time(text: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    before = datetime.now(UTC)
    run = new_run(tmp_path / "store", text)
    with listening(events.append):
        walk_through(run)
    first, *lines, end = journal(run)
    times = [datetime.fromisoformat(line.pop("time")) for line in (first, *lines, end)]
    assert times == sorted(times)
    assert all(time.utcoffset().total_seconds() == 0 for time in times)
    assert before.replace(microsecond=0) <= times[0] <= times[-1] <= datetime.now(UTC)
    (record,) = run.store.records(RUNS)
    kept = {name: record[name] for name in ("name", "host", "user", "configuration", "environment")}
    assert first == {"event": "RunStarted", "run": run.id, "process": os.getpid(), **kept}
    kinds = {kind.__name__: kind for kind in (StepStarted, StepAdvanced, StepFinished)}
    assert [kinds[line.pop("event")](**line) for line in lines] == events
    assert end == {"event": "RunFinished", "elapsed_s": record["elapsed_s"]}
    assert unfinished_runs(run.store) == []


def test_journal__tells_words_and_speed_loss_rate_and_time_left(text: Path, tmp_path: Path) -> None:
    run = new_run(tmp_path / "store", text)
    walk_through(run)
    advanced = [line for line in journal(run) if line["event"] == "StepAdvanced" and line["step"] == "train"]
    figures = advanced[-1]["figures"]
    assert set(figures) == {"words", "words_per_s", "left_s", "loss", "learning_rate"}
    assert figures["words"] == pytest.approx(run.made["pairs"][0].manifest.measures["tokens"], abs=1)  # of all passes
    assert figures["left_s"] == 0
    words = [line["figures"]["words"] for line in advanced]
    assert words == sorted(words)


def test_journal__has_the_line_of_an_event_before_it_is_shown(text: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    run = new_run(tmp_path / "store", text)

    def count_lines(event: Event) -> None:
        seen.append((len(seen), len(journal(run))))

    with listening(count_lines):
        walk_through(run)
    assert len(seen) > 12
    assert seen == [(number, number + 2) for number in range(len(seen))]


def test_journal__of_a_run_that_reuses_everything_says_so(text: Path, tmp_path: Path) -> None:
    runs = [new_run(tmp_path / "store", text) for _ in range(2)]
    for run in runs:
        walk_through(run)
    names = [step.name for step in runs[1].steps]
    assert [(line["step"], line["reused"]) for line in journal(runs[1])[1:-1]] == [(name, True) for name in names]


def test_journal__ends_with_the_error_of_a_run_that_failed(text: Path, tmp_path: Path) -> None:
    run = new_run(tmp_path / "store", text, vocabulary__min_count=10**6)
    with pytest.raises(ConfigurationError) as caught:
        walk_through(run)
    assert {"event": "RunFailed", "error": str(caught.value)}.items() <= last(run).items()


def test_journal__names_an_error_that_is_a_defect_even_if_it_is_no_unicode(text: Path, tmp_path: Path) -> None:
    run = new_run(tmp_path / "store", text)

    def fail() -> None:
        with run:
            run.perform(run.steps[0])
            raise ValueError("odd \udc80")

    with pytest.raises(ValueError, match="odd"):
        fail()
    assert last(run)["error"] == "ValueError: odd \udc80"


@pytest.mark.parametrize(("error", "event"), [(KeyboardInterrupt, "RunInterrupted"), (SystemExit, "RunInterrupted"), (None, "RunStopped")])
def test_journal__says_that_a_run_was_left_before_its_end(
    error: type[BaseException] | None, event: str, text: Path, tmp_path: Path
) -> None:
    run = new_run(tmp_path / "store", text)

    def leave_early() -> None:
        with run:
            run.perform(run.steps[0])
            if error:
                raise error

    if error:
        with pytest.raises(error):
            leave_early()
    else:
        leave_early()
    assert last(run)["event"] == event


def test_run__that_is_refused_leaves_nothing(text: Path, tmp_path: Path) -> None:
    for wrong in ({"evaluate__similarity": ["nonesuch"]}, {"corpus__paths": []}):
        with pytest.raises(ConfigurationError):
            new_run(tmp_path / "store", text, **wrong)
    with pytest.raises(InputError):
        new_run(tmp_path / "store", tmp_path / "nowhere.txt")
    with pytest.raises(ZeroDivisionError), new_run(tmp_path / "store", text):
        raise ZeroDivisionError  # before the first step
    assert not (tmp_path / "store").exists()


def die_in(run: Run, name: str) -> None:
    def die(event: Event) -> None:
        if isinstance(event, StepFinished) and event.step == name:
            os._exit(9)

    with run, listening(die):
        for step in run.steps:
            run.perform(step)


def test_unfinished_runs__say_how_far_a_killed_run_came(text: Path, tmp_path: Path) -> None:
    run = new_run(tmp_path / "store", text)
    child = multiprocessing.get_context("fork").Process(target=die_in, args=(run, "vocabulary"))
    child.start()
    child.join()
    assert child.exitcode == 9
    assert last(run)["step"] == "vocabulary"
    walk_through(new_run(tmp_path / "store", text))  # which clears away only what is half written
    assert [found.run for found in unfinished_runs(run.store)] == [run.id]
    assert len(run.store.records(RUNS)) == 1


def test_unfinished_runs__tell_one_that_goes_on_from_one_on_another_machine(text: Path, tmp_path: Path) -> None:
    run = new_run(tmp_path / "store", text)
    with run:
        run.perform(run.steps[0])
        (going,) = unfinished_runs(run.store)
        assert going.state is RunState.GOES_ON
        elsewhere = run.store.root / RUNS / "99990101T000000-0123ab"
        elsewhere.mkdir()
        for seconds, state in ((0, RunState.GOES_ON), (2 * SECONDS_SILENT, RunState.KILLED)):
            (elsewhere / JOURNAL).write_text(
                json.dumps({"event": "RunStarted", "run": elsewhere.name, "name": "vectors", "host": "another"}) + "\n"
            )
            for path in (elsewhere / JOURNAL, elsewhere):
                os.utime(path, (time.time() - seconds,) * 2)
            assert unfinished_runs(run.store)[0].state is state
        shutil.rmtree(elsewhere)
    assert unfinished_runs(run.store)[0].state is RunState.STOPPED


def test_unfinished_runs__are_read_without_a_half_last_line_and_without_a_journal(text: Path, tmp_path: Path) -> None:
    run = new_run(tmp_path / "store", text)
    with run:
        run.perform(run.steps[0])
    expected = journal(run)[-1]
    path = run.store.root / RUNS / run.id / JOURNAL
    first, *_, end = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([first, *[b'{"event": "StepAdvanced"}'] * 10_000, end, b'{"time": "2026-']))
    older = ["20000101T000000-0123ab", "20000102T000000-0123ab"]
    for name in older:
        (run.store.root / RUNS / name).mkdir()
    (run.store.root / RUNS / older[1] / JOURNAL).write_bytes(b'{"time"')
    assert unfinished_runs(run.store) == [
        UnfinishedRun(run.id, "vectors", expected, RunState.STOPPED),
        UnfinishedRun(older[1], "", {}),
        UnfinishedRun(older[0], "", {}),
    ]


@pytest.mark.parametrize(
    ("obstacle", "why"), [("a full disk", "no room"), ("a directory", "Is a directory"), ("no directory", "File exists")]
)
def test_journal__that_cannot_be_written_is_said_once_and_stops_no_run(obstacle: str, why: str, text: Path, tmp_path: Path) -> None:
    run = new_run(tmp_path / "store", text)
    directory = run.store.root / RUNS / run.id
    match obstacle:
        case "a full disk":
            directory.mkdir(parents=True)
            (directory / JOURNAL).symlink_to("/dev/full")
        case "a directory":
            (directory / JOURNAL).mkdir(parents=True)
        case "no directory":
            directory.parent.mkdir(parents=True)
            directory.touch()
    events: list[Event] = []
    with listening(events.append), run:
        for step in run.steps:
            run.perform(step)
        if obstacle == "no directory":
            directory.unlink()  # or the record has no place either, which is an error
        run.finish("a test")
    (warning,) = [event.message for event in events if isinstance(event, RunWarned)]
    assert str(directory / JOURNAL) in warning
    assert why in warning
    assert [event.step for event in events if isinstance(event, StepFinished)] == [step.name for step in run.steps]
    assert [record["id"] for record in run.store.records(RUNS)] == [run.id]
