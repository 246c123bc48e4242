"""What keys of the configuration may be, where they are one of a few words. The values are what a TOML file says."""

from enum import StrEnum


class Normalization(StrEnum):
    """The Unicode form that text is brought to: as it is, canonical composition, or compatibility composition (Annex #15)."""

    NONE = "none"
    NFC = "nfc"
    NFKC = "nfkc"


class Digits(StrEnum):
    """What becomes of decimal digits: kept as they are, separators like punctuation, or all 0."""

    KEEP = "keep"
    DROP = "drop"
    MAP = "map"


class Format(StrEnum):
    """How files hold text: as their suffixes say, or all in one way."""

    AUTO = "auto"
    TEXT = "text"
    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"


class Broken(StrEnum):
    """What becomes of a record that cannot be read: it ends the run, is mended with U+FFFD if that helps, or is dropped."""

    FAIL = "fail"
    REPLACE = "replace"
    SKIP = "skip"


class PhraseScorer(StrEnum):
    """How a bigram is scored."""

    WORD2VEC = "word2vec"
    GENSIM = "gensim"
    NPMI = "npmi"


class SubsampleFormula(StrEnum):
    """Which words are kept: the reference program's sqrt(t/f) + t/f, or the paper's sqrt(t/f)."""

    WORD2VEC = "word2vec"
    PAPER = "paper"


class WindowKind(StrEnum):
    """The radius of a window: drawn uniformly from 1..window for every centre, or always window."""

    DYNAMIC = "dynamic"
    FIXED = "fixed"


class Model(StrEnum):
    """What is trained: the prediction of words from their neighbours, or the counts of both together."""

    SKIP_GRAM = "skip_gram"
    CBOW = "cbow"
    GLOVE = "glove"
    PPMI_SVD = "ppmi_svd"


class Loss(StrEnum):
    """What skip-gram and CBOW minimise."""

    NEGATIVE_SAMPLING = "negative_sampling"
    NCE = "nce"
    HIERARCHICAL_SOFTMAX = "hierarchical_softmax"
    FULL_SOFTMAX = "full_softmax"


class NoiseWords(StrEnum):
    """How noise words are distributed: count ** noise_power, or log((r + 2) / (r + 1)) of the rank r from 0."""

    UNIGRAM = "unigram"
    LOG_UNIFORM = "log_uniform"


class CbowHidden(StrEnum):
    """The hidden vector of CBOW: the mean of the contexts; the mean, but the gradient of the sum, as in the reference program; the sum."""

    MEAN = "mean"
    MEAN_WORD2VEC = "mean_word2vec"
    SUM = "sum"


class Frozen(StrEnum):
    """Which side of the model stays as it was at the start."""

    NONE = "none"
    INPUT = "input"
    OUTPUT = "output"


class Weighting(StrEnum):
    """What two words at distance d count: 1 / d, or 1."""

    HARMONIC = "harmonic"
    FLAT = "flat"


class TrainMode(StrEnum):
    """Shards of a fixed number, merged in a fixed order: the same bytes for any number of threads and workers; or one shared model."""

    REPRODUCIBLE = "reproducible"
    SHARED = "shared"


class NoiseDraws(StrEnum):
    """Which examples share noise words: all pairs of a few windows, or of one (Ji et al. 2016), or none (the reference program)."""

    PER_BATCH = "per_batch"
    PER_WINDOW = "per_window"
    PER_PAIR = "per_pair"


class VectorsUsed(StrEnum):
    """Which vectors of a word are used: what is usual for the model, one of its two, or both together."""

    USUAL = "usual"
    INPUT = "input"
    OUTPUT = "output"
    SUM = "sum"
    MEAN = "mean"


class AnalogyMethod(StrEnum):
    """3CosAdd (Mikolov et al. 2013) or 3CosMul (Levy & Goldberg 2014)."""

    COS_ADD = "3cosadd"
    COS_MUL = "3cosmul"
