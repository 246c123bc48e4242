"""Blocks on replicas: against the slow reference, and the same bytes for any number of threads."""

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.block import Plan, block_kernel, new_counters
from kernels.jit import _closure
from kernels.merge import Replicas
from kernels.text import Rates, Text
from kernels.trainer import N_TALLIES, Kind
from kernels.vectors import new_vectors
from tests.kernels.training_cases import KINDS, PER_PAIR, SHARED, Case, noise_of, reference_targets, run_threads, train_centres
from tests.reference import block as reference
from tests.reference.merge import merged

# Every pair of these compiles anew: replicas and kind.
KERNELS = [(2, Kind(2)), (3, Kind(6, per_pair=True)), (4, Kind(0)), (7, Kind(1, corrected=True, cbow=True))]


@dataclass
class Block:
    """All that a kernel is called with, made from a case."""

    text: Text
    borders: np.ndarray
    due: np.ndarray
    replicas: Replicas
    targets: Any
    rates: Rates
    n_dimensions: int
    tallies: np.ndarray

    def train(self, kernel, n_threads=1):
        plan = Plan(self.borders, self.due, new_counters(len(self.due), (len(self.borders) - 1) // len(self.due)), n_threads)
        arguments = (self.text, plan, self.replicas, self.targets, self.rates, self.n_dimensions, self.tallies)
        run_threads(kernel, arguments, n_threads)
        return self

    @property
    def all_bytes(self):
        """Everything that training writes."""
        return [array.tobytes() for array in (*self.replicas[:4], self.tallies)]


def block_of(case, n_replicas, *, due=None, first=0, last=None, lead=0):
    """A block whose stretches differ in length, some of them empty, and whose rows have scales that differ."""
    rng = np.random.default_rng(21)
    last = case.n_centres if last is None else last
    due = np.array([[5, 0], [case.n_words, 3], [0, 17], [case.n_words] * 2] if due is None else due, np.int64)
    inside = np.sort(rng.integers(first, last + 1, len(due) * n_replicas - 1))
    model = case.vectors()
    many = []
    for matrix in model:
        copies = new_vectors(n_replicas * len(matrix), case.n_dimensions).reshape(n_replicas, *matrix.shape)
        copies[:] = matrix
        many.append(copies)
    scale = rng.uniform(0.3, 1.0, (2, case.n_words)).astype(np.float32)
    replicas = Replicas(*many, *model, scale)
    borders = lead + np.array([first, *inside, last], np.int64)
    tallies = np.zeros((len(borders) - 1, N_TALLIES))
    return Block(case.text(lead), borders, due, replicas, case.targets(), case.rates(), case.n_dimensions, tallies)


def of_kernel(kind, **changes):
    """The case, number of replicas and kernel of one of `KERNELS`."""
    n_replicas, trained = kind
    return Case(kind=trained, **changes), n_replicas, block_kernel(trained, n_replicas)


def wanted_of(block, case):
    """The same block in float64, slowly: model and replicas, and the tallies."""
    d = case.n_dimensions
    many = [matrix[..., :d].astype(np.float64) for matrix in (block.replicas.inputs, block.replicas.outputs)]
    model = tuple(matrix[..., :d].astype(np.float64) for matrix in (block.replicas.input, block.replicas.output))
    scale = block.replicas.scale.astype(np.float64)
    context = (block.text, block.borders, block.due, model, many, scale, reference_targets(case), block.rates)
    return *many, *model, np.array(reference.train_block(*context, case.kind))


def assert_near(block, wanted, case):
    """Equal up to float32 rounding, which a few hundred steps multiply; the pads are exactly zero."""
    for found, truth in zip(block.replicas[:4], wanted[:4], strict=True):
        np.testing.assert_allclose(found[..., : case.n_dimensions], truth, rtol=2e-4, atol=5e-5)
        assert not found[..., case.n_dimensions :].any()
    np.testing.assert_allclose(block.tallies[:, 0], wanted[4][:, 0], rtol=5e-6, atol=1e-6)
    assert np.array_equal(block.tallies[:, 1:], wanted[4][:, 1:])


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("lead", [0, 9])
def test_train_block__equals_the_reference(kind, lead):
    case, n_replicas, kernel = of_kernel(kind, start_rate=0.05)
    block = block_of(case, n_replicas, lead=lead)
    wanted = wanted_of(block, case)
    assert_near(block.train(kernel), wanted, case)


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize(
    "due",
    [
        [[0, 0]],
        [[30, 30]],
        [[0, 0], [0, 0], [0, 0]],
        [[1, 30], [30, 1], [29, 2], [2, 29], [3, 3], [30, 30]],
    ],
)
def test_train_block__equals_the_reference_for_any_rows_due(kind, due):
    """Also when a block ends with rows that are not due, and goes on in the next."""
    case, n_replicas, kernel = of_kernel(kind, start_rate=0.05)
    block = block_of(case, n_replicas, due=due, last=100)
    wanted = wanted_of(block, case)
    assert_near(block.train(kernel), wanted, case)
    following = block_of(case, n_replicas, first=100)
    following.replicas = block.replicas
    wanted = wanted_of(following, case)
    assert_near(following.train(kernel), wanted, case)


@pytest.mark.parametrize("kind", KERNELS)
def test_train_block__gives_the_same_bytes_for_any_number_of_threads(kind):
    """More threads than stretches, too. Rows by the thousand, so that every thread merges some."""
    changes = {"sentence_lengths": (700, 1, 300) * 10, "n_words": 2000, "start_rate": 0.02}
    case, n_replicas, kernel = of_kernel(kind, **changes)
    due = [[64, 65], [1000, 700], [64, 1], [2000, 2000]] * 3 + [[64, 64]]
    wanted = block_of(case, n_replicas, due=due).train(kernel).all_bytes
    for n_threads in (2, 3, 4, 7):
        assert block_of(case, n_replicas, due=due).train(kernel, n_threads).all_bytes == wanted


def test_train_block__lets_threads_share_one_model():
    """Without replicas results depend on timing, but every centre is trained once, and the loss is near that of one thread."""
    case = Case(sentence_lengths=(400,) * 25, n_dimensions=100, start_rate=0.01)
    borders = np.linspace(0, case.n_centres, 51).astype(np.int64)
    context = (case.targets(), case.rates(), 100)
    matrices = case.vectors()
    alone = train_centres(case.text(), borders, case.vectors(), *context)
    together = train_centres(case.text(), borders, matrices, *context, n_threads=4)
    assert together[1:].tolist() == alone[1:].tolist()
    assert together[0] == pytest.approx(alone[0], rel=0.1)
    assert np.isfinite(matrices).all()
    assert not np.array_equal(matrices[0], case.vectors()[0])


@pytest.mark.parametrize("kind", KERNELS[:2])
def test_train_block__keeps_the_bytes_of_rows_that_nobody_trains(kind):
    """Minus zero and the smallest numbers, of which the sum of nothing would make something else."""
    case, n_replicas, kernel = of_kernel(kind, n_words=40)
    block = block_of(case, n_replicas)
    block.targets = noise_of(np.arange(40) < 5)
    quiet = np.setdiff1d(np.arange(5, 40), block.text.tokens)
    assert quiet.size > 3
    odd = np.array([0x80000000, 0x80000001, 0x00000001, 0xFF7FFFFF], np.uint32).view(np.float32)
    for matrix in block.replicas[:4]:
        matrix[..., quiet, :16] = np.tile(odd, 4)
    before = [matrix[..., quiet, :].tobytes() for matrix in block.replicas[:4]]
    block.train(kernel)
    assert [matrix[..., quiet, :].tobytes() for matrix in block.replicas[:4]] == before
    assert np.isfinite(block.tallies).all()


@settings(max_examples=60)
@given(data=st.data(), kind=st.sampled_from(KERNELS[:2]))
def test_train_block__makes_all_replicas_equal_in_the_rows_that_are_due(data, kind):
    """Whatever the text and the cuts; rows that nobody trained stay as they were, and no row changes that is not due."""
    lengths = data.draw(st.lists(st.integers(0, 40), min_size=1, max_size=6))
    case, n_replicas, kernel = of_kernel(kind, sentence_lengths=tuple(lengths), n_words=100, window=data.draw(st.integers(1, 8)))
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, case.n_centres)] * 2)))
    due = data.draw(st.tuples(*[st.integers(0, 100)] * 2))
    alone = block_of(case, n_replicas, due=[[0, 0]], first=first, last=last).train(kernel)
    block = block_of(case, n_replicas, due=[due], first=first, last=last).train(kernel)
    assert block.tallies.tobytes() == alone.tallies.tobytes()
    for matrix, n_due in enumerate(due):
        before = case.vectors()[matrix]
        many, one, apart = block.replicas[matrix], block.replicas[matrix + 2], alone.replicas[matrix]
        assert (many[:, :n_due] == one[:n_due]).all()
        assert many[:, n_due:].tobytes() == apart[:, n_due:].tobytes()
        assert one[n_due:].tobytes() == before[n_due:].tobytes()
        trained = (apart != before).any(axis=(0, 2))
        assert one[~trained].tobytes() == before[~trained].tobytes()
        wanted = merged(before, apart, block.replicas.scale[matrix])
        assert one[:n_due][trained[:n_due]].tobytes() == wanted[:n_due][trained[:n_due]].tobytes()


def test_block_kernel__has_constants_of_its_own_in_the_cache():
    """The key of machine code on disk tells all constants apart, and two makings of one kernel alike."""
    kinds = list(itertools.product((SHARED, PER_PAIR, Kind(1), Kind(n_dimensions=100), *KINDS[4:6]), (0, 2, 3), (4, 8)))
    block_kernel.cache_clear()
    keys = [_closure(block_kernel(*kind).py_func) for kind in kinds]
    assert len(set(keys)) == len(kinds)
    block_kernel.cache_clear()
    assert [_closure(block_kernel(*kind).py_func) for kind in kinds] == keys


def test_block_of__is_worth_testing():
    """Stretches begin inside sentences, differ in length, and one is empty; the merges change something."""
    case, n_replicas, kernel = of_kernel(KERNELS[0])
    block = block_of(case, n_replicas)
    lengths = np.diff(block.borders)
    assert len(set(lengths.tolist())) > 4
    assert np.setdiff1d(block.borders, block.text.offsets).size > 3
    merged = block.train(kernel)
    other = block_of(replace(case), n_replicas, due=[[0, 0]] * 3 + [[30, 30]]).train(kernel)
    assert not np.allclose(merged.replicas.input, other.replicas.input, atol=1e-3)
