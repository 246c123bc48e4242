"""`verify` and other commands that only read, as a person meets them: damaged stores, read-only ones, and ones of somebody hostile."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.run import Run
from pipeline.storage.artifact import MANIFEST
from pipeline.storage.sealed import sealed
from pipeline.storage.store import Store
from pipeline.workers import InPlace
from tests.conftest import COMMAND, Finished, environment_of, run_command
from tests.pipeline.lineage.stores import text
from tests.pipeline.small_runs import configured, walk

ESCAPES = {"tokenize__tokenizer": "tests.pipeline.line_tokenizers:commanding", "tokenize__tokenizer_version": "1"}
PHRASES = {"phrases__thresholds": [0.01], "phrases__min_count": 2}
NAMESPACE = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--user", "--map-root-user", "--mount")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Run]:
    """A finished run whose tokens, phrases and files have names that are commands to a terminal."""
    directory = tmp_path_factory.mktemp("verifying")
    path = directory / "\x1b[31mtext\n.txt"
    path.write_bytes(text(1).encode() + b"caf\xe9\n")
    run = walk(configured(path, corpus__max_broken=0.5, **ESCAPES, **PHRASES), directory / "store", InPlace())
    run.finish("a test")
    return Store(directory / "store"), run


@pytest.fixture
def copied(hostile: tuple[Store, Run], tmp_path: Path) -> Store:
    """A copy to be damaged."""
    shutil.copytree(hostile[0].root, tmp_path / "store")
    return Store(tmp_path / "store")


def ask(store: Store, *arguments: object) -> Finished:
    """A command, whose output is looked at by a terminal."""
    finished = run_command(*arguments, "--store", store.root, cwd=store.root.parent)
    assert "Traceback" not in finished.err
    for out in (finished.out, finished.err):
        assert not set(out) & {"\x1b", "\x9b"}
    return finished


def damage(store: Store, stage: str, name: str) -> Path:
    """The path of a file, after one bit of it has changed."""
    (path,) = store.root.glob(f"{stage}/*/{name}")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return path


def test_verify__says_what_it_looked_at(hostile) -> None:
    store, run = hostile
    for arguments in ((), ("vectors@1",), (run.id,), ("--all",)):
        done = ask(store, "verify", *arguments)
        assert done.exit_code == 0, done.err
        assert "7 artifacts" in done.out
        assert done.out.splitlines()[-1] == "Everything is as it was made."
    values = json.loads(ask(store, "verify", "--json").out)
    assert (values["whole"], values["findings"], values["n_artifacts"]) == (True, [], 7)


def test_verify__names_what_is_wrong_with_what_can_be_done_and_exits_with_1(copied) -> None:
    paths = [damage(copied, "train", "vectors.parquet"), damage(copied, "vocabulary", MANIFEST)]
    done = ask(copied, "verify", "--all")
    assert done.exit_code == 1
    for path in paths:
        assert copied.place_of(path) in done.out
    assert done.out.count("  got:      ") == done.out.count("  remedy:   ") == 2
    assert done.err.startswith("error: Something in the store is not as it was made.")
    assert "2 things" in done.err
    machine = ask(copied, "verify", "--all", "--json")
    assert (machine.exit_code, [found["wrong"] for found in json.loads(machine.out)["findings"]]) == (1, ["other_bytes", "manifest"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("vektors",), "Did you mean vectors?"),
        (("../../etc",), "nothing that is called so"),
        (("\x1b[31m",), "nothing that is called so"),
        (("train/../../../etc/passwd",), "nothing that is called so"),
        (("vectors", "--all"), "either one thing or everything"),
        (("vectors@9",), "no such version"),
    ],
)
def test_verify__refuses_what_means_nothing(arguments: tuple[str, ...], words: str, hostile) -> None:
    refused = ask(hostile[0], "verify", *arguments)
    assert (refused.exit_code, refused.out) == (2, "")
    assert words in refused.err


def test_verify__of_no_store_says_so(tmp_path: Path) -> None:
    refused = ask(Store(tmp_path / "none"), "verify", "--all")
    assert refused.exit_code == 2
    assert "There is no store" in refused.err


READING = [("similar", "{word}"), ("analogy", "{word}", "{word}", "{word}"), ("phrases",), ("show",), ("show", "vectors"), ("evaluate",)]


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_commands__show_tokens_and_paths_as_text(command: tuple[str, ...], hostile) -> None:
    store, _ = hostile
    arguments = [part.format(word="\x1b[31mking\x9b[b]<script>") for part in command]
    shown, machine = ask(store, *arguments), ask(store, *arguments, "--json")
    assert shown.exit_code == machine.exit_code == 0, shown.err
    json.loads(machine.out)
    if command[0] in ("similar", "phrases"):
        assert "␛[31m" in shown.out
        assert "[b]<script>" in shown.out
        assert "\\u001b[31m" in machine.out
    if command == ("show", "vectors"):
        assert "␛[31mtext␊.txt" in shown.out


def test_similar__of_an_unknown_word_repeats_it_as_text(hostile) -> None:
    refused = ask(hostile[0], "similar", "\x1b[31mkong\x9b[b]<script>")
    assert refused.exit_code == 2
    assert "␛[31m" in refused.err


def test_commands__only_read(hostile, tmp_path: Path) -> None:
    """On a store that is mounted so that nobody can write, root included."""
    store, run = hostile
    mounted = [*NAMESPACE, "sh", "-c", 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && "$@"', "sh", str(store.root)]
    probe = subprocess.run([*mounted, "touch", str(store.root / "probe")], capture_output=True, text=True, check=False)
    if "Read-only file system" not in probe.stderr:
        pytest.skip("this user may not mount")
    asked = [("verify",), ("verify", "--all"), ("verify", run.id), *READING]
    for command in asked:
        arguments = [part.format(word="\x1b[31mking\x9b[b]<script>") for part in command]
        done = subprocess.run(
            [*mounted, str(COMMAND), *arguments, "--store", str(store.root)],
            cwd=tmp_path,
            env=environment_of(tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_commands__do_not_leave_the_store_for_a_record_that_names_what_is_outside(copied) -> None:
    """Its seal is right: somebody hostile has made it."""
    (path,) = copied.root.glob("runs/*/record.json")
    record = copied.read_record(path)
    record["name"] = record["started_by"] = "\x1b[31m\u202e"
    for step in record["steps"]:
        if step["step"] in ("snapshot", "tokenize"):
            step["stage"], step["keys"], step["digests"] = "../..", ["../" * 20 + "etc"], ["\x1b[31m"]
    path.write_text(sealed(record, copied.place_of(path)), encoding="utf-8")
    by_key = next((copied.root / "train").iterdir()).name
    for arguments, exit_code in (
        (("show",), 0),
        (("show", record["id"]), 1),
        (("similar", "\x1b[31mking\x9b[b]<script>", "-m", by_key), 0),
    ):
        done = ask(copied, *arguments)
        assert done.exit_code == exit_code, done.err
        assert not {"\x1b", "\u202e", "\x9b"} & {*done.out, *done.err}
    assert f"cannot be used: {path}." in ask(copied, "show").err
    done = ask(copied, "verify", "--all")
    assert done.exit_code == 0  # it names what is not there, as records may
    assert "2 artifacts in their records that were removed" in done.out or "1 artifact in their records" in done.out
