"""How fast text of every format is read, how soon an unchanged corpus is recognised, what a long line takes; writes results/inputs.json.

    .venv/bin/python -m benchmarks.inputs CORPUS

Before a time counts: every format gave the same sentences, an unchanged corpus is reused as a whole, and of a changed one only the file
that changed is read again. Times are medians; reading is in seconds of one core, from files that lie in memory.
"""

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.against_gensim import ROOT, plain_text
from benchmarks.memory import peak_mb
from pipeline.choices import Broken, Format
from pipeline.configuration import Configuration
from pipeline.configuration_file import parse_configuration
from pipeline.environment import environment
from pipeline.run import Run
from pipeline.sources.account import Account
from pipeline.sources.cutting import cut_file
from pipeline.sources.formats import kind_of
from pipeline.sources.reading import Pass, read_shard
from pipeline.sources.shard import SourceShard
from pipeline.storage.store import Store
from pipeline.workers import InPlace

N_FILES = 1000
FILE_BYTES = 15_000
TURNS = 5
READ_BYTES = 40_000_000  # of text in each format
SETTLED_S = 5.5  # a file that was written a moment ago is hashed again
FORMATS = ("a.txt", "a.txt.gz", "a.txt.bz2", "a.txt.xz", "a.txt.zst", "a.jsonl", "a.csv", "a.tsv", "a.parquet")


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds on the clock, and what came of it."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def walk(configuration: Configuration, store: Path) -> Run:
    """A run as far as the vocabulary, in this process."""
    with Run(configuration, Store(store), InPlace()) as run:
        for step in run.steps:
            run.perform(step)
            if step.name == "vocabulary":
                break
    return run


def recognition(text: Path, scratch: Path) -> dict[str, float]:
    """A corpus of many small files: built, run again unchanged, and with one of them changed."""
    corpus, store = scratch / "files", scratch / "store"
    corpus.mkdir()
    with text.open("rb") as lines:
        for number in range(N_FILES):
            (corpus / f"{number:04d}.txt").write_bytes(b"".join(lines.readlines(FILE_BYTES)))
    configuration = parse_configuration({"corpus": {"paths": [str(corpus)]}})
    time.sleep(SETTLED_S)
    first_s, built = timed(lambda: walk(configuration, store))
    again = [timed(lambda: walk(configuration, store)) for _ in range(TURNS)]
    observing = [run.observing_s for _, run in again]
    if any(record.n_reused != len(record.keys) for _, run in again for record in run.records) or len(built.made["tokenize"]) != N_FILES:
        raise SystemExit("the unchanged corpus was not recognised")
    with (corpus / "0000.txt").open("ab") as file:
        file.write(b"one more line\n")
    changed_s, changed = timed(lambda: walk(configuration, store))
    if changed.records[1].n_reused != N_FILES - 1:
        raise SystemExit("more was read again than what had changed")
    return {
        "files": N_FILES,
        "bytes": sum(path.stat().st_size for path in corpus.iterdir()),
        "built_s": round(first_s, 3),
        "unchanged_s": round(statistics.median(seconds for seconds, _ in again), 3),
        "of that finding and comparing_s": round(statistics.median(observing), 3),
        "one_changed_s": round(changed_s, 3),
    }


def write_formats(text: Path, directory: Path) -> int:
    """The same lines in every format; their bytes as plain text."""
    with text.open("rb") as file:
        data = file.read(READ_BYTES)
    data = data[: data.rfind(b"\n") + 1]
    lines = data.decode().split("\n")[:-1]
    directory.mkdir()
    (directory / "a.txt").write_bytes(data)
    for suffix, codec in (("gz", "gzip"), ("bz2", "bz2"), ("zst", "zstd")):
        with pa.CompressedOutputStream(str(directory / f"a.txt.{suffix}"), codec) as stream:
            stream.write(data)
    subprocess.run(["xz", "--keep", str(directory / "a.txt")], check=True)
    with (directory / "a.jsonl").open("w") as rows:
        rows.writelines(json.dumps({"id": number, "text": line}, ensure_ascii=False) + "\n" for number, line in enumerate(lines))
    with (directory / "a.csv").open("w", newline="") as rows:
        csv.writer(rows).writerows([("id", "text"), *enumerate(lines)])
    with (directory / "a.tsv").open("w") as rows:
        rows.write("id\ttext\n")
        rows.writelines("{}\t{}\n".format(number, line.replace("\t", " ")) for number, line in enumerate(lines))
    pq.write_table(pa.table({"id": range(len(lines)), "text": lines}), directory / "a.parquet", row_group_size=20_000, compression="zstd")
    return len(data)


