"""Integer-coded text as artifacts hold it: shards, each a lexicon and sentences of codes local to it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kernels.code_counts import add_counts
from kernels.string_table import grown
from pipeline.storage.artifact import Artifact, FileRecord
from pipeline.storage.schemas import LEXICON, SENTENCES
from pipeline.storage.tables import SENTENCES_A_GROUP, Text, count_elements, count_rows, list_array, read_table, read_text, write_table

LEXICON_FILE = "lexicon.parquet"
SENTENCES_FILE = "sentences.parquet"


@dataclass(frozen=True)
class TextShard:
    """The paths of one shard's two files."""

    directory: Path

    @property
    def n_sentences(self) -> int:
        """Number of sentences, from the file's footer."""
        return count_rows(self.directory / SENTENCES_FILE)

    @property
    def n_words(self) -> int:
        """Number of codes, from the footer of the lexicon."""
        return count_rows(self.directory / LEXICON_FILE)

    @property
    def n_tokens(self) -> int:
        """Number of tokens, from the file's footer."""
        return count_elements(self.directory / SENTENCES_FILE)

    def lexicon(self) -> pa.Table:
        """The shard's tokens and counts; row number = code."""
        return read_table(self.directory / LEXICON_FILE, LEXICON)

    def sentences(self, first: int = 0, last: int | None = None) -> Iterator[Text]:
        """Its sentences, a row group at a time."""
        return read_text(self.directory / SENTENCES_FILE, first, last)


def shards_of(artifacts: Sequence[Artifact]) -> list[TextShard]:
    """The shards of a text, in text order."""
    return [
        TextShard((artifact.directory / file.name).parent)
        for artifact in artifacts
        for file in artifact.files()
        if Path(file.name).name == LEXICON_FILE
    ]


def write_shard(directory: Path, prefix: str, texts: Iterable[Text], tokens: Iterable[pa.Array]) -> tuple[FileRecord, FileRecord, int]:
    """Write the sentences and the lexicon of one shard below `directory/prefix`; their records, and how many tokens were counted.

    `tokens` is asked for its one array after all texts have been read. Codes that no sentence uses are kept with a count of 0.
    """
    counts = np.zeros(0, dtype=np.int64)

    def counted() -> Iterator[Text]:
        nonlocal counts
        for text in regrouped(texts, SENTENCES_A_GROUP):
            n_codes = int(text.codes.max(initial=-1)) + 1
            if len(counts) < n_codes:
                counts = grown(counts, n_codes)
            add_counts(text.codes, counts)
            yield text

    sentences = write_table(directory, prefix + SENTENCES_FILE, SENTENCES, map(_batch, counted()))
    array = pa.concat_arrays(list(tokens))
    counts = grown(counts[: len(array)], len(array))[: len(array)]
    lexicon = pa.table([array, pa.array(counts)], schema=LEXICON)
    return sentences, write_table(directory, prefix + LEXICON_FILE, LEXICON, lexicon), int(counts.sum())


def _batch(text: Text) -> pa.RecordBatch:
    return pa.record_batch([list_array(text.codes, text.offsets, SENTENCES.field("tokens").type)], schema=SENTENCES)


def regrouped(texts: Iterable[Text], n_sentences: int) -> Iterator[Text]:
    """The same sentences, `n_sentences` at a time (the last may have fewer)."""
    waiting: list[Text] = []
    n_waiting = 0
    for text in texts:
        first = 0
        while n_waiting + text.n_sentences - first >= n_sentences:
            last = first + n_sentences - n_waiting
            yield joined([*waiting, text.part(first, last)])
            waiting, n_waiting, first = [], 0, last
        if first < text.n_sentences:
            waiting.append(text.part(first, text.n_sentences))
            n_waiting += text.n_sentences - first
    if waiting:
        yield joined(waiting)


def joined(texts: Sequence[Text]) -> Text:
    """Texts one after the other."""
    if len(texts) == 1:
        return texts[0]
    starts = np.cumsum([0] + [len(text.codes) for text in texts])
    offsets = [text.offsets[:-1] + start for text, start in zip(texts, starts[:-1], strict=True)]
    return Text(np.concatenate([text.codes for text in texts]), np.append(np.concatenate(offsets), starts[-1]).astype(np.int64))


def count_tokens(artifacts: Sequence[Artifact]) -> int:
    """The tokens of a text, as its manifests say."""
    return sum(int(artifact.manifest.measures["tokens"]) for artifact in artifacts)


def codes_to_ids(tokens: pa.Array | pa.ChunkedArray, vocabulary: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """For every local code, of whose tokens are given, the row in `vocabulary`, or -1."""
    rows = pc.index_in(tokens, value_set=vocabulary)
    ids: npt.NDArray[np.int32] = pc.fill_null(rows, -1).to_numpy(zero_copy_only=False).astype(np.int32)
    return ids
