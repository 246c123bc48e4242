"""Tables and sizes for the terminal. Imports nothing but Rich: a question must be answered at once."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

from flows.terminal import visible

UNITS = ("B", "kB", "MB", "GB", "TB")


def readable_bytes(n_bytes: float) -> str:
    """A size with three digits: 1.23 MB."""
    power = min(len(UNITS) - 1, int(math.log10(max(n_bytes, 1)) // 3))
    return f"{n_bytes / 1000**power:.3g} {UNITS[power]}"


def table_of(rows: Sequence[Mapping[str, Any]], title: str = "", right: Iterable[str] = ()) -> Table:
    """A rich table of rows with the same keys; columns in `right` are aligned right. Text is shown as it is, never as markup."""
    table = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for name in rows[0] if rows else ():
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_escape(str(value)) for value in row.values()))
    return table


def _escape(text: str) -> str:
    return visible(text).replace("[", "\\[")
