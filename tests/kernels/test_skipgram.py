"""Training one model in order, against the slow reference, and the reference against its own objective by finite differences."""

import math
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from kernels.skipgram import MAX_NEGATIVES, MAX_WINDOW, Rates, Text, learning_rate
from kernels.tiles import WIDTH_VARIABLE, simd_width
from kernels.vectors import fill_initial, new_vectors
from tests.kernels.training_cases import NOISE_KEY, Case, expected, noise_of, train, train_centres
from tests.reference import skipgram as reference

FLAT = Rates(0.0, 0.0, 1000)  # nothing moves


def assert_near(found, wanted, case):
    """Equal up to float32 rounding, which a few hundred steps multiply; the pads are exactly zero."""
    for matrix, truth in zip(found[:2], wanted[:2], strict=True):
        np.testing.assert_allclose(matrix[:, : case.n_dimensions], truth, rtol=2e-4, atol=5e-5)
        assert not matrix[:, case.n_dimensions :].any()
    assert found[2][0] == pytest.approx(wanted[2][0], rel=2e-6)
    assert found[2][1:].tolist() == wanted[2][1:].tolist()


def assert_same(found, wanted):
    """The same bytes; loss is gathered in float32 up to every 64th position, so only its last digits depend on where the cuts are."""
    for a, b in zip(found[:2], wanted[:2], strict=True):
        assert a.tobytes() == b.tobytes()
    assert found[2][0] == pytest.approx(wanted[2][0], rel=1e-6)
    assert found[2][1:].tolist() == wanted[2][1:].tolist()


@pytest.mark.parametrize("n_dimensions", [1, 7, 8, 16, 17, 100, 300])
def test_window_trainer__equals_the_reference_for_any_dimension(n_dimensions):
    case = Case(n_dimensions=n_dimensions)
    assert_near(train(case), expected(case), case)


@pytest.mark.parametrize("n_negatives", [1, 6, MAX_NEGATIVES])
def test_window_trainer__equals_the_reference_for_any_number_of_negatives(n_negatives):
    """6 and 64 with the true word fall into groups of which the last is smaller."""
    case = Case(n_negatives=n_negatives, start_rate=0.5 / n_negatives)
    assert_near(train(case), expected(case), case)


@pytest.mark.parametrize(("window", "lengths"), [(1, (40, 2)), (5, (1, 1, 0)), (MAX_WINDOW, (200, 5)), (10, ())])
@pytest.mark.parametrize("per_pair", [False, True])
def test_trainers__equal_the_reference_for_any_window(window, lengths, per_pair):
    case = Case(window=window, sentence_lengths=lengths, start_rate=0.02, per_pair=per_pair)
    assert_near(train(case), expected(case), case)


@pytest.mark.parametrize("n_words", [1, 2, 3])
@pytest.mark.parametrize("per_pair", [False, True])
def test_trainers__equal_the_reference_when_words_repeat_and_noise_is_the_centre(n_words, per_pair):
    case = Case(n_words=n_words, sentence_lengths=(30, 7), n_negatives=5, start_rate=0.02, per_pair=per_pair)
    assert_near(train(case), expected(case), case)


@pytest.mark.parametrize("width", [4, 8, 16])
@pytest.mark.parametrize("n_dimensions", [7, 100])
def test_window_trainer__equals_the_reference_at_every_simd_width(width, n_dimensions):
    case = Case(n_dimensions=n_dimensions)
    assert_near(train(case, width=width), expected(case), case)


@pytest.mark.parametrize("n_dimensions", [1, 17, 100])
def test_pair_trainer__equals_the_reference(n_dimensions):
    case = Case(n_dimensions=n_dimensions, start_rate=0.05, per_pair=True)
    assert_near(train(case), expected(case), case)


def test_pair_trainer__differs_from_shared_noise():
    """Else the tests above would not tell them apart."""
    case = Case()
    assert not np.allclose(expected(case)[1], expected(replace(case, per_pair=True))[1], atol=1e-2)


@pytest.mark.parametrize(("n_dimensions", "per_pair"), [(100, False), (300, False), (100, True)])
def test_trainers__equal_the_reference_with_a_constant_number_of_dimensions(n_dimensions, per_pair):
    case = Case(n_dimensions=n_dimensions, start_rate=0.05, per_pair=per_pair)
    assert_near(train(case, constant_dimensions=n_dimensions), expected(case), case)


@pytest.mark.parametrize("width", [4, 8, 16])
def test_window_trainer__adds_up_the_loss_of_the_largest_window(width):
    """All scores are zero at first, so every pair costs 6 log 2, and the product of the factors is as large as it can be."""
    text = Text(np.zeros(140, np.int32), np.array([0, 140], np.int64), np.full(140, MAX_WINDOW, np.uint8), 0)
    matrices = new_vectors(200, 8), new_vectors(200, 8)
    tallies = train_centres(text, [0, 140], matrices, noise_of([0.0] + [1.0] * 199), FLAT, 8, 5, width=width)
    assert tallies[0] == pytest.approx(6 * math.log(2) * tallies[1], rel=1e-6)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("per_pair", [False, True])
