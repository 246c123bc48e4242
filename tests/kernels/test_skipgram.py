"""The training kernel against the slow reference, and the reference against its own objective by finite differences."""

import itertools
import math
import subprocess
import sys
import threading
from dataclasses import dataclass, replace

import numpy as np
import pytest

from kernels.alias import build_alias
from kernels.skipgram import MAX_NEGATIVES, MAX_WINDOW, fill_initial, new_vectors, skipgram_kernel, train_skipgram
from kernels.tiles import WIDTH_VARIABLE, simd_width
from tests.reference import skipgram as reference

NOISE_KEY = np.uint64(0xC0FFEE)


@dataclass(frozen=True)
class Case:
    """A small training task; vectors and rates are large, so that an error shows."""

    sentence_lengths: tuple[int, ...] = (0, 1, 2, 150, 3, 0, 40)
    n_words: int = 30
    window: int = 5
    n_dimensions: int = 16
    n_negatives: int = 5
    first_centre: int = 1000
    start_rate: float = 0.1

    @property
    def n_centres(self):
        return sum(self.sentence_lengths)

    def data(self, lead=0):
        """Tokens, offsets, radius: with `lead` positions of other sentences before."""
        rng = np.random.default_rng(11)
        offsets = lead + np.concatenate([[0], np.cumsum(self.sentence_lengths)]).astype(np.int64)
        tokens = np.empty(lead + self.n_centres, np.int32)
        tokens[:lead] = 0
        tokens[lead:] = np.minimum(rng.geometric(0.15, self.n_centres) - 1, self.n_words - 1)
        radius = np.ones(lead + self.n_centres, np.uint8)
        radius[lead:] = rng.integers(0, self.window + 1, self.n_centres)
        return tokens, offsets, radius

    def noise(self):
        return build_alias(np.arange(1.0, self.n_words + 1) ** -0.75)

    def vectors(self):
        rng = np.random.default_rng(12)
        matrices = []
        for _ in range(2):
            matrix = new_vectors(self.n_words, self.n_dimensions)
            matrix[:, : self.n_dimensions] = rng.normal(0, 1.5 * self.n_dimensions**-0.25, (self.n_words, self.n_dimensions))
            matrices.append(matrix)
        return matrices

    def schedule(self):
        return self.start_rate, 0.01, self.first_centre + 2 * self.n_centres


def train(case, matrices=None, *, cuts=(), lead=0, width=None):
    """Both matrices and the tallies after training, in slices that end at the sentences `cuts`."""
    tokens, offsets, radius = case.data(lead)
    inputs, outputs = matrices or case.vectors()
    tallies = np.zeros(3)
    edges = [0, *cuts, len(offsets) - 1]
    for first, last in itertools.pairwise(edges):
        slices = (tokens, offsets, radius, first, last, case.first_centre, inputs, outputs, *case.noise(), case.n_dimensions)
        schedule = (NOISE_KEY, *case.schedule(), tallies)
        if width is None:
            train_skipgram(*slices, case.n_negatives, *schedule)
        else:
            skipgram_kernel(case.n_negatives, width)(*slices, *schedule)
    return inputs, outputs, tallies


def expected(case):
    """The same in float64, slowly."""
    d = case.n_dimensions
    inputs, outputs = (matrix[:, :d].astype(np.float64) for matrix in case.vectors())
    tallies = reference.train(
        *case.data(), case.first_centre, inputs, outputs, *case.noise(), case.n_negatives, int(NOISE_KEY), *case.schedule()
    )
    return inputs, outputs, np.array(tallies)


def assert_near(found, wanted, case):
    """Equal up to float32 rounding, which a few hundred steps multiply; the pads are exactly zero."""
    for matrix, truth in zip(found[:2], wanted[:2], strict=True):
        np.testing.assert_allclose(matrix[:, : case.n_dimensions], truth, rtol=2e-4, atol=5e-5)
        assert not matrix[:, case.n_dimensions :].any()
    assert found[2][0] == pytest.approx(wanted[2][0], rel=2e-6)
    assert found[2][1:].tolist() == wanted[2][1:].tolist()


@pytest.mark.parametrize("n_dimensions", [1, 7, 8, 16, 17, 100, 300])
def test_train_skipgram__equals_the_reference_for_any_dimension(n_dimensions):
    case = Case(n_dimensions=n_dimensions)
    assert_near(train(case), expected(case), case)


