"""What analogies and similarity share: reading their files line by line, and 95 % intervals."""

import math
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import InputError

Z_95 = 1.959963984540054  # the normal distribution's 97.5 % quantile


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file that are not blank, with their numbers (from 1), without white space at both ends.

    Raises
    ------
    InputError
        When the file cannot be read, or is not UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    except OSError as error:
        raise InputError(
            "An evaluation file cannot be read.",
            where=str(path),
            got=error.strerror or str(error),
            remedy="Check its path; data/evaluation/ holds the usual files.",
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            "An evaluation file is not UTF-8 text.",
            where=f"{path}, byte {error.start}",
            got=f"byte 0x{error.object[error.start]:02x}",
            expected="UTF-8",
            remedy="Convert it, for example with iconv.",
        ) from error
    return ((number, line.strip()) for number, line in enumerate(text.split("\n"), start=1) if line.strip())


def wilson_interval(n_correct: int, n_asked: int) -> tuple[float, float]:
    """Lower and upper end of the 95 % interval of a share; 0 and 1 when nothing was asked.

    Notes
    -----
    Wilson 1927, as in Newcombe 1998, "Two-sided confidence intervals for the single proportion", method 3.
    """
    if n_asked == 0:
        return 0.0, 1.0
    share, z_squared = n_correct / n_asked, Z_95 * Z_95
    centre = share + z_squared / (2 * n_asked)
    half = Z_95 * math.sqrt(share * (1 - share) / n_asked + (z_squared / (4 * n_asked * n_asked)))
    scale = 1 + z_squared / n_asked
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def spearman_interval(rho: float, n_pairs: int) -> tuple[float, float]:
    """Lower and upper end of the 95 % interval of a rank correlation; -1 and 1 for three pairs and fewer, `rho` itself at 1 and -1.

    Notes
    -----
    Fisher's z with the standard error sqrt((1 + rho**2 / 2) / (n - 3)) of Bonett & Wright 2000, "Sample size requirements for
    estimating Pearson, Kendall and Spearman correlations". Fisher's own 1 / sqrt(n - 3) is for Pearson's correlation and too narrow here.
    """
    if n_pairs <= 3:
        return -1.0, 1.0
    if abs(rho) >= 1:
        return rho, rho
    half = Z_95 * math.sqrt((1 + rho * rho / 2) / (n_pairs - 3))
    return math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half)