def blocks(path: Path, *, checked: bool) -> Iterator[bytes]:
    """All text of a file."""
    kind = kind_of(path.name, Format.AUTO)
    cut = cut_file(str(path), kind, "text", 16_000_000)
    for one in cut.cuts:
        shard = SourceShard(str(path), kind.format, kind.compression, "text", cut.sha256, one.start, one.stop, one.sha256)
        yield from read_shard(shard, Account(shard, Broken.SKIP), Pass(16_000_000, checked))


def reading(text: Path, scratch: Path) -> dict[str, Any]:
    """MB of text a second of one core, cutting and hashing included."""
    n_bytes = write_formats(text, scratch / "formats")
    found: dict[str, Any] = {"text_bytes": n_bytes}
    for name, checked in [(name, False) for name in FORMATS] + [("a.txt", True)]:
        times, sizes = [], set()
        for _ in range(TURNS):
            started = time.process_time()
            sizes.add(sum(map(len, blocks(scratch / "formats" / name, checked=checked))))
            times.append(time.process_time() - started)
        if sizes != {n_bytes}:
            raise SystemExit(f"{name} gave other text")
        found[f"{name}, checked" if checked else name] = round(n_bytes / 1e6 / statistics.median(times), 1)
    return found


def line_memory(megabytes: float, longest_mb: float, scratch: Path) -> float:
    """Megabytes that a run of its own process takes for one line of so many, more than for a short text."""
    command = [sys.executable, "-m", "benchmarks.inputs", str(scratch), "--line", str(megabytes), str(longest_mb)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return float(done.stdout.splitlines()[-1])


def measure_line(scratch: Path, megabytes: float, longest_mb: float) -> float:
    """What `line_memory` asks another process for."""
    path = scratch / "line.txt"
    before = 0.0
    for n_words in (1000, int(megabytes * 1e6) // 11):
        with path.open("wb") as file:
            file.writelines(b"many words " * 1000 for _ in range(n_words // 1000))
            file.write(b"\n")
        configuration = {"corpus": {"paths": [str(path)], "max_line_mb": longest_mb, "max_broken": 1.0}}
        shutil.rmtree(scratch / "line-store", ignore_errors=True)
        run = Run(parse_configuration(configuration), Store(scratch / "line-store"), InPlace())
        with run:
            for step in run.steps[:2]:
                run.perform(step)
        peak = peak_mb()
        before = before or peak
    return peak - before


def main() -> None:
    """Measure, validate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--scratch", type=Path, default=ROOT / ".bench" / "inputs")
    parser.add_argument("--line", nargs=2, type=float, help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.line:
        print(measure_line(settings.corpus, *settings.line))
        return
    scratch = settings.scratch.absolute()
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    text = plain_text(settings.corpus, scratch)
    figures = {
        "1,000 small files": recognition(text, scratch),
        "reading, MB of text a second of a core": reading(text, scratch),
        "memory, MB": {
            "a line of 200 MB, dropped": round(line_memory(200, 16, scratch)),
            "a line of 16 MB, kept": round(line_memory(15.9, 16, scratch)),
            "a line of 100 MB, kept": round(line_memory(100, 128, scratch)),
        },
    }
    result = {
        "benchmark": "reading the corpus",
        "corpus": settings.corpus.name,
        "machine": {"cpu": environment()["cpu"], "cores": os.cpu_count()},
        "versions": environment(),
        "date": datetime.now(UTC).date().isoformat(),
        "figures": figures,
    }
    print(json.dumps(figures, indent=1))
    target = ROOT / "benchmarks" / "results" / "inputs.json"
    target.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