@pytest.mark.parametrize("cuts", [(153,), (1,), (0, 2, 153, 156, 156), (40, 41, 77, 104, 105, 195), tuple(range(1, 196))])
def test_trainers__give_the_same_bytes_in_stretches(cuts, per_pair, together):
    """Borders between sentences, before and after empty ones, inside of them, twice the same, and everywhere."""
    case = Case(n_dimensions=100, per_pair=per_pair)
    assert_same(train(case, cuts=cuts, together=together), train(case))


@pytest.mark.parametrize("per_pair", [False, True])
@pytest.mark.parametrize("cuts", [(), (50, 101)])
@pytest.mark.parametrize("lead", [9, 128])
def test_trainers__read_offsets_that_do_not_start_at_zero(lead, cuts, per_pair):
    case = Case(per_pair=per_pair)
    assert_same(train(case, lead=lead, cuts=cuts), train(case))


def test_trainers__train_only_their_stretch():
    case = Case()
    inputs, outputs = case.vectors()
    tallies = train_centres(case.text(), [30, 70], (inputs, outputs), case.noise(), case.rates(), 16, 5)
    wanted = [matrix[:, :16].astype(np.float64) for matrix in case.vectors()]
    pairs = reference.train(case.text(), 30, 70, *wanted, case.noise(), case.rates(), 5, per_pair=False)
    assert_near((inputs, outputs, tallies), (*wanted, np.array(pairs)), case)


def test_learning_rate__falls_with_every_centre_and_stays_at_the_minimum():
    rates = Rates(0.1, 0.01, 1000)
    for n in (0, 1, 499, 999, 1000, 1001, 5000):
        assert learning_rate(rates, n) == pytest.approx(reference.learning_rate(0.1, 0.01, 1000, n), rel=1e-12)
    assert learning_rate(rates, 0) == 0.1
    assert learning_rate(rates, 1001) == 0.01
    found = [learning_rate(rates, n) for n in range(1000)]
    assert all(a > b for a, b in zip(found[:-1], found[1:], strict=True))


def test_trainers__take_the_rate_of_each_centre():
    """Two centres of one sentence, the rate a hundred times lower at the second: with any one rate for both, one row moves wrongly."""
    case = Case(sentence_lengths=(2,), first_centre=0, start_rate=1.0)
    rates = Rates(1.0, 0.01, 1)
    for per_pair in (False, True):
        matrices, wanted = case.vectors(), [matrix[:, :16].astype(np.float64) for matrix in case.vectors()]
        text = Text(np.array([3, 7], np.int32), np.array([0, 2], np.int64), np.ones(2, np.uint8), 0)
        tallies = train_centres(text, [0, 2], matrices, case.noise(), rates, 16, 5, per_pair=per_pair)
        truth = reference.train(text, 0, 2, *wanted, case.noise(), rates, 5, per_pair=per_pair)
        assert_near((*matrices, tallies), (*wanted, np.array(truth)), case)


@pytest.mark.parametrize("per_pair", [False, True])
def test_trainers__leave_rows_alone_that_nobody_names(per_pair):
    case = Case(n_words=40, per_pair=per_pair)
    before = case.vectors()
    after = list(train(case)[:2])
    unseen = np.setdiff1d(np.arange(40), case.text().tokens)
    assert unseen.size > 0
    assert before[0][unseen].tobytes() == after[0][unseen].tobytes()
    # Noise that is never drawn: the outputs of words that are no centres either.
    weights = np.arange(40) < 10
    after = case.vectors()
    train_centres(case.text(), [0, case.n_centres], after, noise_of(weights), case.rates(), 16, 5, per_pair=per_pair)
    unseen = unseen[unseen >= 10]
    assert unseen.size > 0
    assert before[1][unseen].tobytes() == after[1][unseen].tobytes()


@pytest.mark.parametrize("per_pair", [False, True])
def test_trainers__measure_loss_at_rate_zero_without_moving(per_pair):
    case = Case()
    matrices = case.vectors()
    tallies = train_centres(case.text(), [0, case.n_centres], matrices, case.noise(), FLAT, 16, 5, per_pair=per_pair)
    for after, before in zip(matrices, case.vectors(), strict=True):
        assert np.array_equal(after, before)
    assert tallies[0] > 0


