"""phrases: bigrams that score above a threshold become one token; one pass over the text, repeated by the chain for longer phrases.

Shards are counted on workers (counts go through files), merged exactly, scored once, and joined on workers again.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kernels.bigrams import count_bigrams, join_phrases, merge_counts, score_bigrams_gensim, score_bigrams_npmi, score_bigrams_word2vec
from pipeline.artifact import FileRecord, Tally
from pipeline.configuration import Phrases, PhraseScorer
from pipeline.events import StepAdvanced, emit
from pipeline.schemas import PHRASES
from pipeline.stage import Job, Outcome, Stage
from pipeline.tables import Text, count_elements, read_table, write_table
from pipeline.text import SENTENCES_FILE, TextShard, codes_to_ids, merged_counts, shards_of, write_shard

PHRASES_FILE = "phrases.parquet"
LOW = np.uint64(0xFFFFFFFF)
HIGH = np.uint64(32)


@dataclass(frozen=True)
class Words:
    """The words that may stand in a phrase, over all shards: row number = global code."""

    tokens: pa.Array
    counts: npt.NDArray[np.int64]


def build(job: Job[Phrases]) -> Outcome:
    """Write the table of phrases, and every shard with them joined."""
    shards = shards_of(job.inputs["text"])
    all_counts = merged_counts(shard.lexicon() for shard in shards)
    n_tokens = pc.sum(all_counts["count"]).as_py() or 0
    frequent = all_counts.filter(pc.greater_equal(all_counts["count"], job.settings.min_count)).combine_chunks()
    words = Words(_one_array(frequent["token"]), frequent["count"].to_numpy())

    counting = job.directory / "counting"
    counting.mkdir()
    tasks = [(shard, words.tokens, counting / f"{number:05d}.npz") for number, shard in enumerate(shards)]
    counted = job.workers.map(_count_shard, tasks, lambda n: emit(StepAdvanced(job.step, n, 2 * len(shards), "shards")))
    phrases = _score(words, counted, job.settings, n_tokens, all_counts.num_rows)
    shutil.rmtree(counting)
    table = write_table(job.directory, PHRASES_FILE, PHRASES, phrases)

    joining = [(shard, job.directory, f"{number:05d}/", job.settings.delimiter) for number, shard in enumerate(shards)]
    results = job.workers.map(_join_shard, joining, lambda n: emit(StepAdvanced(job.step, len(shards) + n, 2 * len(shards), "shards")))
    n_out = sum(n for _, n in results)
    files = (table, *(record for records, _ in results for record in records))
    return Outcome(
        files,
        (Tally("tokens", n_tokens, n_out, {"joined to the word before": n_tokens - n_out}),),
        {"phrases": phrases.num_rows, "tokens": n_out},
    )


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)


def _count_shard(task: tuple[TextShard, pa.Array, Path]) -> Path:
    """Count the bigrams of one shard into a file, in global codes."""
    shard, words, path = task
    to_global = codes_to_ids(shard.lexicon(), words)
    counts = merge_counts([count_bigrams(text.codes, text.offsets, to_global >= 0) for text in shard.sentences()])
    first, second = counts[0] >> HIGH, counts[0] & LOW
    bigrams = to_global[first].astype(np.uint64) << HIGH | to_global[second].astype(np.uint64)
    bigrams, number = np.unique(bigrams, return_inverse=True)
    np.savez(path, bigrams=bigrams, counts=np.bincount(number, weights=counts[1], minlength=len(bigrams)).astype(np.int64))
    return path


def _score(words: Words, counted: list[Path], settings: Phrases, n_tokens: int, n_words: int) -> pa.Table:
    """The phrases, best first; ties by their words."""
    parts = []
    for path in counted:
        with np.load(path, allow_pickle=False) as part:
            parts.append((part["bigrams"], part["counts"]))
    bigrams, counts = merge_counts(parts)
    often = counts >= settings.min_count
    bigrams, counts = bigrams[often], counts[often]
    first, second = bigrams >> HIGH, bigrams & LOW
    n_first, n_second = words.counts[first], words.counts[second]
    match settings.scorer:
        case PhraseScorer.WORD2VEC:
            scores = score_bigrams_word2vec(counts, n_first, n_second, settings.min_count, n_tokens)
        case PhraseScorer.GENSIM:
            scores = score_bigrams_gensim(counts, n_first, n_second, settings.min_count, n_words)
        case PhraseScorer.NPMI:
            scores = score_bigrams_npmi(counts, n_first, n_second, n_tokens)
    high = scores > settings.thresholds[0]
    table = pa.table(
        [
            words.tokens.take(pa.array(first[high])),
            words.tokens.take(pa.array(second[high])),
            n_first[high],
            n_second[high],
            counts[high],
            scores[high],
        ],
        schema=PHRASES,
    )
    return table.sort_by([("score", "descending"), ("first", "ascending"), ("second", "ascending")])


def _join_shard(task: tuple[TextShard, Path, str, str]) -> tuple[tuple[FileRecord, FileRecord], int]:
    """Write one shard with its phrases joined; how many tokens it has then."""
    shard, directory, prefix, delimiter = task
    tokens = _one_array(shard.lexicon()["token"])
    phrases = read_table(directory / PHRASES_FILE, PHRASES)
    first, second = pc.index_in(phrases["first"], tokens), pc.index_in(phrases["second"], tokens)
    here = pc.and_(first.is_valid(), second.is_valid())
    joined = pc.binary_join_element_wise(phrases["first"].filter(here), phrases["second"].filter(here), delimiter)
    # Different pairs can give one token (a_b + c, a + b_c); encoding gives it one code, and leaves the codes of the shard as they are.
    encoded = pa.concat_arrays([tokens, _one_array(joined)]).dictionary_encode()
    codes = encoded.indices[len(tokens) :].to_numpy()
    pairs = first.filter(here).to_numpy().astype(np.uint64) << HIGH | second.filter(here).to_numpy().astype(np.uint64)
    order = np.argsort(pairs)
    pairs, codes = pairs[order], codes[order].astype(np.int32)
    texts = (Text(*join_phrases(text.codes, text.offsets, pairs, codes)) for text in shard.sentences())
    records = write_shard(directory, prefix, texts, [encoded.dictionary])
    return records, count_elements(directory / prefix / SENTENCES_FILE)


STAGE = Stage("phrases", 1, build)
