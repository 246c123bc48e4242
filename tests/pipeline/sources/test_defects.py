"""What is said of bytes that are not UTF-8."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.choices import Format
from pipeline.reasons import Reason
from pipeline.sources.defects import Defect, describe_invalid, first_invalid, mended
from pipeline.sources.errors import defect_error
from pipeline.sources.shard import SourceShard
from tests.reference import tokens as reference

INVALID = {
    "Latin-1": ("Grüße aus Köln".encode("latin-1"), "not UTF-8", "WINDOWS-1252", ">>fc df 65 20<<"),
    "cut": ("a Straße".encode()[:7], "not UTF-8", "WINDOWS-1252", ">>c3<<"),
    "UTF-16 with a mark": ("Grüße".encode("utf-16"), "is UTF-16", "UTF-16", ">>ff fe 47 00<<"),
    "Chinese UTF-16 with a mark": ("汉字".encode("utf-16"), "is UTF-16", "UTF-16", ">>ff fe"),
    "UTF-16 without a mark": ("A text in Latin".encode("utf-16-be"), "is UTF-16", "UTF-16", ">>00 41 00 20<<"),
    "binary": (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0\x01\0\0\0", "not text", "tr -d", ">>00 00 00 00<<"),
    "one NUL": ("über".encode() + b"\0 text", "not text", "tr -d", ">>00 20 74 65<<"),
}


def shard(location="corpus/book.txt", compression="", start=0):
    return SourceShard(location, Format.TEXT, compression, "", "", start, start + 5000, "")


@pytest.mark.parametrize("case", INVALID.values(), ids=INVALID.keys())
def test_defect_error__says_what_the_file_seems_to_be(case):
    data, what, tool, shown = case
    # In UTF-16 nothing valid goes before.
    for before in [b""] if "UTF-16" in what else [b"", "Anfang, äö ".encode(), "한국 text ".encode() * 9]:
        text = before + data
        at = first_invalid(text)
        reason, got = describe_invalid(text, at)
        error = defect_error(shard(start=1000), Defect(reason, 0, at, 1, len(text), got))
        assert what in error.what
        assert error.details["where"] == f"corpus/book.txt, byte {1000 + at}"
        assert shown in error.details["got"]
        assert tool in error.details["remedy"]
        assert "leave book.txt out" in error.details["remedy"]


def test_defect_error__counts_in_the_decompressed_text():
    error = defect_error(shard("corpus/book.txt.gz", ".gz"), Defect(Reason.NOT_UTF8, 0, 7, 1, 9, "x"))
    assert error.details["where"] == "corpus/book.txt.gz, byte 7 of its decompressed text"
    assert "UTF-8 book.txt >" in error.details["remedy"]


@pytest.mark.parametrize("reason", Reason)
def test_defect_error__has_all_that_a_user_needs_for_every_reason(reason):
    error = defect_error(shard(), Defect(reason, 0, 7, 1, 9, "x"))
    assert error.what.endswith(".")
    assert all(error.details.values())


PIECES = st.lists(
    st.sampled_from([b"a", b"\n", "ü".encode(), "한".encode(), "𝔘".encode(), b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9d"])
)


@given(PIECES.map(b"".join), st.integers(0, 5))
def test_first_invalid__finds_what_the_reference_finds(data, start):
    start = min(start, len(data))
    found = reference.first_invalid(data[start:])
    assert first_invalid(data, start) == (found + start if found >= 0 else -1)


@given(PIECES.map(b"".join))
def test_mended__is_valid_and_changes_nothing_that_is(data):
    assert first_invalid(mended(data)) == -1
    assert (mended(data) == data) == (first_invalid(data) == -1)
    assert mended(mended(data)) == mended(data)
