import dis
import errno
import fcntl
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from pipeline.events import Event, RunWaits, listening
from pipeline.storage import locks
from pipeline.storage.locks import OF_STORE, LockedError, alone, exclusive, is_locked, lock_path, making, remove_if_free, using

FORK = multiprocessing.get_context("fork")


def tell_nothing() -> None: ...


def make_many_times(target: Path, rounds: int, dies: bool) -> None:
    """Fails when somebody else is at work in the meantime; some processes die with the lock in their hands."""
    for number in range(rounds):
        with making(target, tell_nothing):
            busy = target.with_name("busy")
            busy.touch(exist_ok=False)
            time.sleep(0.001)
            busy.unlink()
            if dies and number == rounds // 2:
                os.kill(os.getpid(), signal.SIGKILL)


def test_making__is_for_one_process_at_a_time_also_when_some_are_killed(tmp_path) -> None:
    processes = [FORK.Process(target=make_many_times, args=(tmp_path / "target", 10, number % 3 == 0)) for number in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [-signal.SIGKILL if number % 3 == 0 else 0 for number in range(6)]
    remove_if_free(lock_path(tmp_path / "target"))
    assert list(tmp_path.iterdir()) == []


def test_making__is_for_one_thread_at_a_time(tmp_path) -> None:
    at_work, most = 0, 0

    def work() -> None:
        nonlocal at_work, most
        with making(tmp_path / "target", tell_nothing):
            at_work += 1
            most = max(most, at_work)
            time.sleep(0.01)
            at_work -= 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert list(tmp_path.iterdir()) == []


def test_making__waits_tells_it_once_and_hears_interruptions(tmp_path) -> None:
    told = []

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.6)
    try:
        with making(tmp_path / "target", tell_nothing):
            assert is_locked(lock_path(tmp_path / "target")) is True
            with pytest.raises(KeyboardInterrupt), making(tmp_path / "target", lambda: told.append(1)):
                pass
    finally:
        signal.signal(signal.SIGALRM, before)
    assert told == [1]
    assert list(tmp_path.iterdir()) == []


def test_making__interrupted_at_any_moment_before_its_body_leaves_no_file(tmp_path) -> None:
    n_done = 0

    def trace(frame: FrameType, event: str, _: object) -> Callable:
        nonlocal n_done
        frame.f_trace_opcodes = frame.f_code.co_filename == locks.__file__
        if event == "opcode" and frame.f_code.co_code[frame.f_lasti] != dis.opmap["NOP"]:  # after which no signal is heard
            n_done += 1
            if n_done == moment:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    for moment in itertools.count(1):
        n_done = 0
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            with making(tmp_path / "target", tell_nothing):
                sys.settrace(before)
                assert list(tmp_path.iterdir()) != []
                break
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        assert list(tmp_path.iterdir()) == [], f"interrupted before instruction {moment}"
    assert moment > 50
    assert list(tmp_path.iterdir()) == []


def test_making__that_fails_lets_go(tmp_path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), making(tmp_path / "target", tell_nothing):
            raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_making__locks_no_file_that_a_link_leads_to(tmp_path) -> None:
    lock_path(tmp_path / "target").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"), making(tmp_path / "target", tell_nothing):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_remove_if_free__leaves_what_is_held(tmp_path) -> None:
    with making(tmp_path / "target", tell_nothing):
        assert not remove_if_free(lock_path(tmp_path / "target"))
    lock_path(tmp_path / "target").touch()  # of a process that was killed
    assert remove_if_free(lock_path(tmp_path / "target"))
    assert not remove_if_free(lock_path(tmp_path / "target"))


def hold(directory: Path, held: "multiprocessing.synchronize.Event") -> None:
    with using(directory):
        held.set()
        time.sleep(60)


@pytest.mark.parametrize("is_writable", [True, False])
def test_alone__is_refused_while_somebody_uses_the_store_and_given_when_that_is_killed(is_writable: bool, tmp_path) -> None:
    if not is_writable:
        (tmp_path / OF_STORE).mkdir()  # where no file can be opened
    held = FORK.Event()
    user = FORK.Process(target=hold, args=(tmp_path, held))
    user.start()
    held.wait()
    with using(tmp_path) as locked:
        assert locked
    with pytest.raises(LockedError), alone(tmp_path, 0.2):
        pass
    os.kill(user.pid, signal.SIGKILL)
    user.join()
    with alone(tmp_path, 0.0):
        assert is_locked(tmp_path)
        assert bool(is_locked(tmp_path / OF_STORE)) is is_writable
    assert is_locked(tmp_path) is False
    assert [path.name for path in tmp_path.iterdir()] == [OF_STORE]


def test_using__waits_for_who_has_it_alone_and_says_so(tmp_path) -> None:
    events: list[Event] = []
    collector = alone(tmp_path, 0.0)
    collector.__enter__()

    def hear(event: Event) -> None:
        events.append(event)
        collector.__exit__(None, None, None)

    with listening(hear), using(tmp_path) as locked:
        assert locked
    assert events == [RunWaits("gc removes what nobody needs")]


def test_using__a_directory_that_is_not_there_or_no_directory_locks_nothing(tmp_path) -> None:
    (tmp_path / "file").touch()
    for name in ("nowhere", "file"):
        with using(tmp_path / name) as locked:
            assert not locked
        with exclusive(tmp_path / name, 0.0) as locked:
            assert not locked
    assert is_locked(tmp_path / "nowhere") is None


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.EBADF, errno.ENOSYS])
def test_locks__on_a_file_system_without_them_everything_goes_on(number: int, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    target = tmp_path / "target"
    with making(target, tell_nothing), making(target, tell_nothing), using(tmp_path) as one, exclusive(tmp_path, 0.0) as other:
        assert (one, other) == (False, False)
    assert is_locked(tmp_path) is None
    assert [path.name for path in tmp_path.iterdir()] == [OF_STORE]
