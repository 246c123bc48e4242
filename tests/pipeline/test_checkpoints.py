"""Checkpoints: whole or absent, the newest whole one wins, and only one is kept."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.checkpoints import STATE, Checkpoints


def save_number(number: int):
    """Two files that say which checkpoint they are of."""

    def save(directory: Path) -> None:
        for name in ("a.bin", "b.bin"):
            (directory / name).write_bytes(str(number).encode() * 1000)

    return save


def written(directory: Path, *numbers: int) -> Checkpoints:
    checkpoints = Checkpoints(directory, 0.0)
    for number in numbers:
        checkpoints.write(number, {"n_blocks": number, "loss": 0.1 + 0.2}, save_number(number))
    return checkpoints


def test_newest__of_none_is_none(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "none", 1.0).newest() is None


def test_newest__is_the_last_one_written_with_its_state_to_the_bit(tmp_path: Path) -> None:
    found = written(tmp_path / "c", 1, 2, 10).newest()
    assert found
    assert found.state == {"n_blocks": 10, "loss": 0.1 + 0.2}
    assert (found.directory / "b.bin").read_bytes() == b"10" * 1000
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["000000000010"]


@pytest.mark.parametrize("damage", ["flip", "shorten", "remove", "no state"])
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
    else:
        (newest / ("b.bin" if damage == "remove" else STATE)).unlink()
    found = checkpoints.newest()
    assert found
    assert found.state["n_blocks"] == 1


def test_write__that_fails_leaves_the_last_one(tmp_path: Path) -> None:
    checkpoints = written(tmp_path, 1)

    def fail(directory: Path) -> None:
        save_number(2)(directory)
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        checkpoints.write(2, {"n_blocks": 2}, fail)
    assert [path.name for path in tmp_path.iterdir()] == ["000000000001"]


def test_write__killed_in_the_middle_leaves_the_last_one_and_is_cleared_by_the_next(tmp_path: Path) -> None:
    written(tmp_path, 1)
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from pipeline.checkpoints import Checkpoints\n"
        "def save(directory):\n"
        "    (directory / 'a.bin').write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "Checkpoints(Path(sys.argv[1]), 0.0).write(2, {'n_blocks': 2}, save)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    found = Checkpoints(tmp_path, 0.0).newest()
    assert found
    assert found.state["n_blocks"] == 1
    written(tmp_path, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["000000000003"]


def test_write__again_at_the_same_place_keeps_what_is_there(tmp_path: Path) -> None:
    checkpoints = written(tmp_path, 5)
    checkpoints.write(5, {"n_blocks": 5}, save_number(5))
    found = checkpoints.newest()
    assert found
    assert found.state == {"n_blocks": 5, "loss": 0.1 + 0.2}


def test_due__keeps_writing_below_a_twentieth_of_the_time(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 10.0)
    assert not checkpoints.due
    checkpoints.last -= 11.0
    assert checkpoints.due
    checkpoints.cost_s = 2.0
    assert not checkpoints.due
    checkpoints.last -= 30.0
    assert checkpoints.due


def test_clear__removes_everything(tmp_path: Path) -> None:
    checkpoints = written(tmp_path / "c", 1)
    checkpoints.clear()
    assert not (tmp_path / "c").exists()
    checkpoints.clear()
