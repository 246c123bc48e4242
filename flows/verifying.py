"""What `corpus2vec verify` prints: a bar while it reads, then what is wrong and what was checked."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from flows.tables import readable_bytes
from pipeline.lineage.verifying.verification import Verification

MOST_SHOWN = 50


@contextlib.contextmanager
def shown_progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    """A bar of bytes on a terminal, which goes when all is read; elsewhere nothing."""
    columns = (TextColumn("verify"), BarColumn(24), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def show_verification(done: Verification, console: Console) -> None:
    """Everything that is wrong, with what can be done, and one line of what was looked at."""
    for found in done.findings[:MOST_SHOWN]:
        console.print(f"{found.place}: {found.wrong}", markup=False, soft_wrap=True)
        for name, text in (("got", found.got), ("expected", found.expected), ("remedy", found.remedy)):
            if text:
                console.print(f"  {name + ':':<10}{text}", markup=False, soft_wrap=True)
    if len(done.findings) > MOST_SHOWN:
        console.print(f"and {len(done.findings) - MOST_SHOWN:,} more: --json has all")
    if done.findings:
        console.print()
    counts = (_count(done.n_artifacts, "artifact"), _count(done.n_files, "file"), readable_bytes(done.n_bytes))
    speed = readable_bytes(done.n_bytes / max(done.elapsed_s, 1e-9))
    checked = f"Checked {done.name}: {', '.join(counts)}, {_count(done.n_records, 'record')} in {done.elapsed_s:.2f} s, {speed}/s."
    console.print(checked, markup=False, soft_wrap=True)
    if done.n_elsewhere:
        console.print(
            f"Of {_count(done.n_elsewhere, 'more artifact')} only manifests are here, and were checked: a shared store has the files."
        )
    if done.n_outside:
        console.print(f"Not looked at: {_count(done.n_outside, 'input')} from outside of the store, such as files of the corpus.")
    if done.forgotten:
        console.print(f"Runs in the store have {_count(len(done.forgotten), 'artifact')} in their records that were removed since.")
    if not done.findings:
        console.print("Everything is as it was made.")


def verification_values(done: Verification) -> dict[str, Any]:
    """A verification for JSON."""
    findings = [
        {**asdict(found), "wrong": found.wrong.name.lower(), "what": str(found.wrong), "remedy": found.remedy} for found in done.findings
    ]
    return {"whole": not done.findings, **asdict(done), "findings": findings}


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
