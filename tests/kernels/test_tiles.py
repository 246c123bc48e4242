"""The arithmetic of one window against float64, for any number of contexts, outputs and dimensions, at every SIMD width."""

import functools
import os
import subprocess
import sys

import numpy as np
import pytest

from kernels.jit import kernel
from kernels.tiles import address_rows, grade_window, score_window, update_window
from kernels.trainer import Kind
from kernels.vectors import new_vectors
from kernels.windows import MAX_CONTEXTS, group_size, plane_floats
from tests.reference import windows as reference

RATE = 0.05
N_WORDS = 12


@functools.cache
def window_kernel(n_outputs, width, literal_blocks):
    """One step of one window; with `literal_blocks` the number of blocks is a constant of its code."""
    constant = literal_blocks > 0

    @kernel
    def move(contexts, outputs, inputs, targets, n_blocks, signs, scores, rate, loss, exponents):
        context_rows, output_rows = np.empty(MAX_CONTEXTS, np.int64), np.empty(n_outputs, np.int64)
        n = contexts.size
        address_rows(contexts, inputs, 0, n, context_rows, 0)
        address_rows(outputs, targets, 0, n_outputs, output_rows, 0)
        if constant:
            score_window(context_rows, n, output_rows, scores, literal_blocks, n_outputs, width)
            grade_window(n, scores, signs, rate, loss, exponents, n_outputs, width)
            update_window(context_rows, n, output_rows, scores, literal_blocks, n_outputs, width, 3, context_rows, 0)
        else:
            score_window(context_rows, n, output_rows, scores, n_blocks, n_outputs, width)
            grade_window(n, scores, signs, rate, loss, exponents, n_outputs, width)
            update_window(context_rows, n, output_rows, scores, n_blocks, n_outputs, width, 3, context_rows, 0)

    return move


def signs_of(n_outputs, width, words):
    """+1 for the first output, -1 for noise, 0 for noise that is the first output, laid out as the scores."""
    size = group_size(n_outputs, width)
    planes = []
    for first in range(0, n_outputs, size):
        group = [1.0 if j == 0 else 0.0 if words[j] == words[0] else -1.0 for j in range(first, min(first + size, n_outputs))]
        plane = np.zeros(plane_floats(n_outputs, width), np.float32)
        plane[: MAX_CONTEXTS * len(group)] = np.tile(group, MAX_CONTEXTS)
        planes.append(plane)
    return np.concatenate(planes)


