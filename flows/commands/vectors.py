"""`corpus2vec similar`, `analogy` and `export`: trained vectors in use."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.commands.shared import AsJson, Candidates, Count, ModelName, StorePath, Used, app, console, print_json, store_path
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.vectors import Neighbour, Vectors


@app.command
def similar(
    *words: str,
    count: Count = 10,
    candidates: Candidates = None,
    vectors: Used = "usual",
    model: ModelName = "",
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """The words nearest to WORD by cosine; several words: nearest to their sum."""
    if not words:
        raise UsageError("Which word?", where="similar", expected="WORD [WORD ...]", remedy="For example corpus2vec similar king")
    with _located(model, store):
        _show_neighbours(_vectors(model, store, vectors).similar(words, count, candidates), as_json)


@app.command
def analogy(
    a: str,
    b: str,
    c: str,
    /,
    *,
    count: Count = 10,
    candidates: Candidates = None,
    vectors: Used = "usual",
    model: ModelName = "",
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """A is to B as C is to ...? (3CosAdd)"""
    with _located(model, store):
        _show_neighbours(_vectors(model, store, vectors).analogy(a, b, c, count, candidates), as_json)


@app.command
def export(
    path: Path,
    /,
    *,
    binary: Annotated[bool, Parameter(negative="", help="The binary format; else text.")] = False,
    vectors: Used = "usual",
    model: ModelName = "",
    store: StorePath = None,
) -> None:
    """Write a model to PATH in the word2vec format that gensim and others read."""
    from pipeline.export import write_word2vec_binary, write_word2vec_text

    exported = _vectors(model, store, vectors)
    write = write_word2vec_binary if binary else write_word2vec_text
    write(exported, path)
    console().print(f"{path}: {len(exported.counts):,} words, {exported.matrix.shape[1]} dimensions", markup=False)


def _vectors(model: str, store: Path | None, side: str) -> "Vectors":
    from pipeline.lineage.models import find_model
    from pipeline.storage.store import Store

    return find_model(Store(store_path(store)), model).read(side)


@contextlib.contextmanager
def _located(model: str, store: Path | None) -> Iterator[None]:
    """Say of an unknown word in which model it is unknown."""
    try:
        yield
    except UsageError as error:
        error.details["where"] = error.details["where"] or f"model {model or '(the newest)'}, store {store_path(store)}"
        raise


def _show_neighbours(neighbours: "list[Neighbour]", as_json: bool) -> None:
    rows = [{"word": found.word, "similarity": float(found.similarity), "count": int(found.count)} for found in neighbours]
    if as_json:
        print_json(rows)
        return
    from flows.tables import table_of

    shown = [{**row, "similarity": f"{row['similarity']:.3f}", "count": f"{row['count']:,}"} for row in rows]
    console().print(table_of(shown, right=("similarity", "count")))
