"""How a run looks while it goes on: bars on a terminal, log lines elsewhere, JSON lines for machines. Listeners for the same events."""

import time
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from flows.report import figure_texts
from flows.tables import readable_bytes
from flows.terminal import json_text
from pipeline.events import Event, RunWaits, RunWarned, StepAdvanced, StepFinished, StepResumed, StepStarted, values_of

SECONDS_BETWEEN_LINES = 10.0


class Display(Protocol):
    """A listener that lives as long as a run."""

    def __call__(self, event: Event) -> None:
        """Show one event."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


def finished_text(event: StepFinished) -> str:
    """One line of a finished step."""
    verb = ("shared" if event.n_shared else "reused") if event.reused else f"{event.elapsed_s:.1f} s"
    return f"{event.step:<12} {verb:>8}  {readable_bytes(event.size_bytes):>8}  {event.summary}"


def resumed_text(event: StepResumed) -> str:
    """One line of a step that does not begin at its beginning."""
    return f"{event.step:<12} goes on from a checkpoint: {event.n_done:,} of {event.n_total:,} {event.unit} are done"


class Bars:
    """A bar for the step that computes; a line for every step that is finished."""

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<12}", markup=False),
            BarColumn(24),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self.tasks: dict[str, Any] = {}

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case StepStarted():
                self.tasks[event.step] = self.progress.add_task(event.step, total=None, figures=event.reason)
            case StepResumed():
                self.progress.console.print(Text.assemble(("> ", "green"), resumed_text(event)))
            case StepAdvanced() if event.step in self.tasks:
                figures = "  ".join(figure_texts(event)) or f"{event.n_done:,} of {event.n_total:,} {event.unit}"
                self.progress.update(self.tasks[event.step], total=event.n_total, completed=event.n_done, figures=figures)
            case StepFinished():
                if event.step in self.tasks:
                    self.progress.remove_task(self.tasks.pop(event.step))
                mark = ("= ", "green") if event.reused else ("+ ", "bold green")
                self.progress.console.print(Text.assemble(mark, finished_text(event)))
            case RunWarned():
                self.progress.console.print(Text.assemble(("! ", "bold yellow"), event.message))
            case RunWaits():
                self.progress.console.print(Text.assemble(("> ", "green"), f"waits: {event.reason}"))
            case _:
                pass

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.stop()


class Lines:
    """Plain log lines: a step that starts, one line every ten seconds, a step that is finished."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.last = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case StepStarted():
                self._line(f"{event.step:<12} starts: {event.reason}")
            case StepResumed():
                self._line(resumed_text(event))
            case StepAdvanced() if time.monotonic() - self.last > SECONDS_BETWEEN_LINES:
                left = [f"{event.figures['left_s']:.0f} s left"] if "left_s" in event.figures else []
                done = f"{event.step:<12} {event.n_done / max(1, event.n_total):>7.0%}"
                self._line("  ".join([done, *figure_texts(event), *left]))
            case StepFinished():
                self._line(finished_text(event))
            case RunWarned():
                self._line(f"warning: {event.message}")
            case RunWaits():
                self._line(f"waits: {event.reason}")
            case _:
                pass

    def _line(self, text: str) -> None:
        self.last = time.monotonic()
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class JsonLines:
    """One JSON object a line for every event."""

    def __init__(self, out: TextIO) -> None:
        self.out = out

    def __call__(self, event: Event) -> None:
        """Show one event."""
        self.out.write(json_text(values_of(event), allow_nan=False) + "\n")
        self.out.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...
