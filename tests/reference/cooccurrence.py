"""Co-occurrences by dictionary, in fractions; a text is a list of sentences, a sentence a list of codes."""

from collections import defaultdict
from fractions import Fraction

_MASK = (1 << 64) - 1


def keep_words(sentences: list[list[int]], ids: list[int]) -> tuple[list[list[int]], dict[str, int]]:
    """The ids of words that have one, in sentences that keep at least two of them, and where the others went."""
    fates = dict.fromkeys(["n_in", "n_rare", "n_lonely", "n_kept"], 0)
    kept = []
    for sentence in sentences:
        known = [ids[code] for code in sentence if ids[code] >= 0]
        fates["n_in"] += len(sentence)
        fates["n_rare"] += len(sentence) - len(known)
        fates["n_kept" if len(known) >= 2 else "n_lonely"] += len(known)
        if len(known) >= 2:
            kept.append(known)
    return kept, fates


def count_cooccurrences(sentences: list[list[int]], window: int, *, harmonic: bool) -> dict[tuple[int, int], Fraction]:
    """The whole symmetric matrix: each of two words within the window counts the other, also when both are the same word."""
    matrix: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
    for sentence in sentences:
        for i, word in enumerate(sentence):
            for j, other in enumerate(sentence):
                if 0 < abs(i - j) <= window:
                    matrix[word, other] += Fraction(1, abs(i - j)) if harmonic else Fraction(1)
    return dict(matrix)


def cells_by_file(matrix: dict[tuple[int, int], Fraction], grid: int) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """The cells on and above the diagonal, in the order in which each file has them."""
    files = defaultdict(list)
    for row, column in sorted((cell for cell in matrix if cell[0] <= cell[1]), key=lambda cell: mix(cell[0] << 32 | cell[1])):
        files[row % grid, column % grid].append((row, column))
    return dict(files)


def mix(bits: int) -> int:
    """The finaliser of SplitMix64."""
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & _MASK
    return bits ^ bits >> 31
