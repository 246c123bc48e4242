"""Training one model in order, against the slow reference, and the reference against its own objective by finite differences."""

import itertools
import math
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from kernels.lanes import WIDTH_VARIABLE, simd_width
from kernels.noise import MAX_NEGATIVES
from kernels.text import MAX_WINDOW, Rates, Text, learning_rate
from kernels.trainer import Kind
from kernels.vectors import fill_initial, new_vectors
from pipeline.training.model import COMMON_DIMENSIONS
from tests.kernels.training_cases import CBOW, KINDS, NOISE_KEY, PER_PAIR, SHARED, TREE, Case, expected, noise_of, train, train_centres
from tests.reference import windows as reference

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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_dimensions", [16, 21])
def test_trainer__equals_the_reference_for_every_model_and_loss(kind, n_dimensions):
    case = Case(n_dimensions=n_dimensions, kind=kind, start_rate=0.05)
    assert_near(train(case), expected(case), case)


def test_trainer__kinds_differ():
    """Else the tests above would not tell them apart."""
    found = [expected(Case(kind=kind, start_rate=0.05)) for kind in KINDS]
    for i, one in enumerate(found):
        assert not any(np.allclose(one[0], other[0], atol=1e-2) and np.allclose(one[1], other[1], atol=1e-2) for other in found[:i])


@pytest.mark.parametrize("cbow", [False, True])
def test_trainer__nce_without_its_correction_is_negative_sampling_to_the_bit(cbow):
    case = Case(kind=Kind(corrected=True, cbow=cbow), n_dimensions=21)
    nothing = case.targets()._replace(correction=np.zeros(case.n_words, np.float32))
    matrices = case.vectors()
    tallies = train_centres(case.text(), [0, case.n_centres], matrices, nothing, case.rates(), 21, case.kind)
    assert_same((*matrices, tallies), train(replace(case, kind=Kind(cbow=cbow))))


@pytest.mark.parametrize("n_dimensions", [1, 7, 8, 17, 100, 300, 1024])
def test_trainer__equals_the_reference_for_any_dimension(n_dimensions):
    for kind in (SHARED, PER_PAIR, CBOW):
        case = Case(n_dimensions=n_dimensions, kind=kind, start_rate=0.05)
        assert_near(train(case), expected(case), case)


@pytest.mark.parametrize("n_negatives", [1, 6, MAX_NEGATIVES])
def test_trainer__equals_the_reference_for_any_number_of_negatives(n_negatives):
    """6 and 64 with the true word fall into groups of which the last is smaller."""
    case = Case(kind=Kind(n_negatives), start_rate=0.5 / n_negatives)
    assert_near(train(case), expected(case), case)


@pytest.mark.parametrize(("window", "lengths"), [(1, (40, 2)), (5, (1, 1, 0)), (MAX_WINDOW, (200, 5)), (10, ())])
@pytest.mark.parametrize("kind", [SHARED, PER_PAIR, TREE, CBOW])
def test_trainer__equal_the_reference_for_any_window(window, lengths, kind):
    case = Case(window=window, sentence_lengths=lengths, start_rate=0.02, kind=kind)
    assert_near(train(case), expected(case), case)


@pytest.mark.parametrize("n_words", [1, 2, 3])
@pytest.mark.parametrize("kind", [SHARED, PER_PAIR, TREE, CBOW])
def test_trainer__equal_the_reference_when_words_repeat_and_noise_is_the_centre(n_words, kind):
    case = Case(n_words=n_words, sentence_lengths=(30, 7), start_rate=0.02, kind=kind)
    assert_near(train(case), expected(case), case)


@pytest.mark.parametrize("width", [4, 8, 16])
@pytest.mark.parametrize("n_dimensions", [7, 100])
@pytest.mark.parametrize("kind", [SHARED, TREE, CBOW])
def test_trainer__equals_the_reference_at_every_simd_width(kind, width, n_dimensions):
    case = Case(n_dimensions=n_dimensions, kind=kind, start_rate=0.05)
    assert_near(train(case, width=width), expected(case), case)


def test_trainer__equals_the_reference_when_all_is_at_its_largest():
    kind = Kind(MAX_NEGATIVES, per_pair=True)
    case = Case(window=MAX_WINDOW, sentence_lengths=(150,), n_dimensions=1024, start_rate=0.1 / MAX_NEGATIVES, kind=kind)
    assert_near(train(case), expected(case), case)


@pytest.mark.parametrize("kind", [*(Kind(n_dimensions=d) for d in COMMON_DIMENSIONS), Kind(cbow=True, n_dimensions=100)])
def test_trainer__equals_the_reference_with_a_constant_number_of_dimensions(kind):
    case = Case(n_dimensions=kind.n_dimensions, start_rate=0.05, kind=kind)
    assert_near(train(case), expected(case), case)


