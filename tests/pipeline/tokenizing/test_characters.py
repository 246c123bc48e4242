"""The table of characters, one code point at a time."""

import unicodedata

import numpy as np
import pytest

from kernels.tokens import ALONE, ATTACHED
from pipeline.choices import Digits
from pipeline.tokenizing.characters import TABLE_SIZE, character_table, replacements
from pipeline.tokenizing.versions import TOKENIZER_VERSION, UNICODE_VERSION
from tests.reference.tokens import is_token_character, stands_alone, written


@pytest.mark.parametrize("lowercase", [False, True])
def test_character_table__equals_the_definition_everywhere(lowercase):
    expected = [(ord(chr(code).lower()[0]) if lowercase else code) if is_token_character(chr(code)) else 0 for code in range(TABLE_SIZE)]
    table = character_table(lowercase)
    assert table.dtype == np.int32
    assert table.shape == (TABLE_SIZE,)
    np.testing.assert_array_equal(table, expected)


@pytest.mark.parametrize("digits", [Digits.DROP, Digits.MAP])
def test_character_table__knows_digits_and_characters_that_stand_alone_everywhere(digits):
    def entry(character: str) -> int:
        if not is_token_character(character, digits):
            return 0
        is_mark = unicodedata.category(character)[0] == "M"
        return ord(written(character, True, digits)) | (ALONE if stands_alone(character) else ATTACHED if is_mark else 0)

    table = character_table(True, digits, stand_alone=True)
    np.testing.assert_array_equal(table, [entry(chr(code)) for code in range(TABLE_SIZE)])
    assert (table[:0x80] < 0x80).all()
    assert table.dtype == np.int32


@pytest.mark.parametrize(("lowercase", "digits"), [(True, Digits.KEEP), (False, Digits.DROP), (True, Digits.MAP), (False, Digits.KEEP)])
def test_replacements__do_to_every_character_what_the_table_does(lowercase, digits):
    changes = replacements(lowercase, digits)
    table = character_table(lowercase, digits)
    for code in range(TABLE_SIZE):
        if is_token_character(chr(code)):
            expected = written(chr(code), lowercase, digits) if table[code] else " "
            assert chr(code).translate(changes) == expected
        else:
            assert code not in changes


def test_character_table__lower_cases_to_token_characters_only():
    table = character_table(True)
    assert (table[table[table > 0]] > 0).all()


def test_character_table__grows_no_character_by_more_than_half():
    # What the room of the byte kernel's arena rests on.
    written = np.array([1, 2, 3, 4])
    table = character_table(True)
    codes = np.flatnonzero(table)
    borders = np.array([0x80, 0x800, 0x10000])
    before = written[np.searchsorted(borders, codes, side="right")]
    after = written[np.searchsorted(borders, table[codes], side="right")]
    assert (2 * after <= 3 * before).all()
    assert (after > before).any()


@pytest.mark.parametrize(("character", "written"), [("İ", "i"), ("Σ", "σ"), ("ẞ", "ß"), ("ǅ", "ǆ"), ("Ⱥ", "ⱥ"), ("٣", "٣"), ("한", "한")])
def test_character_table__lower_cases_by_single_code_points(character, written):
    assert character_table(True)[ord(character)] == ord(written)
    assert character_table(False)[ord(character)] == ord(character)


def test_versions__are_those_of_the_definition_and_of_this_python():
    assert TOKENIZER_VERSION == 1
    assert unicodedata.unidata_version == UNICODE_VERSION
