"""Candidates scored, and the table of those that are phrases."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kernels.phrase_scores import score_by_tokens, score_by_vocabulary, score_npmi
from pipeline.choices import PhraseScorer
from pipeline.configuration import Phrases
from pipeline.storage.schemas import BIGRAMS, LEXICON, PHRASES
from pipeline.storage.tables import read_table, write_table
from pipeline.words.candidates import BETWEEN, HIGH, LOW
from pipeline.words.counting import one_array


@dataclass(frozen=True)
class Scoring:
    """One task: a file of candidates that were seen often enough, scored."""

    candidates: Path
    spelled: bool  # out as strings, not as ids
    words: Path
    settings: Phrases  # of one pass: its first threshold counts
    n_tokens: int
    n_vocabulary: int  # as gensim's scorer wants it

    @property
    def target(self) -> Path:
        """Where its phrases are."""
        return self.candidates.with_name(f"phrases-{self.candidates.name}")


def score_candidates(task: Scoring) -> tuple[Path, int, int]:
    """Write those with a score above the threshold, in no order; the file, and the occurrences of them and of the others.

    Raises
    ------
    StoreError
        When the file cannot be read.
    """
    words = read_table(task.words, LEXICON)
    candidates = read_table(task.candidates, LEXICON if task.spelled else BIGRAMS)
    counts = candidates["count"].to_numpy()
    ends, connectors = _ends_of_strings(candidates, words) if task.spelled else _ends_of_bigrams(candidates)
    n_first, n_second = (words["count"].to_numpy()[ids] for ids in ends)
    scores = _scores(task, counts, n_first, n_second)
    high = scores > task.settings.thresholds[0]
    tokens = one_array(words["token"])
    first, second = (tokens.take(pa.array(ids[high])) for ids in ends)
    columns = [first, connectors.filter(pa.array(high)), second, n_first[high], n_second[high], counts[high], scores[high]]
    write_table(task.target.parent, task.target.name, PHRASES, pa.table(columns, schema=PHRASES))
    return task.target, int(counts[high].sum()), int(counts[~high].sum())


def _scores(task: Scoring, n_ab: npt.NDArray[np.int64], n_a: npt.NDArray[np.int64], n_b: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    discount = task.settings.min_count
    match task.settings.scorer:
        case PhraseScorer.WORD2VEC:
            return score_by_tokens(n_ab, n_a, n_b, discount=discount, n_tokens=task.n_tokens)
        case PhraseScorer.GENSIM:
            return score_by_vocabulary(n_ab, n_a, n_b, discount=discount, n_vocabulary=task.n_vocabulary)
        case PhraseScorer.NPMI:
            return score_npmi(n_ab, n_a, n_b, n_tokens=task.n_tokens)


Ends = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""The ids of first and last words."""


def _ends_of_bigrams(candidates: pa.Table) -> tuple[Ends, pa.ListArray]:
    """The ids of the words of packed candidates, and no connectors."""
    bigrams = candidates["bigram"].to_numpy()
    nothing = _lists(pa.array([], pa.string()), np.zeros(len(bigrams) + 1, np.int64))
    return ((bigrams >> HIGH).astype(np.int64), (bigrams & LOW).astype(np.int64)), nothing


def _ends_of_strings(candidates: pa.Table, words: pa.Table) -> tuple[Ends, pa.ListArray]:
    """The ids of the first and last words of spelled candidates, and the connectors between them."""
    lists = pc.split_pattern(one_array(candidates["token"]), BETWEEN)
    spelled, offsets = lists.values, lists.offsets.to_numpy().astype(np.int64)
    ids = pc.index_in(spelled, value_set=words["token"]).fill_null(-1).to_numpy().astype(np.int64)
    inside = np.ones(len(spelled), np.bool_)
    inside[offsets[:-1]] = inside[offsets[1:] - 1] = False
    return (ids[offsets[:-1]], ids[offsets[1:] - 1]), _lists(spelled.filter(pa.array(inside)), offsets - 2 * np.arange(len(offsets)))


def _lists(strings: pa.StringArray, offsets: npt.NDArray[np.int64]) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), strings, type=PHRASES.field("connectors").type)


def gather_phrases(files: Sequence[Path]) -> pa.Table:
    """All phrases of scored files, best first; ties by their words.

    Raises
    ------
    StoreError
        When a file cannot be read.
    """
    table = pa.concat_tables([PHRASES.empty_table(), *(read_table(path, PHRASES) for path in files)])
    inside = pc.binary_join(table["connectors"].cast(pa.list_(pa.string())), BETWEEN)
    ordered = table.append_column("inside", inside).sort_by(
        [("score", "descending"), ("first", "ascending"), ("second", "ascending"), ("inside", "ascending")]
    )
    return ordered.select(PHRASES.names).combine_chunks().cast(PHRASES)
