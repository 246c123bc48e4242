"""What a model aims at, and what it costs when it knows nothing."""

import math

import numpy as np
import pytest

from kernels.noise import Noise
from kernels.tree import Tree, build_parents
from pipeline.configuration import Train
from pipeline.training.model import Model, kind, loss_at_zero, meetings
from tests.reference import tree as tree_reference

COUNTS = np.array([90, 40, 40, 12, 7, 5, 5, 1], np.int64)
SHARE = COUNTS / COUNTS.sum()


def settings(**values: object) -> Train:
    return Train(dimensions=4, negatives=3, **values)


def test_meetings__of_noise_are_the_word_itself_and_its_share_of_the_noise() -> None:
    noise = COUNTS**0.75 / (COUNTS**0.75).sum()
    np.testing.assert_allclose(meetings(settings(), COUNTS, SHARE), SHARE + 3 * noise)


def test_meetings__of_a_tree_are_those_of_all_words_below_a_node() -> None:
    wanted, order = np.zeros(len(COUNTS)), [4, 2, 7, 0, 6, 1, 5, 3]
    for share, path in zip(SHARE, tree_reference.paths(COUNTS.tolist(), order), strict=True):
        for node, _ in path:
            wanted[node] += share
    found = meetings(settings(loss="hierarchical_softmax"), COUNTS, SHARE, build_parents(COUNTS, np.array(order)))
    np.testing.assert_allclose(found, wanted)
    assert found[0] == pytest.approx(1.0)
    assert found[-1] == 0.0


@pytest.mark.parametrize("loss", ["negative_sampling", "nce", "hierarchical_softmax", "full_softmax"])
@pytest.mark.parametrize("noise", ["unigram", "log_uniform"])
def test_loss_at_zero__is_the_mean_objective_of_zeros(loss: str, noise: str) -> None:
    """Over all words by their share, with noise by its distribution."""
    weights = COUNTS**0.75 if noise == "unigram" else np.log((np.arange(8) + 2) / (np.arange(8) + 1))
    expected_noise = 3 * weights / weights.sum()
    costs = {
        "negative_sampling": [4 * math.log(2)] * 8,
        "nce": [math.log1p(kq) + sum(n * math.log1p(1 / n) for n in expected_noise) for kq in expected_noise],
        "hierarchical_softmax": [len(path) * math.log(2) for path in tree_reference.paths(COUNTS.tolist())],
        "full_softmax": [math.log(8)] * 8,
    }
    assert loss_at_zero(settings(loss=loss, noise=noise), COUNTS) == pytest.approx(float(SHARE @ costs[loss]), rel=1e-6)


def test_model__aims_at_noise_or_at_a_tree() -> None:
    noise = Model(settings(loss="nce"), COUNTS, 10).targets
    assert isinstance(noise, Noise)
    np.testing.assert_allclose(np.exp(noise.correction), 3 * COUNTS**0.75 / (COUNTS**0.75).sum(), rtol=1e-6)
    assert not Model(settings(), COUNTS, 10).targets.correction.size
    assert isinstance(Model(settings(loss="hierarchical_softmax"), COUNTS, 10, build_parents(COUNTS, np.arange(8))).targets, Tree)


def test_kind__has_machine_code_of_its_own_for_what_differs() -> None:
    kinds = [
        kind(settings(**values))
        for values in (
            {},
            {"model": "cbow"},
            {"model": "cbow", "cbow_hidden": "mean_word2vec"},
            {"model": "cbow", "cbow_hidden": "sum"},
            {"loss": "nce"},
            {"loss": "hierarchical_softmax"},
            {"noise_draws": "per_pair"},
            {"frozen": "input"},
            {"frozen": "output", "initial": "vectors.parquet"},
        )
    ]
    assert len(set(kinds)) == len(kinds)
    assert kind(settings(loss="hierarchical_softmax", noise_draws="per_pair")) == kind(settings(loss="hierarchical_softmax"))
    assert kind(settings(noise="log_uniform", seed=7)) == kind(settings())


def test_model__of_hierarchical_softmax_wants_its_tree() -> None:
    with pytest.raises(ValueError, match="needs its tree"):
        Model(settings(loss="hierarchical_softmax"), COUNTS, 10)
