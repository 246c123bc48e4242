"""The pair files of a run in their order, cut into blocks, and read one file ahead of the kernel: memory does not grow with the corpus."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from kernels.text import Text
from pipeline.storage.artifact import Artifact
from pipeline.storage.schemas import PAIRS
from pipeline.storage.tables import count_elements, flat_lists, read_table


@dataclass(frozen=True)
class PairFile:
    """One file of pairs at its place in the run."""

    path: Path
    epoch: int
    first_centre: int  # centres before it, over all epochs
    n_centres: int


@dataclass(frozen=True)
class Block:
    """Centres first..last-1 of one file, trained in one go. A cycle of blocks, of one epoch, leads from one whole model to the next."""

    file: int
    first: int
    last: int
    n_rounds_before: int
    """In its cycle."""
    ends_cycle: bool
    """Whether the model is whole after it."""


def pair_files(pairs: Artifact) -> list[PairFile]:
    """The files of an artifact of pairs, epoch by epoch."""
    files, n_before = [], 0
    for record in pairs.files("epoch-"):
        path = pairs.path(record.name)
        files.append(PairFile(path, int(record.name[6:9]), n_before, count_elements(path)))
        n_before += files[-1].n_centres
    return files


def cut_blocks(files: Sequence[PairFile], round_centres: int, cycle_rounds: int) -> Iterator[Block]:
    """Blocks of whole rounds, which have so many centres, and so many rounds in a cycle; the last of a file and of an epoch are shorter."""
    last_files = {file.epoch: number for number, file in enumerate(files) if file.n_centres}.values()
    n_rounds = 0
    for number, file in enumerate(files):
        first = 0
        while first < file.n_centres:
            last = min(file.n_centres, first + (cycle_rounds - n_rounds) * round_centres)
            n_here = -(-(last - first) // round_centres)
            ends = n_rounds + n_here == cycle_rounds or (last == file.n_centres and number in last_files)
            yield Block(number, first, last, n_rounds, ends)
            n_rounds = 0 if ends else n_rounds + n_here
            first = last


def order_of_appearance(files: Sequence[PairFile], n_words: int) -> npt.NDArray[np.int64]:
    """The words by their first place in the first epoch, int64 (V,); those that it has not come last, by id.

    Raises
    ------
    StoreError
        When a file is damaged.
    """
    unseen = np.iinfo(np.int64).max
    first = np.full(n_words, unseen)
    for file in files:
        if file.epoch == 0 and file.n_centres:
            tokens, offsets = flat_lists(read_table(file.path, PAIRS, ["tokens"]).combine_chunks()["tokens"].chunk(0))
            tokens = tokens[offsets[0] : offsets[-1]]
            new = np.flatnonzero(first[tokens] == unseen)[::-1]
            first[tokens[new]] = file.first_centre + new  # of several the last value stays: the first place
    return np.argsort(first, kind="stable")


class PairReader:
    """Gives the text of one file after the other, and reads the next one meanwhile. Use it in `with`."""

    def __init__(self, files: Sequence[PairFile]) -> None:
        self.files = files
        self._pool = ThreadPoolExecutor(1)
        self._read: dict[int, Future[Text]] = {}

    def text(self, number: int) -> Text:
        """The text of a file; the position of its first centre is `offsets[0]`.

        Raises
        ------
        StoreError
            When the file is damaged.
        """
        wanted = (number, number + 1) if number + 1 < len(self.files) else (number,)
        self._read = {n: self._read.get(n) or self._pool.submit(_read_pairs, self.files[n]) for n in wanted}
        return self._read[number].result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._read = {}


def empty_text(base: int) -> Text:
    """A text without sentences, of the same types as those that are read: for any other, kernels would be compiled anew."""
    tokens, radius = np.zeros(0, np.int32), np.zeros(0, np.uint8)
    tokens.flags.writeable = radius.flags.writeable = False
    return Text(tokens, np.zeros(1, np.int64), radius, base)


def _read_pairs(file: PairFile) -> Text:
    table = read_table(file.path, PAIRS).combine_chunks()
    if not table.num_rows:
        return empty_text(file.first_centre)
    tokens, offsets = flat_lists(table["tokens"].chunk(0))
    radius = flat_lists(table["radius"].chunk(0))[0]
    return Text(tokens, offsets, radius, file.first_centre - int(offsets[0]))