@pytest.mark.parametrize("n_negatives", [1, 10, MAX_NEGATIVES])
def test_train_skipgram__equals_the_reference_for_any_number_of_negatives(n_negatives):
    case = Case(n_negatives=n_negatives, start_rate=0.5 / n_negatives)
    assert_near(train(case), expected(case), case)


@pytest.mark.parametrize(("window", "lengths"), [(1, (40, 2)), (5, (1, 1, 0)), (MAX_WINDOW, (200, 5)), (10, ())])
def test_train_skipgram__equals_the_reference_for_any_window(window, lengths):
    case = Case(window=window, sentence_lengths=lengths, start_rate=0.02)
    assert_near(train(case), expected(case), case)


@pytest.mark.parametrize("n_words", [1, 2, 3])
def test_train_skipgram__equals_the_reference_when_words_repeat_and_noise_is_the_centre(n_words):
    case = Case(n_words=n_words, sentence_lengths=(30, 7), n_negatives=5, start_rate=0.02)
    assert_near(train(case), expected(case), case)


@pytest.mark.parametrize("width", [4, 8, 16])
@pytest.mark.parametrize("n_dimensions", [7, 100])
def test_skipgram_kernel__equals_the_reference_at_every_simd_width(width, n_dimensions):
    case = Case(n_dimensions=n_dimensions)
    assert_near(train(case, width=width), expected(case), case)


@pytest.mark.parametrize("width", [4, 8, 16])
def test_skipgram_kernel__adds_up_the_loss_of_the_largest_window(width):
    """All scores are zero at first, so every pair costs 6 log 2, and the product of the factors is as large as it can be."""
    tokens, offsets = np.zeros(140, np.int32), np.array([0, 140], np.int64)
    radius = np.full(140, MAX_WINDOW, np.uint8)
    weights = np.zeros(200)
    weights[1:] = 1.0
    inputs, outputs = new_vectors(200, 8), new_vectors(200, 8)
    tallies = np.zeros(3)
    data = (tokens, offsets, radius, 0, 1, 0, inputs, outputs, *build_alias(weights), 8)
    skipgram_kernel(5, width)(*data, NOISE_KEY, 0.0, 0.0, 1000, tallies)
    assert tallies[0] == pytest.approx(6 * math.log(2) * tallies[1], rel=1e-6)


@pytest.mark.parametrize("cuts", [(3,), (4,), (1, 3, 6)])
def test_train_skipgram__gives_the_same_bytes_in_slices(cuts):
    case = Case(n_dimensions=100)
    whole, sliced = train(case), train(case, cuts=cuts)
    for a, b in zip(whole, sliced, strict=True):
        assert a.tobytes() == b.tobytes()


def test_train_skipgram__reads_offsets_that_do_not_start_at_zero():
    case = Case()
    for a, b in zip(train(case), train(case, lead=9), strict=True):
        assert a.tobytes() == b.tobytes()


def test_train_skipgram__leaves_rows_alone_that_nobody_names():
    case = Case(n_words=40)
    before = case.vectors()[0]
    after = train(case)[0]
    unseen = np.setdiff1d(np.arange(40), case.data()[0])
    assert unseen.size > 0
    assert np.array_equal(before[unseen], after[unseen])


def test_train_skipgram__measures_loss_at_rate_zero_without_moving():
    case = Case(start_rate=0.0)
    tokens, offsets, radius = case.data()
    inputs, outputs = case.vectors()
    tallies = np.zeros(3)
    train_skipgram(
        tokens, offsets, radius, 0, len(offsets) - 1, 0, inputs, outputs, *case.noise(), 16, 5, NOISE_KEY, 0.0, 0.0, 1000, tallies
    )
    assert np.array_equal(inputs, case.vectors()[0])
    assert np.array_equal(outputs, case.vectors()[1])
    assert tallies[0] > 0


