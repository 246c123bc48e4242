"""Checkpoints: whole or absent, the newest whole one wins, and only one is kept."""

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.events import Event, RunWarned, listening
from pipeline.storage.checkpoints import STATE, Checkpoints

MADE_BY = {"processor": "znver3", "round_centres": 4096}


def save_number(number: int):
    """Two files that say which checkpoint they are of."""

    def save(directory: Path) -> None:
        for name in ("a.bin", "b.bin"):
            (directory / name).write_bytes(str(number).encode() * 1000)

    return save


def written(directory: Path, *numbers: int) -> Checkpoints:
    checkpoints = Checkpoints(directory, 0.0)
    for number in numbers:
        checkpoints.write(number, {"n_blocks": number, "loss": 0.1 + 0.2}, MADE_BY, save_number(number))
    return checkpoints


def test_newest__of_none_is_none(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "none", 1.0).newest(MADE_BY) is None


def test_newest__is_the_last_one_written_with_its_state_to_the_bit(tmp_path: Path) -> None:
    found = written(tmp_path / "c", 1, 2, 10).newest(MADE_BY)
    assert found
    assert found.state == {"n_blocks": 10, "loss": 0.1 + 0.2}
    assert (found.directory / "b.bin").read_bytes() == b"10" * 1000
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["000000000010"]


@pytest.mark.parametrize("damage", ["flip", "shorten", "remove", "no state", "half a state", "another number", "no files", "no object"])
def test_newest__passes_over_a_damaged_one(damage: str, tmp_path: Path) -> None:
    checkpoints = written(tmp_path, 1)
    older = tmp_path / "000000000001"
    older.rename(tmp_path / "kept")
    written(tmp_path, 2)
    (tmp_path / "kept").rename(older)
    newest = tmp_path / "000000000002"
    content = bytearray((newest / "b.bin").read_bytes())
    if damage == "flip":
        content[500] ^= 1
        (newest / "b.bin").write_bytes(content)
    elif damage == "shorten":
        (newest / "b.bin").write_bytes(content[:-1])
    elif damage in ("remove", "no state"):
        (newest / ("b.bin" if damage == "remove" else STATE)).unlink()
    else:
        state = (newest / STATE).read_text()
        worse = {
            "half a state": state[: len(state) // 2],
            "another number": state.replace('"n_blocks": 2', '"n_blocks": 3'),
            "no files": state.replace('"files"', '"flies"'),
            "no object": "[]",
        }
        assert worse[damage] != state
        (newest / STATE).write_text(worse[damage])
    found = checkpoints.newest(MADE_BY)
    assert found
    assert found.state["n_blocks"] == 1


def test_write__that_fails_leaves_the_last_one(tmp_path: Path) -> None:
    checkpoints = written(tmp_path, 1)

    def fail(directory: Path) -> None:
        save_number(2)(directory)
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        checkpoints.write(2, {"n_blocks": 2}, MADE_BY, fail)
    assert [path.name for path in tmp_path.iterdir()] == ["000000000001"]


def test_write__killed_in_the_middle_leaves_the_last_one_and_is_cleared_by_the_next(tmp_path: Path) -> None:
    written(tmp_path, 1)
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from pipeline.storage.checkpoints import Checkpoints\n"
        "def save(directory):\n"
        "    (directory / 'a.bin').write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "Checkpoints(Path(sys.argv[1]), 0.0).write(2, {'n_blocks': 2}, {}, save)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    found = Checkpoints(tmp_path, 0.0).newest(MADE_BY)
    assert found
    assert found.state["n_blocks"] == 1
    written(tmp_path, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["000000000003"]


def test_write__again_at_the_same_place_replaces_what_is_there(tmp_path: Path) -> None:
    """It may be what this build could not go on from."""
    checkpoints = written(tmp_path, 5)
    (tmp_path / "000000000005" / "a.bin").write_bytes(b"damaged")
    checkpoints.write(5, {"n_blocks": 6}, MADE_BY, save_number(6))
    found = checkpoints.newest(MADE_BY)
    assert found
    assert found.state == {"n_blocks": 6}


def test_write__after_the_artifact_is_made_by_another_process_leaves_nothing(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "c", 0.0)

    def save(directory: Path) -> None:
        save_number(1)(directory)
        checkpoints.clear()  # as the other process does when it is through

    checkpoints.write(1, {"n_blocks": 1}, MADE_BY, save)
    assert checkpoints.newest(MADE_BY) is None


def test_newest__is_only_for_who_makes_the_same(tmp_path: Path) -> None:
    checkpoints = written(tmp_path, 1)
    assert checkpoints.newest(MADE_BY | {"processor": "haswell"}) is None
    assert checkpoints.newest({}) is None


def test_due__keeps_writing_below_a_twentieth_of_the_time(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 10.0)
    assert not checkpoints.due
    checkpoints.started = checkpoints.last = checkpoints.last - 11.0
    assert checkpoints.due
    checkpoints.cost_s = 2.0
    assert not checkpoints.due
    checkpoints.started -= 40.0
    assert checkpoints.due
    checkpoints.total_s = 1.0
    assert not checkpoints.due


def test_due__waits_longer_for_a_first_one_that_will_be_large(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "c", 0.0)
    assert checkpoints.due
    checkpoints.expect(10**12)
    assert not checkpoints.due
    checkpoints.write(1, {}, MADE_BY, save_number(1))
    assert checkpoints.cost_s < 10


def test_expect__begins_the_time_of_which_checkpoints_may_take_a_part(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "c", 0.0)
    checkpoints.started -= 1000.0  # of getting ready
    checkpoints.expect(10**9)
    assert not checkpoints.due
    checkpoints.write(1, {}, MADE_BY, save_number(1))
    checkpoints.started -= 1000.0  # of work
    checkpoints.expect(10**9)
    assert checkpoints.due


def test_try_write__that_fails_warns_and_keeps_the_last_one(tmp_path: Path) -> None:
    checkpoints = written(tmp_path / "c", 1)

    def fail(_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    events: list[Event] = []
    with listening(events.append):
        checkpoints.try_write(2, {}, MADE_BY, fail)
    assert [type(event) for event in events] == [RunWarned]
    found = checkpoints.newest(MADE_BY)
    assert found
    assert found.state["n_blocks"] == 1


def test_clear__removes_everything(tmp_path: Path) -> None:
    checkpoints = written(tmp_path / "c", 1)
    checkpoints.clear()
    assert not (tmp_path / "c").exists()
    checkpoints.clear()
