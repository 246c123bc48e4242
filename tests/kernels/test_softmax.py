"""The full softmax of a batch, against the slow reference, and the reference against its own objective by finite differences."""

import math

import numpy as np
import pytest

from kernels.softmax import column_borders, exponentiate, gather_hidden, read_batch, score_block, step_block, weigh_rows
from kernels.text import learning_rate
from tests.kernels.training_cases import Case
from tests.reference import softmax as reference

KINDS = [None, "mean", "mean_word2vec", "sum"]


class Scored:
    """A batch after both passes over the blocks, before any vector moves."""

    def __init__(self, batch, inputs, outputs, n_dimensions, kind):
        n_words, n_rows = len(inputs), len(batch.context_starts) - 1
        self.batch, self.inputs, self.outputs = batch, inputs, outputs
        self.borders = column_borders(n_words)
        self.words = [slice(a, b) for a, b in zip(self.borders[:-1], self.borders[1:], strict=True)]
        mean = 1 / np.diff(batch.context_starts).astype(np.float32)
        one = np.ones_like(mean)
        self.hidden = np.full((n_rows, n_dimensions + 1), np.nan, np.float32)
        self.d_hidden, self.curvature = np.full((n_rows, n_dimensions), np.nan, np.float32), np.full(n_rows, np.nan, np.float32)
        maxima, sums, spreads, self.weights = np.full((4, len(self.words), n_rows), np.nan, np.float32)
        self.scores = [np.full((n_rows, w.stop - w.start), np.nan, np.float32) for w in self.words]
        pulls = np.full((len(self.words), n_rows, n_dimensions), np.nan, np.float32)
        shares = mean if kind in ("mean", "mean_word2vec") else one, mean if kind == "mean" else one
        gather_hidden(inputs, batch, shares[0], self.hidden)
        for b, w in enumerate(self.words):
            score_block(self.hidden, outputs[w, :n_dimensions], self.scores[b], maxima[b], sums[b], spreads[b], pulls[b])
        blocks = maxima, sums, spreads, pulls
        self.loss = weigh_rows(batch, self.hidden, outputs, blocks, shares, self.weights, self.d_hidden, self.curvature)

    def step(self, rate):
        scaled = np.empty_like(self.hidden)
        for b, w in enumerate(self.words):
            slopes = np.empty((w.stop - w.start, self.hidden.shape[1]), np.float32)
            given = self.scores[b], self.weights[b], self.hidden, self.d_hidden, self.curvature, scaled, slopes
            step_block(self.batch, w.start, *given, self.inputs, self.outputs, rate)

    def probabilities(self):
        """(R, V), from what the second product uses."""
        n_targets = np.diff(self.batch.target_starts)
        return np.hstack([s * weights[:, None] for s, weights in zip(self.scores, self.weights, strict=True)]) / n_targets[:, None]


def train(case, kind, cuts=(), lead=0):
    """Both matrices and the tallies after a batch up to each cut."""
    text, (inputs, outputs), rates = case.text(lead), case.vectors(), case.rates()
    borders = [lead, *(lead + cut for cut in cuts), lead + case.n_centres]
    tallies = np.zeros(3)
    for first, last in zip(borders[:-1], borders[1:], strict=True):
        batch = read_batch(text, first, last, kind is not None, case.n_words)
        scored = Scored(batch, inputs, outputs, case.n_dimensions, kind)
        scored.step(learning_rate(rates, text.base + first))
        tallies += (scored.loss, len(batch.targets), last - first)
    return inputs, outputs, tallies


def expected(case, kind, cuts=()):
    """The same in float64, slowly."""
    inputs, outputs = (matrix[:, : case.n_dimensions].astype(np.float64) for matrix in case.vectors())
    tallies = reference.train(case.text(), [0, *cuts, case.n_centres], inputs, outputs, case.rates(), kind)
    return inputs, outputs, np.array(tallies)


def assert_near(found, wanted, n_dimensions):
    """Equal up to float32 rounding; the pads are exactly zero."""
    for matrix, truth in zip(found[:2], wanted[:2], strict=True):
        np.testing.assert_allclose(matrix[:, :n_dimensions], truth, rtol=1e-4, atol=2e-5)
        assert not matrix[:, n_dimensions:].any()
    assert found[2][0] == pytest.approx(wanted[2][0], rel=1e-6, abs=1e-4)
    assert found[2][1:].tolist() == wanted[2][1:].tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_dimensions", [1, 17, 100])
@pytest.mark.parametrize("n_words", [1, 30, 400])
def test_batch__equals_the_reference(kind, n_dimensions, n_words):
    """One word, one block of words, and several; batches of one centre, across empty sentences, and of all that is left."""
    case = Case(n_dimensions=n_dimensions, n_words=n_words, start_rate=0.003)
    cuts = (1, 2, 40, 153)
    assert_near(train(case, kind, cuts, lead=9), expected(case, kind, cuts), n_dimensions)


def test_batch__differs_between_the_ways_to_make_a_hidden_vector():
    """Else the test above would not tell them apart."""
    trained = [expected(Case(start_rate=0.003), kind)[0] for kind in KINDS]
    for i, one in enumerate(trained):
        assert all(abs(one - other).max() > 1e-2 for other in trained[:i])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_words", [2, 30])
def test_batch__shortens_steps_that_would_overshoot_as_the_reference_does(kind, n_words):
    """At this rate most vectors would go many times too far, ever farther; but a batch that is trained again and again is learned."""
    case = Case(n_words=n_words, start_rate=1.0)
    assert_near(train(case, kind, (40,)), expected(case, kind, (40,)), 16)
    inputs, outputs = case.vectors()
    batch = read_batch(case.text(), 0, case.n_centres, kind is not None, n_words)
    losses = []
    for _ in range(30):
        scored = Scored(batch, inputs, outputs, 16, kind)
        scored.step(1.0)
        losses.append(scored.loss)
    assert max(losses) < 3 * losses[0]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("first", "last"), [(0, 196), (3, 60), (152, 157), (0, 0), (0, 1)])
