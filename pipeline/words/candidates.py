"""What could become a phrase, counted exactly at any size: bigrams, and where connectors are given also two words with connectors between.

Groups of shards are counted on workers, each in its share of the memory. Words that are seen often have ids, the same everywhere, and
bigrams of two such words are packed into 64 bits: a worker sorts and counts them, and spills them by a hash into partitions, which are
merged one by one. Candidates with a rare word cannot become phrases, but gensim's scorer wants to know how many different ones there
are; for other scorers they are left out. Where the rare words of the text are few they have ids too. All other candidates are spelled
out and counted as strings: those with connectors, and those with a rare word that has none.

So no process has all words of a large text, nor all candidates. In memory at once are the words that have ids, the lexicons of the
shards of a group, and the longest sentence.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kernels.bigrams import CHUNK_TOKENS, Counted, count_bigrams, merge_counts, partition_bigrams
from kernels.spans import Spans
from pipeline.progress import Progress
from pipeline.storage.schemas import BIGRAMS, LEXICON
from pipeline.storage.tables import count_bytes, read_table, write_table
from pipeline.words.counting import count_strings, cut_groups, one_array
from pipeline.words.text import LEXICON_FILE, TextShard, codes_to_ids
from pipeline.workers import Workers

TOKENS_A_GROUP, TOKENS_AT_ONCE = 4_194_304, 65_536
# Of the memory of a task the words of its shards take up to half, if one shard has no more: four times their lexicons. Of the rest
# 8 bytes a token of a chunk, 16 a bigram counted, twice that while the last are merged; some 30 a span in the tree, and five times that
# while it, or a bigram with a rare word, is spelled out.
LEXICON_FACTOR = 4
BYTES_A_TOKEN, BYTES_A_BIGRAM, BYTES_A_SPAN = 80, 160, 512
BYTES_A_MERGED = 48  # read, in the stack, merged
BETWEEN = "\0"  # between the words of a candidate that is spelled out: no token has it
LOW, HIGH = np.uint64(0xFFFFFFFF), np.uint64(32)


@dataclass(frozen=True)
class Candidates:
    """Counted candidates."""

    packed: tuple[Path, ...]
    """Files of bigrams that were seen at least min_count times."""
    spelled: tuple[Path, ...]
    """Files of other candidates that were: (token, count), the words with BETWEEN between them."""
    n_distinct: int
    """Different candidates; unless `all_distinct` was asked for, without those that have a rare word and no connector."""
    n_seen: int
    """Occurrences of candidates, as the lengths of the sentences say."""
    n_rare_seen: int
    """Occurrences of those that are in no file, as they were counted: with the files' they make `n_seen`."""
    n_connectors: int
    """Different connectors that are in the text."""


@dataclass(frozen=True)
class _Plan:
    """The same for all groups."""

    words: tuple[Path, ...]
    connectors: tuple[str, ...]
    all_distinct: bool
    n_partitions: int
    task_bytes: int
    directory: Path

    def partition(self, number: int) -> Path:
        return self.directory / f"bigrams-{number:06d}"

    @property
    def spelled(self) -> Path:
        return self.directory / "spelled"


