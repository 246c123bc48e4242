from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pipeline.errors import InputError
from pipeline.scoring.evaluation import Z_95, read_lines, spearman_interval, wilson_interval


def test_read_lines__numbers_what_is_not_blank(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_bytes(b"\xef\xbb\xbffirst \r\n\n  \nfourth\t1\x85x")
    with pytest.raises(InputError, match="byte 23"):
        read_lines(path)
    path.write_bytes("\ufefffirst \r\n\n  \nfourth\t1".encode())
    assert list(read_lines(path)) == [(1, "first"), (4, "fourth\t1")]


def test_read_lines__explains_a_file_that_is_absent(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.txt"):
        read_lines(tmp_path / "absent.txt")


# Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
@pytest.mark.parametrize(
    ("n_correct", "n_asked", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval__has_the_published_values(n_correct: int, n_asked: int, low: float, high: float) -> None:
    assert wilson_interval(n_correct, n_asked) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 20_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval__agrees_with_scipy_and_holds_the_share(counts: tuple[int, int]) -> None:
    n_correct, n_asked = counts
    low, high = wilson_interval(n_correct, n_asked)
    expected = binomtest(n_correct, n_asked).proportion_ci(0.95, method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= n_correct / n_asked + 1e-15
    assert n_correct / n_asked - 1e-15 <= high <= 1


def test_wilson_interval__is_everything_when_nothing_was_asked() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_spearman_interval__has_the_values_of_the_formula() -> None:
    # n = 28, rho = 0.5: atanh 0.549306, standard error sqrt(1.125 / 25) = 0.212132, so tanh(0.133535) and tanh(0.965077)
    assert spearman_interval(0.5, 28) == pytest.approx((0.132747, 0.746533), abs=2e-6)


@given(st.floats(-0.999, 0.999), st.integers(4, 5000))
def test_spearman_interval__holds_rho_mirrors_and_narrows(rho: float, n_pairs: int) -> None:
    low, high = spearman_interval(rho, n_pairs)
    assert -1 <= low < rho < high <= 1
    assert spearman_interval(-rho, n_pairs) == pytest.approx((-high, -low))
    narrower = spearman_interval(rho, 4 * n_pairs)
    assert narrower[1] - narrower[0] < high - low


def test_spearman_interval__has_its_ends_where_the_formula_has_none() -> None:
    assert spearman_interval(0.3, 3) == (-1.0, 1.0)
    assert spearman_interval(1.0, 10) == (1.0, 1.0)
    assert spearman_interval(-1.0, 10) == (-1.0, -1.0)
    assert pytest.approx(1.96, abs=1e-3) == Z_95