@pytest.mark.parametrize("width", [4, 8, 16])
def test_trainer__adds_up_the_loss_of_the_largest_window(width):
    """All scores are zero at first, so every pair costs 6 log 2, and the product of the factors is as large as it can be."""
    text = Text(np.zeros(140, np.int32), np.array([0, 140], np.int64), np.full(140, MAX_WINDOW, np.uint8), 0)
    matrices = new_vectors(200, 8), new_vectors(200, 8)
    tallies = train_centres(text, [0, 140], matrices, noise_of([0.0] + [1.0] * 199), FLAT, 8, width=width)
    assert tallies[0] == pytest.approx(6 * math.log(2) * tallies[1], rel=1e-6)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("kind", [SHARED, PER_PAIR, TREE, CBOW])
@pytest.mark.parametrize("cuts", [(153,), (1,), (0, 2, 153, 156, 156), (40, 41, 77, 104, 105, 195), tuple(range(1, 196))])
def test_trainer__give_the_same_bytes_in_stretches(cuts, kind, together):
    """Borders between sentences, before and after empty ones, inside of them, twice the same, and everywhere."""
    case = Case(n_dimensions=100, kind=kind)
    assert_same(train(case, cuts=cuts, together=together), train(case))


@pytest.mark.parametrize("kind", [SHARED, PER_PAIR, TREE, CBOW])
@pytest.mark.parametrize("cuts", [(), (50, 101)])
@pytest.mark.parametrize("lead", [9, 128])
def test_trainer__read_offsets_that_do_not_start_at_zero(lead, cuts, kind):
    case = Case(kind=kind)
    assert_same(train(case, lead=lead, cuts=cuts), train(case))


def test_trainer__train_only_their_stretch():
    for kind in (SHARED, PER_PAIR, TREE, CBOW):
        case = Case(kind=kind, start_rate=0.05)
        matrices = case.vectors()
        tallies = train_centres(case.text(), [30, 70], matrices, case.targets(), case.rates(), 16, kind)
        assert_near((*matrices, tallies), expected(case, 30, 70), case)


def test_learning_rate__falls_with_every_centre_and_stays_at_the_minimum():
    rates = Rates(0.1, 0.01, 1000)
    for n in (0, 1, 499, 999, 1000, 1001, 5000):
        assert learning_rate(rates, n) == pytest.approx(reference.learning_rate(0.1, 0.01, 1000, n), rel=1e-12)
    assert learning_rate(rates, 0) == 0.1
    assert learning_rate(rates, 1001) == 0.01
    found = [learning_rate(rates, n) for n in range(1000)]
    assert all(a > b for a, b in zip(found[:-1], found[1:], strict=True))


def test_trainer__take_the_rate_of_each_centre():
    """Two centres of one sentence, the rate a hundred times lower at the second: with any one rate for both, one row moves wrongly."""
    case = Case(sentence_lengths=(2,), first_centre=0, start_rate=1.0)
    rates = Rates(1.0, 0.01, 1)
    for kind in (SHARED, PER_PAIR, CBOW):
        matrices, wanted = case.vectors(), [matrix[:, :16].astype(np.float64) for matrix in case.vectors()]
        text = Text(np.array([3, 7], np.int32), np.array([0, 2], np.int64), np.ones(2, np.uint8), 0)
        tallies = train_centres(text, [0, 2], matrices, case.targets(), rates, 16, kind)
        truth = reference.train(text, 0, 2, *wanted, case.targets(), rates, kind)
        assert_near((*matrices, tallies), (*wanted, np.array(truth)), case)


@pytest.mark.parametrize("kind", [SHARED, PER_PAIR, CBOW])
def test_trainer__leave_rows_alone_that_nobody_names(kind):
    case = Case(n_words=40, kind=kind)
    before = case.vectors()
    after = list(train(case)[:2])
    unseen = np.setdiff1d(np.arange(40), case.text().tokens)
    assert unseen.size > 0
    assert before[0][unseen].tobytes() == after[0][unseen].tobytes()
    # Noise that is never drawn: the outputs of words that are no centres either.
    weights = np.arange(40) < 10
    after = case.vectors()
    train_centres(case.text(), [0, case.n_centres], after, noise_of(weights), case.rates(), 16, kind)
    unseen = unseen[unseen >= 10]
    assert unseen.size > 0
    assert before[1][unseen].tobytes() == after[1][unseen].tobytes()


@pytest.mark.parametrize("kind", [SHARED, PER_PAIR, TREE, CBOW])
def test_trainer__measure_loss_at_rate_zero_without_moving(kind):
    case = Case(kind=kind)
    matrices = case.vectors()
    tallies = train_centres(case.text(), [0, case.n_centres], matrices, case.targets(), FLAT, 16, kind)
    for after, before in zip(matrices, case.vectors(), strict=True):
        assert np.array_equal(after, before)
    assert tallies[0] > 0