def test_read_batch__holds_every_example_once(kind, first, last):
    """Also where a sentence is empty, or a centre has no context; and every word knows its rows."""
    case = Case()
    lead = 5
    batch = read_batch(case.text(lead), first + lead, last + lead, kind is not None, case.n_words)
    lists = [
        [values[a:b].tolist() for a, b in zip(starts[:-1], starts[1:], strict=True)]
        for starts, values in zip(batch[0::2], batch[1::2], strict=True)
    ]
    contexts, targets, rows_of_context, rows_of_target = lists
    wanted = reference.examples(case.text(), first, last, kind)
    if kind is None:
        assert len({words[0] for words in contexts}) == len(contexts)
        assert sorted((words, t) for words, ts in zip(contexts, targets, strict=True) for t in ts) == sorted(wanted)
    else:
        assert [(words, t) for words, (t,) in zip(contexts, targets, strict=True)] == wanted
    for rows_of, words_of in ((rows_of_context, contexts), (rows_of_target, targets)):
        assert rows_of == [[row for row, words in enumerate(words_of) for word in words if word == w] for w in range(case.n_words)]


@pytest.mark.parametrize("kind", [None, "mean", "sum"])
def test_reference__agrees_with_finite_differences(kind):
    """A window in which a context comes twice, one in which the target is a context, and one of a single context."""
    rng = np.random.default_rng(3)
    matrices = rng.normal(0, 0.7, (2, 7, 4))
    batch = [([c], t) for c, t in ((1, 2), (1, 2), (3, 0), (5, 5))] if kind is None else [([1, 1, 4], 2), ([3, 6], 3), ([0], 5)]
    gradients = reference.gradients(*matrices, batch, kind)
    step = 1e-6
    for matrix, gradient in zip(matrices, gradients, strict=True):
        for place in np.ndindex(matrix.shape):
            kept = matrix[place]
            losses = []
            for sign in (1, -1):
                matrix[place] = kept + sign * step
                losses.append(reference.loss(*matrices, batch, kind))
            matrix[place] = kept
            assert gradient[place] == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-6, abs=1e-8)


def test_reference__gives_contexts_of_a_word2vec_mean_the_gradient_of_a_sum():
    inputs, outputs = np.random.default_rng(4).normal(0, 0.7, (2, 7, 4))
    window = [([1, 1, 4], 2)]
    true, other = (reference.gradients(inputs, outputs, window, kind) for kind in ("mean", "mean_word2vec"))
    np.testing.assert_allclose(other[0], 3 * true[0])
    assert np.array_equal(other[1], true[1])


@pytest.mark.parametrize("kind", [None, "mean"])
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_batch__has_the_probabilities_of_the_reference_which_sum_to_one(kind, scale):
    """At the largest scale scores reach several hundred, and most probabilities are far below what float32 can hold."""
    case = Case(n_words=1000, n_dimensions=16)
    inputs, outputs = case.vectors()
    outputs *= np.float32(scale)
    scored = Scored(read_batch(case.text(), 0, case.n_centres, kind is not None, 1000), inputs, outputs, 16, kind)
    found = scored.probabilities()
    wanted = np.array([reference.softmax(outputs[:, :16].astype(np.float64) @ h.astype(np.float64)) for h in scored.hidden[:, :16]])
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=2e-6)
    scores = scale * np.abs(scored.hidden[:, :16]).sum(axis=1).max()
    np.testing.assert_allclose(found, wanted, rtol=2e-6 * (10 + scores), atol=1e-30)


@pytest.mark.parametrize("n_words", [1, 7, 8, 33, 500])
def test_exponentiate__is_exact_to_a_few_float32_digits(n_words):
    rng = np.random.default_rng(5)
    scores = (rng.uniform(0, 1, (50, n_words)) ** 3 * np.linspace(0, 110, 50)[:, None]).astype(np.float32)
    squares = rng.random(n_words, np.float32)
    maxima, sums, spreads = scores.max(axis=1), np.empty(50, np.float32), np.empty(50, np.float32)
    power = np.maximum((scores - maxima[:, None]).astype(np.float64), -80)
    exponentiate(scores, maxima, squares, sums, spreads)
    np.testing.assert_array_less(abs(scores / np.exp(power) - 1), 3e-7 * (1 - power))
    assert (scores[np.arange(50), power.argmax(axis=1)] == 1.0).all()
    np.testing.assert_allclose(sums, scores.astype(np.float64).sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose(spreads, scores.astype(np.float64) @ squares, rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("word", [0, 250, 999])
def test_batch__shows_in_its_loss_that_a_vector_is_no_number(word, value):
    case = Case(n_words=1000)
    inputs, outputs = case.vectors()
    outputs[word, 3] = value
    scored = Scored(read_batch(case.text(), 0, 100, False, 1000), inputs, outputs, 16, None)
    assert not math.isfinite(scored.loss)


@pytest.mark.parametrize("n_words", [1, 2, 383, 384, 2000, 10_000, 30_000, 1_000_003])
def test_column_borders__cover_the_vocabulary_in_blocks_of_one_width(n_words):
    borders = column_borders(n_words)
    widths = np.diff(borders)
    assert borders[0] == 0
    assert borders[-1] == n_words
    assert (widths[:-1] == widths[0]).all()
    assert 0 < widths[-1] <= widths[0]
    assert len(widths) <= 16
