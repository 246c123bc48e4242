"""The first difference between two tables, against tables in which one cell was changed."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.lineage.reproducing import byte_differences
from pipeline.lineage.reproducing.byte_differences import compare_tables

COLUMNS = ["token", "count", "score", "vector[2]", "tokens[1]"]


def rows_of(n_rows: int) -> dict[str, list]:
    numbers = np.random.default_rng(n_rows).normal(size=(n_rows, 4)).astype(np.float32)
    numbers[:, 0] = np.nan  # is the same as itself
    return {
        "token": [f"word {row}" for row in range(n_rows)],
        "count": list(range(n_rows)),
        "score": [float("nan") if row % 3 else row / 7 for row in range(n_rows)],
        "vector": numbers.tolist(),
        "tokens": [[row, row + 1, *range(row % 4)] for row in range(n_rows)],
    }


def written(path: Path, rows: dict[str, list], group: int) -> Path:
    schema = pa.schema(
        [
            ("token", pa.string()),
            ("count", pa.int64()),
            ("score", pa.float64()),
            ("vector", pa.list_(pa.float32(), 4)),
            ("tokens", pa.list_(pa.int32())),
        ]
    )
    pq.write_table(pa.table(rows, schema=schema), path, row_group_size=group)
    return path


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_differences, "ROWS_AT_ONCE", 7)


@settings(max_examples=60)
@given(
    n_rows=st.integers(1, 60),
    changed=st.lists(st.tuples(st.integers(0, 59), st.integers(0, 4)), max_size=3),
    groups=st.tuples(st.integers(1, 30), st.integers(1, 30)),
)
def test_compare_tables__finds_the_first_cell_that_was_changed(
    n_rows: int, changed: list[tuple[int, int]], groups: tuple[int, int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("tables")
    then = written(directory / "then.parquet", rows_of(n_rows), groups[0])
    rows = rows_of(n_rows)
    changed = [(row % n_rows, column) for row, column in changed]
    for row, column in set(changed):
        match COLUMNS[column]:
            case "vector[2]":
                rows["vector"][row][2] += 1.0
            case "tokens[1]":
                rows["tokens"][row][1] = -1
            case "token":
                rows["token"][row] += "\x1b"
            case name:
                rows[name][row] = -1
    cell, largest = compare_tables(then, written(directory / "now.parquet", rows, groups[1]))
    if not changed:
        assert (cell, largest) == (None, None)
        return
    row, column = min(changed)
    assert (cell.row, cell.column) == (row, COLUMNS[column])
    assert cell.then != cell.now
    assert "\x1b" not in cell.now
    if cell.column == "vector[2]":
        assert largest == pytest.approx(1.0, abs=1e-5)


@pytest.mark.usefixtures("few_at_once")
@pytest.mark.parametrize(("n_then", "n_now"), [(20, 33), (33, 20)])
def test_compare_tables__finds_that_one_has_more_rows(n_then: int, n_now: int, tmp_path: Path) -> None:
    longer = rows_of(33)
    paths = [written(tmp_path / f"{n}.parquet", {name: values[:n] for name, values in longer.items()}, 6) for n in (n_then, n_now)]
    cell, _ = compare_tables(*paths)
    assert (cell.row, cell.column, bool(cell.then), bool(cell.now)) == (20, "", n_then > n_now, n_now > n_then)


def test_compare_tables__tells_zero_from_its_negative_and_lists_of_other_lengths(tmp_path: Path) -> None:
    rows = rows_of(3) | {"score": [0.0, 0.0, 0.0]}
    then = written(tmp_path / "then.parquet", rows, 2)
    cell, largest = compare_tables(then, written(tmp_path / "zero.parquet", rows | {"score": [0.0, -0.0, 0.0]}, 2))
    assert (cell.row, cell.column, cell.then, cell.now, largest) == (1, "score", "0", "-0", 0.0)
    cell, _ = compare_tables(then, written(tmp_path / "list.parquet", rows | {"tokens": [[0, 1], [1, 2, 0], [2]]}, 2))
    assert (cell.row, cell.column, cell.then, cell.now) == (2, "tokens[1]", "3", "")