@dataclass(frozen=True)
class _Group:
    """One task: the shards whose candidates are counted together."""

    plan: _Plan
    number: int
    shards: tuple[TextShard, ...]
    words_bytes: int

    @property
    def task_bytes(self) -> int:
        """What the words leave of its memory; little where those of a single shard take nearly all of it."""
        return max(self.plan.task_bytes - self.words_bytes, self.plan.task_bytes // 8)


@dataclass(frozen=True)
class _GroupCount:
    """What is known of a group besides its files."""

    n_tokens: int
    n_seen: int  # candidates, from the lengths of the sentences
    n_left_out: int  # of these not in the files
    connectors: frozenset[str]


@dataclass(frozen=True)
class _Merge:
    """One task: the bigrams of one partition."""

    plan: _Plan
    number: int
    min_count: int


@dataclass(frozen=True)
class _Merged:
    """What a merge found: occurrences of rare bigrams, and the file of the others."""

    path: Path
    n_distinct: int
    n_rare_seen: int


def count_candidates(
    shards: Sequence[TextShard],
    words: Sequence[Path],
    directory: Path,
    workers: Workers,
    progress: Progress,
    *,
    connectors: tuple[str, ...],
    min_count: int,
    all_distinct: bool,
) -> Candidates:
    """Count all candidates of a text.

    Parameters
    ----------
    shards
        The text.
    words
        Files of the schema LEXICON: every word that is seen at least min_count times; its row is its id in the packed files. Behind them
        perhaps all others.
    directory
        Where everything is written.
    workers
        Who counts and merges, each task in its share of the memory.
    progress
        Is told how many tasks there are, and of each that is done.
    connectors
        Words that a candidate may have inside, and not at its ends.
    min_count
        How often a candidate must have been seen to be in a file.
    all_distinct
        Whether `n_distinct` counts all candidates of the text.

    Raises
    ------
    StoreError
        When a file of the text cannot be read.
    """
    task_bytes = workers.task_bytes  # asked once: of a cluster it can change
    n_tokens = {shard: shard.n_tokens for shard in shards}
    words_bytes = {shard: LEXICON_FACTOR * count_bytes(shard.directory / LEXICON_FILE) for shard in shards}
    n_all = sum(n_tokens[shard] for shard in shards)
    tokens_a_group = max(1, min(TOKENS_A_GROUP, math.ceil(n_all / workers.n_threads)))
    # Of a group two things have a limit. Both sizes are scaled to one, in whole numbers.
    sizes = [max(n_tokens[shard] * task_bytes, 2 * words_bytes[shard] * tokens_a_group) for shard in shards]
    groups = cut_groups(shards, sizes, tokens_a_group * task_bytes)
    needed = math.ceil(BYTES_A_MERGED * n_all / task_bytes)
    plan = _Plan(tuple(words), connectors, all_distinct, max(1, needed, min(len(groups), workers.n_threads)), task_bytes, directory)
    progress.n_total += len(groups) + plan.n_partitions
    plan.spelled.mkdir()
    tasks = [_Group(plan, number, group, sum(words_bytes[shard] for shard in group)) for number, group in enumerate(groups)]
    counts = workers.map(_count_group, tasks, lambda count: progress.advance(1, count.n_tokens))
    merges = [_Merge(plan, number, min_count) for number in range(plan.n_partitions)]
    merged = workers.map(_merge_partition, merges, lambda _: progress.advance(1, 0))
    spelled = count_strings(sorted(plan.spelled.iterdir()), directory / "strings", workers, min_count)
    return Candidates(
        tuple(part.path for part in merged),
        spelled.files,
        sum(part.n_distinct for part in merged) + spelled.n_distinct,
        sum(count.n_seen for count in counts),
        sum(count.n_left_out for count in counts) + sum(part.n_rare_seen for part in merged) + spelled.n_seen - spelled.n_often_seen,
        len({connector for count in counts for connector in count.connectors}),
    )


class _Counter:
    """Counts one group. Its codes are those of its shards' lexicons, one behind the other."""

    def __init__(self, group: _Group) -> None:
        self.group, self.plan = group, group.plan
        known = pa.concat_tables([read_table(path, LEXICON, ["token"]) for path in self.plan.words])["token"]
        lexicons = [shard.lexicon() for shard in group.shards]
        lexicon = pa.concat_tables(lexicons)
        self.bases = np.cumsum([0] + [len(one) for one in lexicons[:-1]]).astype(np.int32)
        self.n_ids, self.names = len(known), pa.concat_arrays([*known.chunks, *lexicon["token"].chunks])
        words, tokens = self.names[: self.n_ids], self.names[self.n_ids :]
        is_connector = pc.is_in(tokens, value_set=pa.array(self.plan.connectors, pa.string()))
        self.connectors = frozenset(tokens.filter(pc.and_(is_connector, pc.greater(one_array(lexicon["count"]), 0))).to_pylist())
        self.is_connector = is_connector.to_numpy(zero_copy_only=False)
        ids = codes_to_ids(tokens, words)
        self.is_rare = (ids < 0) & ~self.is_connector
        if self.plan.all_distinct:  # of words that have none, ids that mean something in this group only
            ids[self.is_rare] = np.flatnonzero(self.is_rare) + self.n_ids
        ids[self.is_connector] = -1
        self.ids = ids
        self.spans = Spans(self.is_connector)
        self.most_spans = max(1, group.task_bytes // BYTES_A_SPAN)
        self.n_tokens = self.n_seen = self.n_written = self.n_files = 0

    def count(self) -> _GroupCount:
        """Count and spill."""
        task_bytes = self.group.task_bytes
        chunk_tokens = max(1, min(CHUNK_TOKENS, task_bytes // BYTES_A_TOKEN))
        for counted in count_bigrams(self._texts(), task_bytes // BYTES_A_BIGRAM, chunk_tokens):
            self._spill(self._without_rare(counted))
        self._spill_spans()
        return _GroupCount(self.n_tokens, self.n_seen, self.n_seen - self.n_written, self.connectors)

    def _texts(self) -> Iterator[tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]]:
        """The sentences in ids; -1 is in no bigram. Spans are counted on the way."""
        for shard, base in zip(self.group.shards, self.bases, strict=True):
            for text in (part for texts in shard.sentences() for part in texts.cut(min(TOKENS_AT_ONCE, self.most_spans))):
                codes = text.codes + base
                self.n_tokens += len(codes)
                lengths = np.diff(text.offsets)
                if self.connectors:
                    self.spans.add(codes, text.offsets)
                    if self.spans.n_entries > self.most_spans:
                        self._spill_spans()
                    words_before = np.concatenate([np.zeros(1, np.int64), np.cumsum(~self.is_connector[codes])])
                    lengths = np.diff(words_before[text.offsets])
                self.n_seen += int(np.maximum(lengths - 1, 0).sum())
                yield self.ids[codes], text.offsets

    def _spill(self, counted: Counted) -> None:
        """Write bigrams of words that have ids, by partition."""
        (bigrams, counts), borders = partition_bigrams(counted, self.plan.n_partitions)
        self.n_written += int(counts.sum())
        name = self._file()
        for number in range(self.plan.n_partitions):
            part = slice(borders[number], borders[number + 1])
            if part.start < part.stop:
                table = pa.table([bigrams[part], counts[part]], schema=BIGRAMS)
                write_table(self.plan.partition(number), name, BIGRAMS, table)

    def _without_rare(self, counted: Counted) -> Counted:
        """The bigrams of words that have ids; the others are written, spelled out."""
        bigrams, counts = counted
        is_rare = (bigrams >> HIGH >= self.n_ids) | (bigrams & LOW >= self.n_ids)
        rare = np.flatnonzero(is_rare)
        for first in range(0, len(rare), self.most_spans):
            part = rare[first : first + self.most_spans]
            ids = np.stack([bigrams[part] >> HIGH, bigrams[part] & LOW], axis=1).astype(np.int64).ravel()
            self._spell(ids, np.arange(0, len(ids) + 1, 2), counts[part])
        return (bigrams[~is_rare], counts[~is_rare]) if len(rare) else counted

    def _spill_spans(self) -> None:
        """Write what has connectors; with a rare word only where all are to be known."""
        codes, offsets, counts = self.spans.take()
        kept = np.ones(len(counts), np.bool_)
        if not self.plan.all_distinct:
            kept = ~(self.is_rare[codes[offsets[:-1]]] | self.is_rare[codes[offsets[1:] - 1]])
        words = np.repeat(kept, np.diff(offsets))
        lengths = np.diff(offsets)[kept]
        self._spell(codes[words].astype(np.int64) + self.n_ids, np.concatenate([[0], np.cumsum(lengths)]), counts[kept])

    def _spell(self, ids: npt.NDArray[np.int64], offsets: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> None:
        """Write candidates as strings: ids of their words, those of codes behind those that words have."""
        if len(counts):
            self.n_written += int(counts.sum())
            words = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), self.names.take(pa.array(ids)))
            table = pa.table([pc.binary_join(words, BETWEEN), counts], schema=LEXICON)
            write_table(self.plan.spelled, self._file(), LEXICON, table)

    def _file(self) -> str:
        self.n_files += 1
        return f"{self.group.number:06d}-{self.n_files:06d}.parquet"


def _count_group(group: _Group) -> _GroupCount:
    return _Counter(group).count()


def _merge_partition(task: _Merge) -> _Merged:
    """Merge what the groups have spilled of one partition, and write what is seen often. Their files stay: a task may be done again."""
    files = sorted(task.plan.partition(task.number).glob("*"))
    bigrams, counts = merge_counts(_read_bigrams(path) for path in files)
    often = counts >= task.min_count
    name = f"often-{task.number:06d}.parquet"
    write_table(task.plan.directory, name, BIGRAMS, pa.table([bigrams[often], counts[often]], schema=BIGRAMS))
    return _Merged(task.plan.directory / name, len(bigrams), int(counts[~often].sum()))


def _read_bigrams(path: Path) -> Counted:
    table = read_table(path, BIGRAMS)
    # Copies that may be written, as all other counts: the kernels are compiled once.
    return table["bigram"].to_numpy().copy(), table["count"].to_numpy().copy()
