"""Chunks of bytes cut into whole lines, and lines of plain text into those that can be used and those that cannot."""

import re
from collections.abc import Iterator

import numpy as np

from pipeline.reasons import LeftOut, Reason
from pipeline.sources.account import Account
from pipeline.sources.archives import BrokenArchiveError
from pipeline.sources.defects import EXCERPT_BYTES, Defect, describe_invalid, first_invalid, mended, quoted

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_WINDOW = 4096  # bytes
_LONE_RETURN = re.compile(rb"\r(?!\n)")

Lines = tuple[int, bytes]
"""Whole lines, of which only the last of all may lack its end, and the byte of the shard's (decompressed) text at which they start."""


def whole_lines(chunks: Iterator[bytes], longest: int, account: Account) -> Iterator[Lines]:
    """The same bytes cut behind the last line feed of each chunk that has one. Empty ones do not occur.

    Lines of more than `longest` bytes, line feed included, are reported to the account and left out; a line is held no longer than that.
    So is what a broken archive has given behind its last line feed. A UTF-8 byte order mark at the very start is left out too.

    Raises
    ------
    BrokenArchiveError
        When text has been handed on that cannot be trusted.
    InputError
        When broken records end the run.
    """
    cutter = _Cutter(longest, account)
    try:
        for chunk in chunks:
            yield from cutter.add(chunk)
        yield from cutter.end()
    except BrokenArchiveError as error:
        cutter.break_off(error)


class _Cutter:
    """The line that has begun, and what came before it."""

    def __init__(self, longest: int, account: Account) -> None:
        self.longest, self.account = longest, account
        self.offset = 0  # of the line that has begun
        self.begun: list[bytes] = []
        self.n_begun = 0  # its bytes; only the first of them are in `begun` once it is too long

    def add(self, chunk: bytes) -> Iterator[Lines]:
        """The lines that end in this chunk."""
        border = chunk.rfind(b"\n") + 1
        if border:
            begun, n_begun = self.begun, self.n_begun
            # A long line is not held twice while its lines are read.
            self.begun, self.n_begun = [chunk[border:]], len(chunk) - border
            if n_begun > self.longest:
                end = chunk.find(b"\n") + 1
                self._report_long(self.offset, n_begun + end, b"".join(begun))
                self.offset += n_begun + end
                lines = chunk[end:border]
            else:
                lines = b"".join([*begun, memoryview(chunk)[:border]])
            del begun
            yield from self._without_long(lines)
            return
        self.begun.append(chunk)
        self.n_begun += len(chunk)
        if self.n_begun > self.longest:
            self.begun = [b"".join(part[:EXCERPT_BYTES] for part in self.begun)[:EXCERPT_BYTES]]

    def end(self) -> Iterator[Lines]:
        """The last line, when it has no end."""
        if self.n_begun > self.longest:
            self._report_long(self.offset, self.n_begun, b"".join(self.begun))
        else:
            yield from self._without_long(b"".join(self.begun))

    def break_off(self, error: BrokenArchiveError) -> None:
        """Report the end of an archive that is broken."""
        at = self.offset + self.n_begun
        if at > error.n_trusted:
            raise error
        self.account.report(Defect(error.reason, self.offset, at, 1, self.n_begun, error.got))
        self.account.lose(error.reason, error.n_lost)

    def _without_long(self, lines: bytes) -> Iterator[Lines]:
        given = at = 0  # both are borders of lines
        while len(lines) - at > self.longest:
            border = lines.rfind(b"\n", at, at + self.longest) + 1
            if border:
                at = border
                continue
            end = lines.find(b"\n", at + self.longest) + 1 or len(lines)
            yield from self._unmarked(given, lines[given:at])
            self._report_long(self.offset + at, end - at, lines[at : at + EXCERPT_BYTES])
            given = at = end
        yield from self._unmarked(given, lines[given:] if given else lines)
        self.offset += len(lines)

    def _unmarked(self, start: int, lines: bytes) -> Iterator[Lines]:
        offset = self.offset + start
        if offset == 0 and lines.startswith(BYTE_ORDER_MARK):
            self.account.leave_out(LeftOut.MARK, 0, len(BYTE_ORDER_MARK))
            offset, lines = len(BYTE_ORDER_MARK), lines[len(BYTE_ORDER_MARK) :]
        if lines:
            yield offset, lines

    def _report_long(self, offset: int, n_bytes: int, begin: bytes) -> None:
        got = f"a line of {n_bytes:,} bytes that begins with {quoted(begin[:EXCERPT_BYTES])}"
        self.account.report(Defect(Reason.TOO_LONG, offset, offset, 1, n_bytes, got))


def line_feeds(lines: bytes) -> bytes:
    """The same lines, as long as they were, with a line feed at the end of each: instead of a carriage return, or behind one."""
    if b"\r" not in lines or lines.count(b"\r") == lines.count(b"\r\n"):
        return lines
    return _LONE_RETURN.sub(b"\n", lines)


def plain_text(every: Iterator[Lines], account: Account, *, checked: bool) -> Iterator[bytes]:
    """The lines of plain text, each a record.

    Parameters
    ----------
    every
        Lines as they are in the file.
    account
        Hears what becomes of them.
    checked
        Whether broken lines are to be found, and dropped or mended. If not, all are handed on, and whoever decodes them finds the broken
        ones for nothing: checking takes a tenth of the time of tokenizing, so it is for shards in which there are some.

    Raises
    ------
    InputError
        When broken records end the run.
    """
    for offset, lines in every:
        text = line_feeds(lines)
        if checked:
            text = _sound_lines(offset, text, account)
        else:
            account.keep(count_lines(text), len(text))
        if text:
            yield text.replace(b"\r\n", b"\n") if b"\r" in text else text


def count_lines(lines: bytes) -> int:
    """How many lines there are, of which the last may lack its end."""
    # bytes.count takes 1.5 ns a byte, and keeps other threads waiting.
    n_feeds = int(np.count_nonzero(np.frombuffer(lines, np.uint8) == 0x0A))
    return n_feeds + (not lines.endswith(b"\n") and bool(lines))


def _sound_lines(offset: int, text: bytes, account: Account) -> bytes:
    """The lines of a block that can be used."""
    parts, begin = [], 0

    def keep(end: int) -> None:
        parts.append(text[begin:end])
        account.keep(count_lines(parts[-1]), len(parts[-1]))

    while begin < len(text):
        # In small windows: what is behind a defect would be looked at, and copied by Python's error, again for every broken line.
        window = text.find(b"\n", begin + _WINDOW) + 1 or len(text)
        at = first_invalid(text, begin, window)
        if at < 0:
            keep(window)
            begin = window
            continue
        start, end = text.rfind(b"\n", begin, at) + 1 or begin, text.find(b"\n", at) + 1 or len(text)
        keep(start)
        reason, got = describe_invalid(text, at)
        mends = account.mends(reason)
        account.report(Defect(reason, offset + start, offset + at, 1, end - start, got, kept=mends))
        if mends:
            parts.append(mended(text[start:end]))
            account.keep(1, end - start)
        begin = end
    return b"".join(parts)