def step(n_contexts, n_outputs, n_dimensions, width, *, literal=False, repeat=True):
    """What one window does, and what it should do: both matrices, the loss, and the matrices' padding."""
    rng = np.random.default_rng([n_contexts, n_outputs, n_dimensions])
    n_words = N_WORDS if repeat else 2 * MAX_CONTEXTS
    contexts = rng.integers(0, n_words, n_contexts) if repeat else rng.permutation(n_words)[:n_contexts]
    outputs = rng.integers(0, n_words, n_outputs)
    matrices = [new_vectors(n_words, n_dimensions) for _ in range(2)]
    for matrix in matrices:
        matrix[:, :n_dimensions] = rng.normal(0, n_dimensions**-0.25, (n_words, n_dimensions))
    truth = [matrix[:, :n_dimensions].astype(np.float64) for matrix in matrices]
    signs = signs_of(n_outputs, width, outputs)
    loss, exponents = np.repeat(np.float32([0, 1]), width), np.zeros(width, np.int32)
    n_blocks = -(-n_dimensions // width)
    window_kernel(n_outputs, width, n_blocks if literal else 0)(
        contexts.astype(np.int32),
        outputs.astype(np.int32),
        *matrices,
        n_blocks,
        signs,
        np.zeros_like(signs),
        np.float32(RATE),
        loss,
        exponents,
    )
    part = reference.noise_part(int(outputs[0]), outputs[1:].tolist(), None)
    expected_loss = reference.train_window(*truth, contexts.tolist(), [part], RATE, Kind())
    found_loss = loss[:width].sum() + exponents.sum() * np.log(2.0) + np.log(loss[width:].astype(np.float64)).sum()
    return matrices, truth, float(found_loss), expected_loss


def assert_right(n_contexts, n_outputs, n_dimensions, width, **options):
    matrices, truth, loss, expected_loss = step(n_contexts, n_outputs, n_dimensions, width, **options)
    for matrix, wanted in zip(matrices, truth, strict=True):
        np.testing.assert_allclose(matrix[:, :n_dimensions], wanted, rtol=1e-4, atol=2e-5)
        assert not matrix[:, n_dimensions:].any()
    assert loss == pytest.approx(expected_loss, rel=1e-5)


@pytest.mark.parametrize("width", [4, 8, 16])
@pytest.mark.parametrize("n_outputs", [2, 6, 7, 21])
def test_window__moves_as_the_reference_for_any_number_of_contexts_and_dimensions(n_outputs, width):
    """The products are tiled by 1, 2 and 4 contexts and by 1, 2 and 4 blocks: every remainder of each is met here."""
    for n_contexts in (1, 2, 3, 4, 5, 7, 8, 10):
        for n_dimensions in (1, 8, 9, 16, 17, 33, 50, 100):
            assert_right(n_contexts, n_outputs, n_dimensions, width)


@pytest.mark.parametrize("width", [4, 8, 16])
def test_window__moves_as_the_reference_at_its_largest(width):
    assert_right(MAX_CONTEXTS, 65, 1024, width, repeat=False)


@pytest.mark.parametrize("n_outputs", [6, 13])
def test_window__moves_as_the_reference_when_the_number_of_blocks_is_a_constant(n_outputs):
    for n_contexts in (1, 6):
        assert_right(n_contexts, n_outputs, 100, 8, literal=True)


@pytest.mark.parametrize("n_outputs", [6, 13])
def test_update_window__changes_the_same_when_it_asks_for_rows(n_outputs):
    @kernel
    def move(rows, matrix, scores, ahead):
        addresses = np.empty(40, np.int64)
        address_rows(rows, matrix, 0, 40, addresses, 0)
        if ahead:
            update_window(addresses[:6], 6, addresses[6:], scores, 13, n_outputs, 8, 3, addresses[30:], 10)
        else:
            update_window(addresses[:6], 6, addresses[6:], scores, 13, n_outputs, 8, 3, addresses, 0)

    found = []
    for ahead in (False, True):
        matrix = new_vectors(40, 100)
        matrix[:, :100] = np.random.default_rng(1).normal(0, 1, (40, 100))
        scores = np.full(-(-n_outputs // group_size(n_outputs, 8)) * plane_floats(n_outputs, 8), 0.1, np.float32)
        move(np.arange(40, dtype=np.int32), matrix, scores, ahead)
        found.append(matrix)
    assert np.array_equal(*found)
    assert not np.array_equal(found[0][0], new_vectors(1, 100)[0])


def test_window__without_contexts_changes_nothing():
    for n_outputs in (6, 7):
        matrices, truth, loss, _ = step(0, n_outputs, 20, 8)
        for matrix, wanted in zip(matrices, truth, strict=True):
            assert np.array_equal(matrix[:, :20], wanted)
        assert loss == 0.0


def test_window__is_right_for_a_processor_without_avx_and_fma(tmp_path):
    """Compiled for the first x86-64 processors; the machine code is looked at, so that this is not a test of the machine it runs on."""
    program = (
        "from tests.kernels.test_tiles import assert_right, window_kernel\n"
        "from kernels.lanes import simd_width\n"
        "assert simd_width() == 4\n"
        "for n_outputs in (6, 8):\n"
        "    for n_contexts in (1, 6):\n"
        "        assert_right(n_contexts, n_outputs, 100, simd_width())\n"
        "    code = ''.join(window_kernel(n_outputs, 4, 0).inspect_asm().values())\n"
        "    assert 'mulps' in code and 'vfmadd' not in code and 'ymm' not in code and 'fmaf' not in code\n"
    )
    run_without_avx(program, tmp_path)


def test_training__is_right_for_a_processor_without_avx_and_fma(tmp_path):
    """Draws, blocks, merges and exchange, against their references."""
    tests = [
        f"tests/kernels/{name}"
        for name in ("test_draws.py", "test_merge.py", "test_exchange.py", "test_block.py::test_train_block__equals_the_reference[9-kind0]")
    ]
    run_without_avx(f"import pytest, sys; sys.exit(pytest.main(['-p', 'no:cacheprovider', *{tests}]))", tmp_path)


def run_without_avx(program, cache):
    """Run Python that compiles for the first x86-64 processors."""
    forced = {"CORPUS2VEC_SIMD_WIDTH": "4", "NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(cache)}
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | forced)
