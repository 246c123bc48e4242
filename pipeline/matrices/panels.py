"""Tall matrices in panels of a few columns, and threads that share their rows: the same bytes for any number of them."""

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from kernels.panels import WIDTH, add_combination, add_inner_products

T = TypeVar("T")
R = TypeVar("R")
Singles = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

N_RANGES = 64  # of rows: fixed, because the bytes of sums depend on it


class Team:
    """Threads that share work. Use it in `with`."""

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads
        self._pool = ThreadPoolExecutor(n_threads)

    def each(self, work: Callable[[int, int], R], borders: Sequence[int]) -> list[R]:
        """What `work(first, last)` returns for every range between two borders, in order."""
        waiting = deque(enumerate(pairwise(borders)))
        results: dict[int, R] = {}

        def work_on() -> None:
            while True:
                try:
                    number, (first, last) = waiting.popleft()
                except IndexError:
                    return
                results[number] = work(first, last)

        # A task for each thread, not for each range: that took 40 microseconds, as long as many ranges do.
        threads = [self._pool.submit(work_on) for _ in range(self.n_threads)]
        try:
            for thread in threads:
                thread.result()
        finally:
            waiting.clear()
        return [results[number] for number in range(len(borders) - 1)]

    def stream(self, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """What `work(item)` returns for every item, in order, with no more of them begun than there are threads, and one."""
        begun: deque[Future[R]] = deque()
        for item in items:
            begun.append(self._pool.submit(work, item))
            if len(begun) > self.n_threads:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)


def _ranges(n_rows: int) -> list[int]:
    return [n_rows * i // N_RANGES for i in range(N_RANGES + 1)]


# V rows, P and Q panels, W WIDTH
def inner_products(panels: Singles, panel: Singles, team: Team) -> Doubles:
    """Every panel transposed times one panel, float64 (P, W, W)."""

    def of_range(first: int, last: int) -> Doubles:
        products = np.zeros((len(panels), WIDTH, WIDTH))
        add_inner_products(panels, panel, first, last, products)
        return products

    return _sum(team.each(of_range, _ranges(len(panel))))


def exact_inner_products(panel: Singles, team: Team) -> Doubles:
    """A panel transposed times itself, float64 (W, W), all in float64: small eigenvalues of it would be lost in float32."""

    def of_range(first: int, last: int) -> Doubles:
        products = np.zeros((1, WIDTH, WIDTH))
        rows = panel[first:last].astype(np.float64)
        add_inner_products(rows[None], rows, 0, last - first, products)
        return products

    products: Doubles = _sum(team.each(of_range, _ranges(len(panel))))[0]
    return products


def all_inner_products(panels: Singles, team: Team) -> Doubles:
    """All columns of some panels with each other, float64 (P W, P W), all in float64."""
    n_panels, n_rows, _ = panels.shape

    def of_range(first: int, last: int) -> Doubles:
        products = np.zeros((n_panels, n_panels, WIDTH, WIDTH))
        rows = panels[:, first:last].astype(np.float64)
        for i in range(n_panels):
            add_inner_products(rows[: i + 1], rows[i], 0, last - first, products[i, : i + 1])
        return products

    products = _sum(team.each(of_range, _ranges(n_rows)))
    upper = np.triu(products.transpose(1, 2, 0, 3).reshape(n_panels * WIDTH, n_panels * WIDTH))
    symmetric: Doubles = upper + np.triu(upper, 1).T
    return symmetric


def subtract(panels: Singles, factors: Doubles, panel: Singles, team: Team) -> None:
    """Take panels times factors, float64 (P, W, W), away from a panel, in place."""
    negative = -factors.astype(np.float32)
    team.each(lambda first, last: add_combination(panels, negative, panel, first, last), _ranges(len(panel)))


def combined(panels: Singles, factors: Doubles, team: Team) -> Singles:
    """Panels times factors, float64 (P W, Q W), as Q panels."""
    n_panels, n_rows, _ = panels.shape
    combined = np.zeros((factors.shape[1] // WIDTH, n_rows, WIDTH), np.float32)
    for i, panel in enumerate(combined):
        columns = factors[:, i * WIDTH : (i + 1) * WIDTH].reshape(n_panels, WIDTH, WIDTH).astype(np.float32)
        team.each(functools.partial(add_combination, panels, columns, panel), _ranges(n_rows))
    return combined


def _sum(parts: Iterable[Doubles]) -> Doubles:
    """The sum of arrays, always in this order."""
    first, *others = parts
    for other in others:
        first += other
    return first