def test_train_skipgram__shows_a_nan_in_the_loss():
    case = Case()
    inputs, outputs = case.vectors()
    inputs[case.data()[0][10], 0] = np.nan
    assert math.isnan(train(case, [inputs, outputs])[2][0])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_train_skipgram__has_an_exact_sigmoid_and_loss_over_all_scores(sign):
    """Bounds: 3e-7 absolute for the sigmoid; for softplus 5e-7 absolute or relative, whichever is larger."""
    scores = np.concatenate([np.linspace(-20, 20, 1601), [-200.0, -90.0, -80.0, -30.0, 30.0, 80.0, 90.0, 200.0]]).astype(np.float32)
    n = len(scores)
    # Word 2i stands before word 2i + 1. Only 2i + 1 has a radius, and word 2n is the only noise, with an output of zeros: it costs log 2.
    tokens, offsets = np.arange(2 * n, dtype=np.int32), np.arange(0, 2 * n + 1, 2, dtype=np.int64)
    radius = (tokens % 2).astype(np.uint8)
    weights = np.zeros(2 * n + 1)
    weights[-1] = 1.0
    inputs, outputs = new_vectors(2 * n + 1, 1), new_vectors(2 * n + 1, 1)
    inputs[0 : 2 * n : 2, 0] = sign
    outputs[1 : 2 * n : 2, 0] = sign * scores
    losses = []
    for i in range(n):
        tallies = np.zeros(3)
        train_skipgram(
            tokens, offsets, radius, i, i + 1, 0, inputs, outputs, *build_alias(weights), 1, 1, NOISE_KEY, 1e6, 1e6, 10**9, tallies
        )
        losses.append(tallies[0] - math.log(2))
        outputs[2 * n] = 0.0
    # The true output moved by rate * (1 - sigma(score)) * input, so far that its own size does not matter.
    moved = (sign * outputs[1 : 2 * n : 2, 0].astype(np.float64) - scores) / 1e6
    truth = np.array([reference.sigma(-float(s)) for s in scores])
    np.testing.assert_allclose(moved, truth, rtol=0, atol=3e-7)
    truth = np.array([reference.softplus(-float(s)) for s in scores])
    np.testing.assert_allclose(losses, truth, rtol=5e-7, atol=5e-7)


