"""The paragraphs of a whole file, read at once with the standard library: what the readers of every format must give, however it is cut."""

import csv
import io
import json

MARK = b"\xef\xbb\xbf"


def lines_of(data, longest):
    """Every line with its line feed, but those of more than `longest` bytes; and how many those are."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    if not lines[-1]:
        lines.pop()
    kept = [line for line in lines if len(line) <= longest]
    if lines and kept[:1] == lines[:1]:
        kept[0] = kept[0].removeprefix(MARK)
    return kept, len(lines) - len(kept)


def paragraphs(text):
    """The lines of a text, however they end."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def decoded(data, mend):
    """Bytes as text; None when they are not valid and are not to be mended."""
    text = data.decode("utf-8", "replace")
    if not mend and ("\0" in text or text.encode() != data):
        return None
    return text.replace("\0", "\ufffd")


def read_text(data, longest, mend=False):
    """The lines of plain text that can be used, and how many are broken."""
    found, n_broken = [], 0
    lines, n_long = lines_of(data, longest)
    for line in lines:
        parts = line.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for part in parts if parts[-1] else parts[:-1]:
            text = decoded(part, mend)
            n_broken += decoded(part, False) is None
            found += [] if text is None else [text]
    return found, n_broken + n_long


def read_json_lines(data, key, longest, mend=False):
    """The paragraphs of all records that can be used, and how many are broken; empty lines and nulls are neither."""
    found, n_broken = [], 0
    lines, n_long = lines_of(data, longest)
    for line in lines:
        if not line.strip():
            continue
        strict = text_in_json(line, key, False)
        n_broken += strict is BROKEN
        text = text_in_json(line, key, True) if mend else strict
        found += [] if text in (BROKEN, None) else paragraphs(text)
    return found, n_broken + n_long


BROKEN = object()


def text_in_json(line, key, mend):
    """The text under a key; None for null, BROKEN where there is none."""
    line = decoded(line.removeprefix(MARK), mend)
    try:
        text = json.loads(line, parse_int=float)[key]  # long numbers are refused as int
        if text is None:
            return None
        if mend:
            text = text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        text.encode()
        return BROKEN if "\0" in text else text
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return BROKEN


def read_table(data, column, delimiter):
    """The paragraphs of a column of a table without a defect."""
    options = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if delimiter == "\t" else {"strict": True}
    rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), **options)
    return [paragraph for row in rows for paragraph in paragraphs(row[column])]
