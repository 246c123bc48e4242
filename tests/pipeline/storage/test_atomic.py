import os
import time
from pathlib import Path

import pytest

from pipeline.storage.atomic import among_processes, discard, is_abandoned, remove_abandoned

DAY_S = 86_400


def dead() -> int:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    return child


@pytest.mark.parametrize(
    ("host", "is_alive", "ago_s", "abandoned"),
    [
        (among_processes(), True, 0, False),
        (among_processes(), True, 9 * DAY_S, False),
        (among_processes(), False, 0, True),
        ("other.host.example", False, 0, False),
        ("other.host.example", False, DAY_S - 100, False),
        ("other.host.example", False, DAY_S + 100, True),
        ("other.host.example", False, -DAY_S + 100, False),  # its clock is ahead of ours
        ("other.host.example", False, -9 * DAY_S, True),
    ],
)
def test_is_abandoned__knows_dead_processes_here_and_silent_ones_elsewhere(
    host: str, is_alive: bool, ago_s: int, abandoned: bool, tmp_path: Path
) -> None:
    path = tmp_path / f".target.{host}.{os.getpid() if is_alive else dead()}.0123abcd"
    (path / "below").mkdir(parents=True)
    for one in (path / "below", path):
        os.utime(one, (time.time() - ago_s,) * 2)
    assert is_abandoned(path) is abandoned
    remove_abandoned(tmp_path)
    assert path.exists() == (host != among_processes() or is_alive)


@pytest.mark.parametrize("name", [".target.lock", "target", ".target", ".target.host.12x.0123abcd", ".target.host.12.0123abcd.more"])
def test_is_abandoned__takes_no_other_names(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    os.utime(tmp_path / name, (0, 0))
    assert not is_abandoned(tmp_path / name)


def test_is_abandoned__sees_work_deep_in_a_directory(tmp_path: Path) -> None:
    path = tmp_path / ".target.elsewhere.12.0123abcd"
    (path / "below").mkdir(parents=True)
    (path / "below" / "file").touch()
    for one in (path / "below", path):
        os.utime(one, (0, 0))
    assert not is_abandoned(path)


def test_discard__takes_files_directories_and_links_but_nothing_behind_them(tmp_path: Path) -> None:
    (tmp_path / "directory" / "below").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").touch()
    (tmp_path / "directory" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "file").touch()
    for name in ("directory", "link", "file"):
        discard(tmp_path / name)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "outside"]
    with pytest.raises(FileNotFoundError):
        discard(tmp_path / "file")
