"""The generator: known outputs, keys that do not overlap, and the distribution of the noise words drawn with it."""

import numpy as np
from scipy import stats

from kernels.alias import build_alias, draw_alias
from kernels.draws import Purpose, derive_key, mix64, uniform64, uniform_below, uniform_unit
from kernels.jit import kernel
from tests.reference.windows import draw_noise, splitmix64


@kernel
def fill_uniform64(key, first, draws):
    """Fill `draws` in place with the outputs from number `first` on."""
    for i in range(draws.size):
        draws[i] = uniform64(key, np.uint64(first + i))


@kernel
def fill_unit(key, draws):
    """Fill `draws` in place with numbers in [0, 1)."""
    for i in range(draws.size):
        draws[i] = uniform_unit(key, np.uint64(i))


@kernel
def fill_below(key, bound, draws):
    """Fill `draws` in place with integers below `bound`."""
    for i in range(draws.size):
        draws[i] = uniform_below(key, np.uint64(i), bound)


@kernel
def fill_keys(parent, keys):
    """Fill `keys` in place with the first branches below `parent`."""
    for i in range(keys.size):
        keys[i] = derive_key(parent, np.uint64(i))


@kernel
def fill_noise(key, threshold, other, words):
    """Fill `words` in place with draws from the alias table."""
    for i in range(words.size):
        words[i] = draw_alias(uniform64(key, np.uint64(i)), threshold, other)


@kernel
def fill_mixed(words):
    """Replace `words` in place by what mix64 makes of them."""
    for i in range(words.size):
        words[i] = mix64(words[i])


def test_uniform64__gives_the_published_outputs_of_splitmix64():
    """Seed 1234567 of the widely used C program by Vigna."""
    draws = np.empty(5, np.uint64)
    fill_uniform64(np.uint64(1234567), 0, draws)
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert draws.tolist() == known
    assert [splitmix64(1234567, i) for i in range(5)] == known


def test_uniform64__is_a_function_of_key_and_counter():
    whole, part = np.empty(100, np.uint64), np.empty(10, np.uint64)
    fill_uniform64(np.uint64(2**64 - 5), 0, whole)
    fill_uniform64(np.uint64(2**64 - 5), 70, part)
    assert np.array_equal(part, whole[70:80])
    assert whole.tolist() == [splitmix64(2**64 - 5, i) for i in range(100)]


def test_mix64__flips_half_the_bits_for_any_flipped_bit():
    """64 x 64 bits over 2,000 words: each flips 1,000 +- 22 times; six standard deviations, false alarm below 1e-5 over 4,096 cells."""
    words = np.random.default_rng(4).integers(0, 2**64, 2000, dtype=np.uint64)
    for bit in range(64):
        plain, flipped = words.copy(), words ^ np.uint64(1 << bit)
        fill_mixed(plain)
        fill_mixed(flipped)
        changed = np.unpackbits((plain ^ flipped).view(np.uint8)).reshape(2000, 64).sum(axis=0)
        assert np.abs(changed.astype(int) - 1000).max() < 6 * 22.4


def test_derive_key__branches_do_not_meet():
    keys = [np.empty(20_000, np.uint64) for _ in range(3)]
    for parent, branch in zip((0, 1, 2**63), keys, strict=True):
        fill_keys(np.uint64(parent), branch)
    assert len(np.unique(np.concatenate(keys))) == 60_000


def test_uniform_unit__is_uniform():
    """Kolmogorov-Smirnov over 100,000 draws of a fixed key; under the null hypothesis it would fail for one key in 1e4."""
    draws = np.empty(100_000)
    fill_unit(np.uint64(42), draws)
    assert draws.min() >= 0.0
    assert draws.max() < 1.0
    assert stats.kstest(draws, "uniform").pvalue > 1e-4


def test_uniform_below__is_uniform_and_below():
    """Chi-square over 100,000 draws; would fail for one key in 1e4."""
    draws = np.empty(100_000, np.uint64)
    for bound in (1, 5, 7):
        fill_below(np.uint64(43), np.uint64(bound), draws)
        counts = np.bincount(draws.astype(np.int64), minlength=bound)
        assert len(counts) == bound
        assert bound == 1 or stats.chisquare(counts).pvalue > 1e-4


def test_noise__follows_the_counts_to_the_power_three_quarters():
    """Chi-square over 1,000,000 draws for 2,000 words of Zipfian counts; would fail for one key in 1e4, and fails for the power 0.74."""
    counts = np.floor(1e6 / np.arange(1.0, 2001))
    words = np.empty(1_000_000, np.int32)
    fill_noise(np.uint64(44), *build_alias(counts**0.75), words)
    found = np.bincount(words, minlength=2000)

    def p_value(power):
        return stats.chisquare(found, len(words) * counts**power / (counts**power).sum()).pvalue

    assert p_value(0.75) > 1e-4
    assert p_value(0.74) < 1e-4
    assert p_value(1.0) < 1e-4


def test_noise__is_the_reference_draw_for_draw():
    table = build_alias(np.arange(1.0, 101) ** -0.75)
    words = np.empty(60, np.int32)
    fill_noise(np.uint64(45), *table, words)
    assert words.tolist() == [word for centre in range(12) for word in draw_noise(45, centre * 5, 5, *table)]


def test_purpose__numbers_never_change():
    known = {"SUBSAMPLE": 1, "RADIUS": 2, "NOISE": 3, "INITIAL": 4, "MATCHES": 5}
    assert {purpose.name: purpose.value for purpose in Purpose} == known
