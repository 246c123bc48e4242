"""Vectors by counting, slowly: every entry of the matrix by the paper's formula, and the whole decomposition of it. NumPy only, float64.

Levy, Goldberg & Dagan 2015, "Improving distributional similarity with lessons learned from word embeddings", sections 2.1 to 3.3.
"""

import math

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def positive_pmi(counts: Matrix, shift: float, context_power: float) -> Matrix:
    """max(0, log(P(w, c) / (P(w) P_a(c))) - log shift) for symmetric counts (V, V); 0 where the two words were never seen together."""
    total = counts.sum()
    of_words = counts.sum(axis=1)
    smoothed = counts.sum(axis=0) ** context_power
    matrix = np.zeros_like(counts)
    for w, c in zip(*np.nonzero(counts), strict=True):
        joint = counts[w, c] / total
        by_chance = (of_words[w] / total) * (smoothed[c] / smoothed.sum())
        matrix[w, c] = max(0.0, math.log(joint / by_chance) - math.log(shift))
    return matrix


def truncated_svd(matrix: Matrix, n_dimensions: int) -> tuple[Matrix, Matrix, Matrix]:
    """Left vectors (V, D), values (D,), right vectors (V, D); the largest number of every left vector is positive."""
    left, values, right = np.linalg.svd(matrix)
    left, values, right = left[:, :n_dimensions], values[:n_dimensions], right.T[:, :n_dimensions]
    signs = np.sign(left[np.abs(left).argmax(axis=0), np.arange(n_dimensions)])
    return left * signs, values, right * signs


def word_vectors(matrix: Matrix, n_dimensions: int, eigenvalue_power: float) -> tuple[Matrix, Matrix]:
    """Vectors of words and of contexts: U S^p and V S^p."""
    left, values, right = truncated_svd(matrix, n_dimensions)
    return left * values**eigenvalue_power, right * values**eigenvalue_power