def test_train_skipgram__lets_threads_share_the_matrices():
    """Every thread keeps its own scratch: on matrices of their own, threads at work together give the bytes of one alone."""
    case = Case(sentence_lengths=(400,) * 5, n_dimensions=100)
    alone = train(case)
    found = [None] * 4

    def work(i):
        found[i] = train(case)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in found:
        assert [a.tobytes() for a in result] == [a.tobytes() for a in alone]
    shared = case.vectors()
    threads = [threading.Thread(target=train, args=(case, shared)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.isfinite(shared).all()
    assert not np.array_equal(shared[0], case.vectors()[0])


def test_train_skipgram__learns_which_words_stand_together():
    """Pairs of words that only ever meet each other end with a higher score than words that never meet."""
    rng = np.random.default_rng(3)
    tokens = (rng.integers(0, 10, 4000)[:, None] * 2 + np.array([0, 1])).ravel().astype(np.int32)
    offsets, radius = np.arange(0, 8001, 2, dtype=np.int64), np.ones(8000, np.uint8)
    inputs, outputs = new_vectors(20, 10), new_vectors(20, 10)
    fill_initial(inputs, 10, np.uint64(1))
    losses = []
    for epoch in range(5):
        tallies = np.zeros(3)
        data = (tokens, offsets, radius, 0, 4000, epoch * 8000, inputs, outputs, *build_alias(np.ones(20)))
        train_skipgram(*data, 10, 5, NOISE_KEY, 0.1, 1e-3, 40_000, tallies)
        losses.append(tallies[0] / tallies[1])
    scores = inputs @ outputs.T
    partners = scores[np.arange(20), np.arange(20) ^ 1]
    assert partners.min() > np.delete(scores, np.arange(20) ^ 1).max() or partners.mean() > scores.mean() + 3
    assert losses[-1] < 0.5 * losses[0]


def test_new_vectors__aligns_and_pads_rows():
    for n_dimensions in (1, 16, 100, 128, 1024):
        vectors = new_vectors(5, n_dimensions)
        n_lines = vectors.shape[1] // 16
        assert vectors.dtype == np.float32
        assert vectors.flags.c_contiguous
        assert not vectors.any()
        assert vectors.ctypes.data % 64 == 0
        assert vectors.shape[1] >= n_dimensions
        assert n_lines % 2 == 1


def test_fill_initial__depends_on_key_row_and_column_only():
    small, large = new_vectors(10, 20), new_vectors(500, 20)
    fill_initial(small, 20, np.uint64(9))
    fill_initial(large, 20, np.uint64(9))
    assert np.array_equal(small, large[:10])
    assert not large[:, 20:].any()
    values = large[:, :20].astype(np.float64) * 20
    assert values.min() >= -0.5
    assert values.max() <= 0.5
    # 10,000 uniform draws: mean 0 +- 0.0029, variance 1/12 +- 0.00075; five standard deviations, false alarm below 1e-6.
    assert abs(values.mean()) < 5 * 0.0029
    assert abs(values.var() - 1 / 12) < 5 * 0.00075
    assert len(np.unique(values)) > 9900
    fill_initial(small, 20, np.uint64(10))
    assert not np.array_equal(small, large[:10])


def test_simd_width__can_be_forced_by_the_environment(monkeypatch):
    monkeypatch.setenv(WIDTH_VARIABLE, "4")
    assert simd_width() == 4
    monkeypatch.setenv(WIDTH_VARIABLE, "12")
    assert simd_width() in {4, 8, 16}


def test_skipgram_kernel__comes_from_the_cache_in_a_second_process():
    """Another process finds the machine code that this one compiled, and compiles nothing."""
    train(Case())
    program = (
        "from tests.kernels.test_skipgram import Case, train, skipgram_kernel, simd_width\n"
        "train(Case())\n"
        "stats = skipgram_kernel(5, simd_width()).stats\n"
        "assert sum(stats.cache_hits.values()) == 1 and not stats.cache_misses, stats\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def windows():
    """A few windows with repeated contexts, repeated noise, and noise that is the centre."""
    return [([0, 1, 2], 3, [4, 5]), ([0, 0, 1], 2, [4, 4]), ([1, 2], 3, [3, 0]), ([3], 3, [3, 3]), ([], 1, [2])]


@pytest.mark.parametrize(("contexts", "centre", "noise"), windows())
def test_reference__gradients_are_those_of_its_objective(contexts, centre, noise):
    """Central differences in float64: error about step**2 + 1e-16 / step, so 1e-8 at step 1e-5."""
    rng = np.random.default_rng(5)
    matrices = [rng.normal(0, 1, (6, 4)), rng.normal(0, 1, (6, 4))]
    gradients = reference.window_gradients(*matrices, contexts, centre, noise)
    for matrix, gradient in zip(matrices, gradients, strict=True):
        for place in np.ndindex(matrix.shape):
            kept, values = matrix[place], []
            for step in (1e-5, -1e-5):
                matrix[place] = kept + step
                values.append(reference.window_loss(*matrices, contexts, centre, noise))
            matrix[place] = kept
            assert (values[0] - values[1]) / 2e-5 == pytest.approx(gradient[place], abs=1e-8)


@pytest.mark.parametrize(("contexts", "centre", "noise"), windows())
def test_reference__a_small_step_follows_the_gradients(contexts, centre, noise):
    rng = np.random.default_rng(6)
    before = [rng.normal(0, 1, (6, 4)), rng.normal(0, 1, (6, 4))]
    after = [matrix.copy() for matrix in before]
    gradients = reference.window_gradients(*before, contexts, centre, noise)
    reference.train_window(*after, contexts, centre, noise, 1e-6)
    for old, new, gradient in zip(before, after, gradients, strict=True):
        np.testing.assert_allclose((new - old) / 1e-6, -gradient, atol=1e-4)


def test_reference__slope_of_a_score_is_sigma_minus_label():
    """A circulating question, and its answer, have one sigma too many: sigma(s) * (sigma(s) - 1), and sigma(s) * sigma(-s) for noise."""
    for score in (-3.0, -0.5, 0.0, 2.0):
        step = 1e-6
        s = reference.sigma(score)
        true = (reference.softplus(-score - step) - reference.softplus(-score + step)) / (2 * step)
        noise = (reference.softplus(score + step) - reference.softplus(score - step)) / (2 * step)
        assert true == pytest.approx(s - 1.0, abs=1e-8)
        assert noise == pytest.approx(s, abs=1e-8)
        assert abs(true - s * (s - 1.0)) > 0.04 * abs(true)
        assert abs(noise - s * reference.sigma(-score)) > 0.04 * abs(noise)


def test_case__is_worth_testing():
    """The default case has repeated contexts, noise equal to the centre, windows of odd and even size."""
    case = Case()
    tokens, _, radius = case.data()
    draws = [reference.draw_noise(int(NOISE_KEY), case.first_centre + i, 5, *case.noise()) for i in range(len(tokens))]
    assert sum(int(tokens[i]) in noise for i, noise in enumerate(draws)) > 10
    assert sum(len(set(noise)) < 5 for noise in draws) > 10
    assert len(set(radius.tolist())) == 6
    assert replace(case, window=2).data()[2].max() == 2
