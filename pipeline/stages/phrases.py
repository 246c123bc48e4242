"""phrases: bigrams that score above a threshold become one token; one pass over the text, repeated by the chain for longer phrases.

Shards are counted on workers (counts go through files), merged exactly, scored once, and joined on workers again.
"""

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kernels.bigrams import count_bigrams, join_phrases, merge_counts, score_by_tokens, score_by_vocabulary, score_npmi
from pipeline.artifact import FileRecord, Tally
from pipeline.configuration import Phrases, PhraseScorer
from pipeline.progress import Progress
from pipeline.schemas import LEXICON, PHRASES
from pipeline.stage import Job, Outcome, Stage
from pipeline.tables import Text, count_elements, read_table, write_table
from pipeline.text import SENTENCES_FILE, TextShard, codes_to_ids, count_tokens, merged_counts, shards_of, write_shard

PHRASES_FILE = "phrases.parquet"
WORDS_FILE = "words.parquet"
LOW = np.uint64(0xFFFFFFFF)
HIGH = np.uint64(32)


def build(job: Job[Phrases]) -> Outcome:
    """Write the table of phrases, and every shard with them joined."""
    shards = shards_of(job.inputs["text"])
    words = merged_counts(shard.lexicon() for shard in shards)
    n_tokens = pc.sum(words["count"]).as_py() or 0
    progress = Progress(job.step, 2 * len(shards), "shards")

    counting = job.directory / "counting"
    write_table(counting, WORDS_FILE, LEXICON, words)
    tasks = [(shard, counting / f"{number:05d}.npz") for number, shard in enumerate(shards)]
    counted = job.workers.map(_count_shard, tasks, lambda done: progress.advance(1, done[1]))
    phrases = _score(words, [path for path, _ in counted], job.settings, n_tokens)
    shutil.rmtree(counting)
    table = write_table(job.directory, PHRASES_FILE, PHRASES, phrases)

    joining = [(shard, job.directory, f"{number:05d}/", job.settings.delimiter) for number, shard in enumerate(shards)]
    joined = job.workers.map(_join_shard, joining, lambda done: progress.advance(1, done[1]))
    n_joined = sum(n for _, n in joined)
    return Outcome(
        (table, *(record for records, _ in joined for record in records)),
        (Tally("tokens", count_tokens(job.inputs["text"]), n_joined, {"joined to the word before": n_tokens - n_joined}),),
        {"phrases": phrases.num_rows, "tokens": n_joined},
    )


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)


def _count_shard(task: tuple[TextShard, Path]) -> tuple[Path, int]:
    """Count the bigrams of one shard into a file, in codes of the whole text's words, which lie beside it; and its tokens."""
    shard, path = task
    words = read_table(path.with_name(WORDS_FILE), LEXICON)
    to_global = codes_to_ids(shard.lexicon(), words["token"])
    eligible = np.ones(len(to_global), dtype=np.bool_)
    bigrams, counts = merge_counts(count_bigrams(text.codes, text.offsets, eligible) for text in shard.sentences())
    bigrams = to_global[bigrams >> HIGH].astype(np.uint64) << HIGH | to_global[bigrams & LOW].astype(np.uint64)
    order = np.argsort(bigrams)
    np.savez(path, bigrams=bigrams[order], counts=counts[order])
    return path, count_elements(shard.directory / SENTENCES_FILE)


def _score(words: pa.Table, counted: list[Path], settings: Phrases, n_tokens: int) -> pa.Table:
    """The phrases, best first; ties by their words."""
    bigrams, counts = merge_counts(_load_counts(path) for path in counted)
    n_vocabulary = len(words) + len(bigrams)  # gensim's dictionary holds both
    often = counts >= settings.min_count
    bigrams, counts = bigrams[often], counts[often]
    first, second = bigrams >> HIGH, bigrams & LOW
    word_counts = words["count"].to_numpy()
    n_first, n_second = word_counts[first], word_counts[second]
    match settings.scorer:
        case PhraseScorer.WORD2VEC:
            scores = score_by_tokens(counts, n_first, n_second, discount=settings.min_count, n_tokens=n_tokens)
        case PhraseScorer.GENSIM:
            scores = score_by_vocabulary(counts, n_first, n_second, discount=settings.min_count, n_vocabulary=n_vocabulary)
        case PhraseScorer.NPMI:
            scores = score_npmi(counts, n_first, n_second, n_tokens=n_tokens)
    high = scores > settings.thresholds[0]
    tokens = _one_array(words["token"])
    pair = [tokens.take(pa.array(codes[high])) for codes in (first, second)]
    table = pa.table([*pair, n_first[high], n_second[high], counts[high], scores[high]], schema=PHRASES)
    return table.sort_by([("score", "descending"), ("first", "ascending"), ("second", "ascending")])


def _load_counts(path: Path) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    with np.load(path, allow_pickle=False) as file:
        return file["bigrams"], file["counts"]


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
    sentences, joined_lexicon, n_tokens = write_shard(directory, prefix, texts, [encoded.dictionary])
    return (sentences, joined_lexicon), n_tokens


STAGE = Stage("phrases", 1, build)