@pytest.mark.parametrize("kind", [SHARED, PER_PAIR, TREE, CBOW])
def test_trainer__show_a_nan_in_the_loss(kind):
    case = Case(kind=kind)
    inputs, outputs = case.vectors()
    inputs[case.text().tokens[10], 0] = np.nan
    assert math.isnan(train(case, [inputs, outputs])[2][0])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_trainer__has_an_exact_sigmoid_and_loss_over_all_scores(sign):
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
        tallies = train_centres(text, [2 * i, 2 * i + 2], (inputs, outputs), noise, Rates(1e6, 1e6, 10**9), 1, Kind(1))
        losses.append(tallies[0] - math.log(2))
        outputs[2 * n] = 0.0
    # The true output moved by rate * (1 - sigma(score)) * input, so far that its own size does not matter.
    moved = (sign * outputs[1 : 2 * n : 2, 0].astype(np.float64) - scores) / 1e6
    truth = np.array([reference.sigma(-float(s)) for s in scores])
    np.testing.assert_allclose(moved, truth, rtol=0, atol=3e-7)
    truth = np.array([reference.softplus(-float(s)) for s in scores])
    np.testing.assert_allclose(losses, truth, rtol=5e-7, atol=5e-7)


def test_trainer__keeps_its_scratch_to_its_thread():
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


@pytest.mark.parametrize("kind", [SHARED, PER_PAIR, CBOW])
def test_trainer__learn_which_words_stand_together(kind):
    """Pairs of words that only ever meet each other end with a higher score than words that never meet."""
    rng = np.random.default_rng(3)
    tokens = (rng.integers(0, 10, 4000)[:, None] * 2 + np.array([0, 1])).ravel().astype(np.int32)
    offsets, radius = np.arange(0, 8001, 2, dtype=np.int64), np.ones(8000, np.uint8)
    inputs, outputs = new_vectors(20, 10), new_vectors(20, 10)
    fill_initial(inputs, 10, 0.5, np.uint64(1))
    losses = []
    for epoch in range(5):
        text = Text(tokens, offsets, radius, epoch * 8000)
        rates = Rates(0.1, 1e-3, 40_000)
        tallies = train_centres(text, [0, 8000], (inputs, outputs), noise_of(np.ones(20)), rates, 10, kind)
        losses.append(tallies[0] / tallies[1])
    scores = inputs @ outputs.T
    partners = scores[np.arange(20), np.arange(20) ^ 1]
    assert partners.min() > np.delete(scores, np.arange(20) ^ 1).max() or partners.mean() > scores.mean() + 3
    assert losses[-1] < 0.5 * losses[0]


def test_trainer__negative_sampling_approaches_pmi_minus_log_k():
    """Levy & Goldberg 2014: with noise by frequency and enough dimensions the score of a pair ends at PMI - log K.

    Skipped noise, which Levy & Goldberg have not, adds log(1 / (1 - p(word | context))): the optimum is known exactly.
    """
    n_words, n_negatives, n_epochs = 12, 8, 30
    rng = np.random.default_rng(4)
    joint = rng.gamma(2.0, 1.0, (n_words, n_words))
    joint = np.triu(joint + joint.T)
    joint[np.diag_indices(n_words)] = 0.0
    pairs = rng.choice(n_words * n_words, 40_000, p=(joint / joint.sum()).ravel())
    tokens = np.stack(np.divmod(pairs, n_words), axis=1).ravel().astype(np.int32)
    counts = np.zeros((n_words, n_words))
    np.add.at(counts, (tokens[0::2], tokens[1::2]), 1)
    counts += counts.T
    of_word = counts.sum(axis=0)
    noise = noise_of(of_word)
    inputs, outputs = new_vectors(n_words, n_words), new_vectors(n_words, n_words)
    fill_initial(inputs, n_words, 0.5, np.uint64(1))
    offsets, radius = np.arange(0, len(tokens) + 1, 2, dtype=np.int64), np.ones(len(tokens), np.uint8)
    for epoch in range(n_epochs):
        text, rates = Text(tokens, offsets, radius, epoch * len(tokens)), Rates(0.05, 1e-4, n_epochs * len(tokens))
        train_centres(text, [0, len(tokens)], (inputs, outputs), noise, rates, n_words, Kind(n_negatives))
    seen = counts > 400
    scores = (inputs @ outputs.T)[seen]
    pmi = np.log((counts * of_word.sum() / np.outer(of_word, of_word))[seen])
    skipped = -np.log1p(-(counts / of_word[:, None]))[seen]
    assert np.ptp(pmi) > 1.2
    np.testing.assert_allclose(scores, pmi - math.log(n_negatives) + skipped, atol=0.15)


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
        "from kernels.trainer import Kind\n"
        "from tests.kernels.training_cases import Case, train\n"
        "train(Case())\n"
        "stats = block_kernel(Kind(), 0, 0).stats\n"
        "assert sum(stats.cache_hits.values()) == 1 and not stats.cache_misses, stats\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def windows():
    """A few windows with repeated contexts, repeated rows, rows that are not asked, and parts of paths, for every model."""
    models = (SHARED, CBOW, Kind(cbow=True, divides_hidden=False))
    parts = (([0, 1, 2], 3, [4, 5]), ([0, 0, 1], 2, [4, 4]), ([1, 2], 3, [3, 0]), ([3], 3, [3, 3]))
    corrections = (None, np.linspace(-3, 1, 6))
    of_noise = [
        (contexts, reference.noise_part(centre, noise, correction), kind)
        for (contexts, centre, noise), correction, kind in itertools.product(parts, corrections, models)
    ]
    paths = [([0, 1, 2], [(0, -1.0), (3, 1.0), (4, -1.0)]), ([2, 2], [(0, 1.0), (1, -1.0), (2, -1.0), (5, 0.0)])]
    return of_noise + [
        (contexts, part, kind) for (contexts, path), kind in itertools.product(paths, models) for part in reference.path_parts(path)
    ]


