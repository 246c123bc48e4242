"""What a run sees of the world outside the store."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.configuration import Configuration
from pipeline.corpus import Observed
from pipeline.corpus import observe as observe_with
from pipeline.errors import ConfigurationError, InputError
from pipeline.sources.digests import Digests
from pipeline.storage.store import Store
from tests.pipeline.small_runs import configured


def observe(configuration: Configuration) -> Observed:
    """What is seen by a run that remembers nothing."""
    return observe_with(configuration, Digests(Store(Path("no-such-store")), configuration.corpus))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


text_lines = st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"") + b"\n"), min_size=1, max_size=30)


@given(lines=text_lines, size=st.integers(1, 200))
def test_observe__cuts_a_file_into_shards_of_whole_lines_with_their_digests(
    lines: list[bytes], size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("cut") / "text.txt"
    content = b"".join(lines)
    path.write_bytes(content)
    shards = observe(configured(path, corpus__shard_mb=size / 1e6)).shards
    assert b"".join(content[shard.start : shard.stop] for shard in shards) == content
    for shard in shards:
        part = content[shard.start : shard.stop]
        assert part.endswith(b"\n")
        assert (shard.location, shard.compression, shard.n_bytes) == (str(path), "", len(part))
        assert (shard.file_sha256, shard.sha256) == (sha256(content), sha256(part))
        assert shard is shards[-1] or len(part) >= int(size / 1e6 * 1e6)


def test_observe__orders_files_by_content_and_not_by_name(tmp_path: Path) -> None:
    contents = [f"text {number}\n".encode() * 9 for number in range(8)]
    orders = []
    for names in ("abcdefgh", "hgfedcba"):
        directory = tmp_path / names
        directory.mkdir()
        for name, content in zip(names, contents, strict=True):
            (directory / f"{name}.txt").write_bytes(content)
        shards = observe(configured(directory, corpus__shard_mb=2e-5)).shards
        orders.append([(shard.link.stage, shard.link.key, shard.link.digest) for shard in shards])
        assert len(shards) > 8
        assert [shard.file_sha256 for shard in shards] == sorted(shard.file_sha256 for shard in shards)
    assert orders[0] == orders[1]


def test_observe__sees_a_file_once_however_often_it_is_named_and_its_copy_as_another(tmp_path: Path) -> None:
    path, copy = tmp_path / "a.txt", tmp_path / "b.txt"
    for one in (path, copy):
        one.write_text("text\n")
    (tmp_path / "link.txt").symlink_to(path)
    assert len(observe(configured(path, path, tmp_path / "link.txt")).shards) == 1
    assert [shard.location for shard in observe(configured(tmp_path)).shards] == [str(path), str(copy)]


@pytest.mark.parametrize("suffix", [".gz", ".XZ"])
def test_observe__takes_a_compressed_file_as_one_shard(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"text.txt{suffix}"
    path.write_bytes(b"some\nlines\n" * 99)
    (shard,) = observe(configured(path, corpus__shard_mb=1e-5)).shards
    assert (shard.start, shard.stop, shard.compression, shard.sha256) == (0, path.stat().st_size, suffix.lower(), shard.file_sha256)
    assert shard.link.stage == "source" + suffix.lower()


def test_observe__leaves_out_empty_files_unless_there_is_nothing_else(tmp_path: Path) -> None:
    for name, content in (("empty.txt", ""), ("text.txt", "text\n")):
        (tmp_path / name).write_text(content)
    assert [shard.name for shard in observe(configured(tmp_path)).shards] == ["text.txt"]
    assert observe(configured(tmp_path)).n_empty_files == 1
    with pytest.raises(InputError, match="The corpus is empty"):
        observe(configured(tmp_path / "empty.txt"))


def test_observe__wants_a_corpus() -> None:
    with pytest.raises(ConfigurationError, match="No corpus is configured"):
        observe(configured())


def test_observe__knows_an_evaluation_set_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("text\n")
    (tmp_path / "mine.tsv").write_text("king\tqueen\t9\n")
    observed = observe(configured(tmp_path / "text.txt", evaluate__similarity=["simlex999", str(tmp_path / "mine.tsv")]))
    assert [file.name for file in observed.evaluation_files] == ["simlex999", "mine"]
    assert observed.evaluation_files[1].link.digest == sha256(b"king\tqueen\t9\n")