@pytest.mark.parametrize("per_pair", [False, True])
def test_trainers__show_a_nan_in_the_loss(per_pair):
    case = Case(per_pair=per_pair)
    inputs, outputs = case.vectors()
    inputs[case.text().tokens[10], 0] = np.nan
    assert math.isnan(train(case, [inputs, outputs])[2][0])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_window_trainer__has_an_exact_sigmoid_and_loss_over_all_scores(sign):
    """Bounds: 3e-7 absolute for the sigmoid; for softplus 5e-7 absolute or relative, whichever is larger."""
    scores = np.concatenate([np.linspace(-20, 20, 1601), [-200.0, -90.0, -80.0, -30.0, 30.0, 80.0, 90.0, 200.0]]).astype(np.float32)
    n = len(scores)
    # Word 2i stands before word 2i + 1. Only 2i + 1 has a radius, and word 2n is the only noise, with an output of zeros: it costs log 2.
    tokens, offsets = np.arange(2 * n, dtype=np.int32), np.arange(0, 2 * n + 1, 2, dtype=np.int64)
    text = Text(tokens, offsets, (tokens % 2).astype(np.uint8), 0)
    noise = noise_of([0.0] * (2 * n) + [1.0])
    inputs, outputs = new_vectors(2 * n + 1, 1), new_vectors(2 * n + 1, 1)
    inputs[0 : 2 * n : 2, 0] = sign
    outputs[1 : 2 * n : 2, 0] = sign * scores
    losses = []
    for i in range(n):
        tallies = train_centres(text, [2 * i, 2 * i + 2], (inputs, outputs), noise, Rates(1e6, 1e6, 10**9), 1, 1)
        losses.append(tallies[0] - math.log(2))
        outputs[2 * n] = 0.0
    # The true output moved by rate * (1 - sigma(score)) * input, so far that its own size does not matter.
    moved = (sign * outputs[1 : 2 * n : 2, 0].astype(np.float64) - scores) / 1e6
    truth = np.array([reference.sigma(-float(s)) for s in scores])
    np.testing.assert_allclose(moved, truth, rtol=0, atol=3e-7)
    truth = np.array([reference.softplus(-float(s)) for s in scores])
    np.testing.assert_allclose(losses, truth, rtol=5e-7, atol=5e-7)


def test_window_trainer__keeps_its_scratch_to_its_thread():
    """On matrices of their own, threads at work together give the bytes of one alone."""
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


@pytest.mark.parametrize("per_pair", [False, True])
def test_trainers__learn_which_words_stand_together(per_pair):
    """Pairs of words that only ever meet each other end with a higher score than words that never meet."""
    rng = np.random.default_rng(3)
    tokens = (rng.integers(0, 10, 4000)[:, None] * 2 + np.array([0, 1])).ravel().astype(np.int32)
    offsets, radius = np.arange(0, 8001, 2, dtype=np.int64), np.ones(8000, np.uint8)
    inputs, outputs = new_vectors(20, 10), new_vectors(20, 10)
    fill_initial(inputs, 10, np.uint64(1))
    losses = []
    for epoch in range(5):
        text = Text(tokens, offsets, radius, epoch * 8000)
        rates = Rates(0.1, 1e-3, 40_000)
        tallies = train_centres(text, [0, 8000], (inputs, outputs), noise_of(np.ones(20)), rates, 10, 5, per_pair=per_pair)
        losses.append(tallies[0] / tallies[1])
    scores = inputs @ outputs.T
    partners = scores[np.arange(20), np.arange(20) ^ 1]
    assert partners.min() > np.delete(scores, np.arange(20) ^ 1).max() or partners.mean() > scores.mean() + 3
    assert losses[-1] < 0.5 * losses[0]


def test_simd_width__can_be_forced_by_the_environment(monkeypatch):
    monkeypatch.setenv(WIDTH_VARIABLE, "4")
    assert simd_width() == 4
    monkeypatch.setenv(WIDTH_VARIABLE, "12")
    assert simd_width() in {4, 8, 16}


def test_block_kernel__comes_from_the_cache_in_a_second_process():
    """Another process finds the machine code that this one compiled, and compiles nothing."""
    train(Case())
    program = (
        "from kernels.block import block_kernel\n"
        "from tests.kernels.training_cases import Case, train\n"
        "train(Case())\n"
        "stats = block_kernel(5, False, 0).stats\n"
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
    """The default case has repeated contexts, noise equal to the centre, windows of odd and even size, and rates that differ."""
    case = Case()
    tokens, _, radius, base = case.text()
    threshold, other, key = case.noise()
    draws = [reference.draw_noise(int(key), (base + i) * 5, 5, threshold, other) for i in range(len(tokens))]
    assert key == NOISE_KEY
    assert sum(int(tokens[i]) in noise for i, noise in enumerate(draws)) > 10
    assert sum(len(set(noise)) < 5 for noise in draws) > 10
    assert len(set(radius.tolist())) == 6
    assert replace(case, window=2).text().radius.max() == 2
    first, last = (reference.learning_rate(*case.rates(), base + i) for i in (0, case.n_centres))
    assert last < 0.98 * first < 0.98 * case.rates().start