@pytest.mark.parametrize(("contexts", "part", "kind"), windows())
def test_reference__gradients_are_those_of_its_objective(contexts, part, kind):
    """Central differences in float64: error about step**2 + 1e-16 / step, so 1e-8 at step 1e-5."""
    rng = np.random.default_rng(5)
    inputs, outputs = rng.normal(0, 1, (6, 4)), rng.normal(0, 1, (6, 4))
    for matrix, gradient in zip((inputs, outputs), reference.gradients(inputs, outputs, contexts, part, kind), strict=True):
        for place in np.ndindex(matrix.shape):
            kept, values = matrix[place], []
            for step in (1e-5, -1e-5):
                matrix[place] = kept + step
                values.append(reference.loss_of(reference.hidden_of(inputs, contexts, kind), outputs, part))
            matrix[place] = kept
            assert (values[0] - values[1]) / 2e-5 == pytest.approx(gradient[place], abs=1e-8)


@pytest.mark.parametrize(("contexts", "part", "kind"), windows())
def test_reference__a_small_step_follows_the_gradients(contexts, part, kind):
    """Of the sum the change of the hidden vector goes to every context; of the mean its share."""
    kind = kind._replace(divides_change=kind.divides_hidden)
    rng = np.random.default_rng(6)
    before = [rng.normal(0, 1, (6, 4)), rng.normal(0, 1, (6, 4))]
    after = [matrix.copy() for matrix in before]
    gradients = reference.gradients(*before, contexts, part, kind)
    reference.train_window(*after, contexts, [part], 1e-6, kind)
    for old, new, gradient in zip(before, after, gradients, strict=True):
        np.testing.assert_allclose((new - old) / 1e-6, -gradient, atol=1e-4)


def test_reference__cbow_as_in_word2vec_moves_contexts_by_all_of_the_gradient():
    rng = np.random.default_rng(7)
    before = [rng.normal(0, 1, (6, 4)), rng.normal(0, 1, (6, 4))]
    contexts, part = [0, 1, 2], reference.noise_part(3, [4, 5], None)
    moved = []
    for kind in (CBOW, Kind(cbow=True, divides_change=False)):
        inputs, outputs = (matrix.copy() for matrix in before)
        reference.train_window(inputs, outputs, contexts, [part], 0.1, kind)
        moved.append((inputs - before[0], outputs - before[1]))
    np.testing.assert_allclose(moved[1][0], 3 * moved[0][0], atol=1e-12)
    assert np.array_equal(moved[1][1], moved[0][1])


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
    threshold, other, key, _, uses = case.targets()
    sets = [(base + i) // (64 * uses) * 64 + (base + i) % 64 for i in range(len(tokens))]
    draws = [reference.draw_noise(int(key), number * 5, 5, threshold, other) for number in sets]
    assert key == NOISE_KEY
    # Sets lie in 128 slots; one that comes back to its slot is not drawn again.
    kept = [number == sets[i - 128] for i, number in enumerate(sets) if i >= 128]
    assert 10 < sum(kept) < len(kept)
    assert sum(int(tokens[i]) in noise for i, noise in enumerate(draws)) > 10
    assert sum(len(set(noise)) < 5 for noise in draws) > 10
    assert len(set(radius.tolist())) == 6
    assert replace(case, window=2).text().radius.max() == 2
    first, last = (reference.learning_rate(*case.rates(), base + i) for i in (0, case.n_centres))
    assert last < 0.98 * first < 0.98 * case.rates().start
