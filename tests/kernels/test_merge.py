"""Merging replicas: the order of the sum and every rounding, to the bit."""

import functools

import numpy as np
import pytest

from kernels.jit import kernel
from kernels.merge import half, row_merger
from kernels.vectors import new_vectors
from tests.reference.merge import merged, tree_sum

V, D = 40, 33


@functools.cache
def merge_kernel(n_replicas):
    merge = row_merger(n_replicas)

    @kernel
    def merge_rows(replicas, model, scale, first, last):
        merge(replicas, model, scale, first, last)

    return merge_rows


def random_replicas(n_replicas):
    """Model, replicas and scales: changes of very different size, so that any other order of summation shows."""
    rng = np.random.default_rng(31)
    model, replicas = new_vectors(V, D), new_vectors(n_replicas * V, D).reshape(n_replicas, V, -1)
    model[:, :D] = rng.normal(0, 1, (V, D))
    replicas[:] = model
    replicas[:, :, :D] += rng.normal(0, 1, (n_replicas, V, D)) * 10.0 ** rng.integers(-3, 3, (n_replicas, V, D))
    return replicas, model, rng.uniform(0.1, 1, V).astype(np.float32)


@pytest.mark.parametrize("n_replicas", range(1, 10))
def test_row_merger__rounds_as_the_reference_to_the_bit(n_replicas):
    replicas, model, scale = random_replicas(n_replicas)
    wanted = merged(model, replicas, scale)
    assert wanted.dtype == np.float32
    merge_kernel(n_replicas)(replicas, model, scale, 0, V)
    assert model.tobytes() == wanted.tobytes()
    assert all(replica.tobytes() == wanted.tobytes() for replica in replicas)


@pytest.mark.parametrize("n_replicas", range(1, 10))
def test_random_replicas__show_another_order_and_a_fused_product(n_replicas):
    """Else the test above would prove nothing."""
    replicas, model, scale = random_replicas(n_replicas)
    changes = list(replicas - model)
    wanted = merged(model, replicas, scale)

    def share_of_others(total):
        return np.mean((model + scale[:, None] * total != wanted)[:, :D])

    assert share_of_others(functools.reduce(np.add, changes[::-1])) > 0.05 or n_replicas < 3
    assert share_of_others(functools.reduce(np.add, changes)) > 0.05 or n_replicas < 4
    # The product of two float32 is exact in float64, so that this rounds once where the kernel rounds twice.
    fused = (model + scale[:, None].astype(np.float64) * tree_sum(changes)).astype(np.float32)
    assert np.mean((fused != wanted)[:, :D]) > 0.05


def test_half__splits_as_pairing_neighbours_level_by_level():
    def tree(first, last):
        if last - first == 1:
            return first
        middle = first + half(last - first)
        return tree(first, middle), tree(middle, last)

    assert [half(n) for n in (2, 3, 4, 5, 8, 9, 64)] == [1, 2, 2, 4, 4, 8, 32]
    assert tree(0, 7) == (((0, 1), (2, 3)), ((4, 5), 6))
    assert tree(0, 6) == (((0, 1), (2, 3)), (4, 5))


def test_row_merger__sees_only_its_rows():
    replicas, model, scale = random_replicas(3)
    kept_replicas, kept_model = replicas.copy(), model.copy()
    wanted = merged(model, replicas, scale)[7:21]
    merge_kernel(3)(replicas, model, scale, 7, 21)
    assert model[7:21].tobytes() == wanted.tobytes()
    others = np.r_[0:7, 21:V]
    assert model[others].tobytes() == kept_model[others].tobytes()
    assert replicas[:, others].tobytes() == kept_replicas[:, others].tobytes()


def test_row_merger__finds_a_change_anywhere_in_a_row_of_any_replica():
    """One number of one replica is enough; rows without any keep their bytes, even minus zero, which adding zero would turn."""
    replicas, model, scale = random_replicas(4)
    model[:, ::3] = -0.0
    replicas[:] = model
    changed = np.arange(V) % 10 != 9
    for row in np.flatnonzero(changed):
        replicas[row % 4, row, row * 7 % D] += 1.0
    kept_replicas, kept_model = replicas.copy(), model.copy()
    wanted = merged(model, replicas, scale)
    merge_kernel(4)(replicas, model, scale, 0, V)
    assert model[changed].tobytes() == wanted[changed].tobytes()
    assert (replicas == model).all()
    assert (model[changed] != kept_model[changed]).any(axis=1).all()
    assert model[~changed].tobytes() == kept_model[~changed].tobytes()
    assert replicas[:, ~changed].tobytes() == kept_replicas[:, ~changed].tobytes()


def test_row_merger__takes_what_one_replica_changed():
    """At scale 1 a row that one replica changed is that replica's row, up to the rounding of a difference and a sum."""
    replicas, model, scale = random_replicas(4)
    replicas[:3] = model
    scale[:] = 1.0
    wanted = replicas[3].copy()
    merge_kernel(4)(replicas, model, scale, 0, V)
    np.testing.assert_allclose(model, wanted, rtol=1e-5, atol=1e-6)


def test_row_merger__shows_a_nan():
    replicas, model, scale = random_replicas(3)
    replicas[1, 5, 2] = np.nan
    merge_kernel(3)(replicas, model, scale, 0, V)
    assert np.isnan(model[5, 2])
    assert np.isnan(model).sum() == 1
