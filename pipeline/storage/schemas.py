"""Every Parquet table of every artifact: one Arrow schema each, with a sentence for each column. Checked at write and at read."""

import pyarrow as pa

# Files that several stages know.
VOCABULARY_FILE = "vocabulary.parquet"
VECTORS_FILE = "vectors.parquet"
ROUNDS_FILE = "rounds.parquet"
SECTIONS_FILE = "analogies.parquet"
SIMILARITY_FILE = "similarity.parquet"
QUARANTINE_FILE = "quarantine.parquet"


def _column(name: str, kind: pa.DataType, meaning: str) -> pa.Field:
    return pa.field(name, kind, nullable=False, metadata={"meaning": meaning})


def list_of(kind: pa.DataType) -> pa.DataType:
    """The type of our list columns: neither the list nor its elements are ever null."""
    return pa.list_(pa.field("element", kind, nullable=False))


SHARDS = pa.schema(
    [
        _column("file", pa.string(), "SHA-256 of the whole file as it lies on disk"),
        _column("format", pa.string(), "how the file holds text: text, jsonl, csv, tsv, parquet"),
        _column("compression", pa.string(), "suffix that says how it is compressed; empty: plain"),
        _column("column", pa.string(), "column that holds the text; empty: plain text"),
        _column("start", pa.int64(), "first byte of the shard in the file"),
        _column("stop", pa.int64(), "byte after the last one"),
        _column("sha256", pa.string(), "SHA-256 of the shard's bytes; of Parquet, of these and of the file's footer"),
    ]
)
# A shard is known by its content, so its file and its place there are not in here: the snapshot's table of shards has them.
QUARANTINE = pa.schema(
    [
        _column("offset", pa.int64(), "where the record starts: byte of the shard's (decompressed) text; of Parquet row of the shard"),
        _column("at", pa.int64(), "where in it the defect is, counted in the same way"),
        _column("records", pa.int64(), "1, or how many more are broken for this reason, of which the first is described"),
        _column("bytes", pa.int64(), "their bytes"),
        _column("reason", pa.string(), "what is wrong with them"),
        _column("kept", pa.bool_(), "whether they were kept, with U+FFFD where they are broken"),
        _column("got", pa.string(), "what is there: an excerpt around the defect, or what was found instead"),
    ]
)
LEXICON = pa.schema(
    [
        _column("token", pa.string(), "row number = code in the sentences beside it"),
        _column("count", pa.int64(), "occurrences in this shard"),
    ]
)
SENTENCES = pa.schema([_column("tokens", list_of(pa.int32()), "codes local to the shard, in text order")])
PHRASES = pa.schema(
    [
        _column("first", pa.string(), "first word"),
        _column("connectors", list_of(pa.string()), "connector words between the two; most often none"),
        _column("second", pa.string(), "last word"),
        _column("first_count", pa.int64(), "occurrences of the first word"),
        _column("second_count", pa.int64(), "occurrences of the last word"),
        _column("count", pa.int64(), "times that the two stood side by side, or with these connectors between them"),
        _column("score", pa.float64(), "by the scorer of the parameters"),
    ]
)
PHRASES_FILE = "phrases.parquet"
BIGRAMS = pa.schema(
    [
        _column("bigram", pa.uint64(), "first << 32 | second, ids of words; ascending"),
        _column("count", pa.int64(), "times that the two stood side by side"),
    ]
)
VOCABULARY = pa.schema(
    [
        _column("token", pa.string(), "row number = vocabulary id; most frequent first, ties by bytes"),
        _column("count", pa.int64(), "occurrences in the whole text"),
    ]
)
PAIRS = pa.schema(
    [
        _column("tokens", list_of(pa.int32()), "vocabulary ids that stayed after min-count and subsampling"),
        _column("radius", list_of(pa.uint8()), "window radius drawn for each of them"),
    ]
)
EXPANDED_PAIRS = pa.schema(
    [
        _column("centre", pa.int32(), "vocabulary id of the word in the middle"),
        _column("context", pa.int32(), "vocabulary id of a word in its window"),
    ]
)
COOCCURRENCES = pa.schema(
    [
        _column("row", pa.int32(), "vocabulary id of a word, not above column"),
        _column("column", pa.int32(), "vocabulary id of another word, or of the same"),
        _column(
            "count", pa.float64(), "weighted count of this unordered pair: the entry of (row, column) and of (column, row) in the matrix"
        ),
    ]
)
ROUNDS = pa.schema(
    [
        _column("epoch", pa.int32(), "which pass over the text, from 0"),
        _column("centres", pa.int64(), "windows trained in this row; of glove: cells"),
        _column("pairs", pa.int64(), "examples: pairs of a centre and a context; of cbow: windows; of glove: both directions of each cell"),
        _column("loss", pa.float64(), "mean objective over these examples"),
        _column("learning_rate", pa.float64(), "at the end of the row"),
    ]
)
SECTIONS = pa.schema(
    [
        _column("set", pa.string(), "name of the set of questions"),
        _column("section", pa.string(), "section of the file, or semantic, syntactic, total"),
        _column("questions", pa.int64(), "questions in the file"),
        _column("asked", pa.int64(), "questions whose four words are all candidates"),
        _column("correct", pa.int64(), "right answers"),
        _column("accuracy", pa.float64(), "correct / asked; NaN when none was asked"),
        _column("low", pa.float64(), "lower end of the 95 % Wilson interval"),
        _column("high", pa.float64(), "upper end of the 95 % Wilson interval"),
    ]
)
SIMILARITY = pa.schema(
    [
        _column("set", pa.string(), "name of the set of word pairs"),
        _column("pairs", pa.int64(), "pairs in the file"),
        _column("scored", pa.int64(), "pairs with both words in the vocabulary"),
        _column("rho", pa.float64(), "Spearman's rank correlation; NaN when undefined"),
        _column("low", pa.float64(), "lower end of the 95 % interval (Fisher z)"),
        _column("high", pa.float64(), "upper end of the 95 % interval (Fisher z)"),
    ]
)


def vectors_schema(n_dimensions: int) -> pa.Schema:
    """The table of vectors: one row a word, most frequent first."""
    vector = pa.list_(pa.field("element", pa.float32(), nullable=False), n_dimensions)
    return pa.schema(
        [
            _column("token", pa.string(), "the word"),
            _column("count", pa.int64(), "occurrences in the whole text"),
            _column("input", vector, "input vector: the word vector that is usually meant"),
            _column(
                "output",
                vector,
                "output vector: the word as what is predicted; hierarchical_softmax: an inner node; ppmi_svd: the word as context",
            ),
        ]
    )
