"""What became of every record of one shard: kept, left out because there is no text in it, or broken."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from pipeline.choices import Broken, Format
from pipeline.reasons import MENDABLE, LeftOut, Reason
from pipeline.sources.defects import Defect
from pipeline.sources.errors import defect_error
from pipeline.sources.shard import SourceShard
from pipeline.storage.artifact import Tally
from pipeline.storage.schemas import QUARANTINE

ROWS_EACH = 1000  # so many broken records of a shard have a row of their own; the others share one for each reason


class Account:
    """The account of one pass over a shard. Readers write to it; it raises when a broken record must end the run.

    Parameters
    ----------
    shard
        What is read.
    policy
        What becomes of broken records: the key `corpus.broken`.
    """

    def __init__(self, shard: SourceShard, policy: Broken) -> None:
        self.shard, self.policy = shard, policy
        self.n_read = 0  # bytes of (decompressed) text that came in
        self.n_broken = 0  # records, mended ones too
        self._kept = [0, 0]  # records, bytes
        self._dropped: tuple[Counter[str], Counter[str]] = (Counter(), Counter())  # records, bytes by reason
        self._lost: Counter[str] = Counter()  # bytes on disk by reason
        self._each: list[Defect] = []
        self._more: dict[tuple[Reason, bool], Defect] = {}

    def counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The same chunks, added to what came in."""
        for chunk in chunks:
            self.n_read += len(chunk)
            yield chunk

    def keep(self, n_records: int, n_bytes: int) -> None:
        """Some records were kept; their bytes as they were read, with all that stands around the text."""
        self._kept[0] += n_records
        self._kept[1] += n_bytes

    def leave_out(self, why: Reason | LeftOut, n_records: int, n_bytes: int) -> None:
        """Something was read, but is not handed on."""
        self._dropped[0][why] += n_records
        self._dropped[1][why] += n_bytes

    def lose(self, why: Reason, n_bytes: int) -> None:
        """Bytes of the file itself gave nothing; of an archive nobody knows how many records they hold."""
        self._lost[why] += n_bytes

    def mends(self, reason: Reason) -> bool:
        """Whether records that are broken for this reason are to be mended and kept, not dropped."""
        return self.policy is Broken.REPLACE and reason in MENDABLE

    def report(self, defect: Defect) -> None:
        """A record is broken. One that is mended must be kept too.

        Raises
        ------
        InputError
            When broken records end the run.
        """
        if self.policy is Broken.FAIL:
            raise defect_error(self.shard, defect)
        self.n_broken += defect.n_records
        if not defect.kept:
            self.leave_out(defect.reason, defect.n_records, defect.n_bytes)
        if len(self._each) < ROWS_EACH:
            self._each.append(defect)
            return
        kind = (defect.reason, defect.kept)
        so_far = self._more.get(kind)
        self._more[kind] = (
            replace(so_far, n_records=so_far.n_records + defect.n_records, n_bytes=so_far.n_bytes + defect.n_bytes) if so_far else defect
        )

    @property
    def n_records(self) -> int:
        """Records that came in."""
        return self._kept[0] + self._dropped[0].total()

    @property
    def n_kept(self) -> int:
        """Records that were kept, mended ones too."""
        return self._kept[0]

    @property
    def n_lost(self) -> int:
        """Bytes on disk that gave nothing."""
        return self._lost.total()

    def tallies(self) -> tuple[Tally, ...]:
        """Where bytes and records went. Of a plain file the bytes must add up to those of its shard, else to those that came out of it;
        then there is a tally of the bytes on disk too.

        Raises
        ------
        AccountingError
            When they do not.
        """
        is_raw = not self.shard.compression and self.shard.format is not Format.PARQUET
        unit = "lines" if self.shard.format is Format.TEXT else "documents"
        n_on_disk = self.shard.n_bytes
        found = (
            Tally("bytes", n_on_disk if is_raw else self.n_read, self._kept[1], _named(self._dropped[1])),
            Tally(unit, self.n_records, self._kept[0], _named(self._dropped[0])),
        )
        return found if is_raw else (Tally("bytes on disk", n_on_disk, n_on_disk - self.n_lost, _named(self._lost)), *found)

    def quarantine(self) -> pa.Table:
        """The table of broken records: in their order, then those that share rows."""
        defects = [*self._each, *(self._more[kind] for kind in sorted(self._more))]
        rows = [
            {
                "offset": defect.offset,
                "at": defect.at,
                "records": defect.n_records,
                "bytes": defect.n_bytes,
                "reason": defect.reason.value,
                "kept": defect.kept,
                "got": defect.got,
            }
            for defect in defects
        ]
        return pa.Table.from_pylist(rows, schema=QUARANTINE)


def _named(counts: Counter[str]) -> dict[str, int]:
    """As plain values in a fixed order, without what is zero."""
    return {str(name): counts[name] for name in sorted(counts) if counts[name]}
