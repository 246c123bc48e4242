"""The configuration: one section a stage, frozen, every key with its meaning and range. `configuration_file.py` reads it from TOML.

A stage's section is its semantic parameters and goes into its key. How to run (`cluster`), where (`store`) and paths do not.
"""

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from pipeline.addresses import events_address
from pipeline.choices import (
    AnalogyMethod,
    Broken,
    CbowHidden,
    Digits,
    Format,
    Frozen,
    Loss,
    Model,
    NoiseDraws,
    NoiseWords,
    Normalization,
    PhraseScorer,
    SubsampleFormula,
    TrainMode,
    VectorsUsed,
    Weighting,
    WindowKind,
)
from pipeline.configured_files import connector_words_of, digest_of_tokenizer, single_words, version_of_tokenizer, words_of
from pipeline.credentials import refuse_any_credentials
from pipeline.storage.keys import digest_of
from pipeline.storage.registry import NAME


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def meanings(cls) -> dict[str, str]:
        """What each key means: the text below it in the source, which is read only when somebody asks."""
        found = {}
        for section in reversed(cls.__mro__[: cls.__mro__.index(Section)]):
            (definition,) = ast.parse(textwrap.dedent(inspect.getsource(section))).body
            for key, below in pairwise(definition.body if isinstance(definition, ast.ClassDef) else ()):
                match key, below:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                        found[name] = inspect.cleandoc(text)
        return found


class Corpus(Section):
    """Which text. Its content decides what is fresh; paths do not.

    A record is a line of text, JSON Lines or TSV, or a row of CSV or Parquet; every line of its text is a paragraph.
    """

    paths: tuple[str, ...] = ()
    """Files, globs or directories, relative to the configuration file, or URLs of these (s3://, gs://, hdfs:// and what fsspec knows)."""
    format: Format = Format.AUTO
    """auto: by suffix, .txt .text .jsonl .ndjson .json .csv .tsv .parquet, all but the last also .gz .bz2 .xz .zst; or one for all."""
    column: Annotated[str, Field(min_length=1)] = "text"
    """Where JSON Lines, CSV, TSV and Parquet have the text: a key, or a column."""
    shard_mb: Annotated[float, Field(gt=0, le=4096)] = 10
    """Text and JSON Lines are cut at line borders, Parquet between row groups, into shards of about so many MB, read in parallel."""
    broken: Broken = Broken.SKIP
    """What becomes of records that cannot be read: fail ends the run, skip drops them, replace puts U+FFFD where they are not UTF-8."""
    max_broken: Annotated[float, Field(ge=0, le=1)] = 0.01
    """The share of records that may be broken, and of bytes that damaged files may lose; with more the run fails."""
    max_line_mb: Annotated[float, Field(gt=0, le=4096)] = 16
    """A longer record is broken, and not held in memory (in Parquet it is). Reading one takes 6 times its size, 25 if it has no spaces."""

    licence: str = ""
    """Under which terms the text may be used, in your own words; it stands in model cards, and changes nothing else."""

    @property
    def longest(self) -> int:
        """Bytes that a record may have."""
        return int(self.max_line_mb * 1e6)

    def reading(self) -> dict[str, Any]:
        """What changes how a shard is read, beside its content and its format."""
        return {"broken": self.broken, "longest": self.longest}


class Tokenize(Section):
    """Text into tokens and sentences; `characters.py` defines both. The options act in this order: `normalize`, `split_sentences`,
    `lowercase` and `digits`, `tokenizer`, `stop_words`, `min_sentence_tokens`.
    """

    tokenizer: str = "unicode"
    """unicode: runs of letters, digits, inner apostrophes; characters: the same, but ideographs and hiragana singly; or module:function."""
    tokenizer_argument: Annotated[str, Field(coerce_numbers_to_str=True)] = ""
    """Of module:function: the text that it is called with."""
    tokenizer_file: str = ""
    """Of module:function: a file such as tokenizer.json, whose path it is called with instead; its content counts, not its path."""
    tokenizer_sha256: Annotated[str, Field(validate_default=True)] = ""
    """The digest of tokenizer_file; filled in when it is left out."""
    tokenizer_version: Annotated[str, Field(validate_default=True, coerce_numbers_to_str=True)] = ""
    """Of module:function and all that it uses: text is tokenized anew when this changes. Filled in for pipeline.tokenizing.hugging_face."""
    normalize: Normalization = Normalization.NONE
    """none, nfc or nfkc: the Unicode form that text is brought to first."""
    lowercase: bool = True
    """Lower-case every token."""
    digits: Digits = Digits.KEEP
    """keep; drop: digits separate words, as in the scripts of word2vec and fastText; map: every digit becomes 0."""
    split_sentences: bool = False
    """End a sentence at . ! ? before white space too, not only at the end of a line."""
    stop_words: Annotated[tuple[str, ...], BeforeValidator(words_of), AfterValidator(single_words)] = ()
    """Words that are left out: a list, or a file with one a line. They are lower-cased if the text is."""
    min_sentence_tokens: Annotated[int, Field(ge=1)] = 1
    """Sentences that are shorter, without their stop words, are left out."""

    @property
    def function(self) -> tuple[str, str] | None:
        """Module and name of the user's function, if the tokenizer is one."""
        module, colon, name = self.tokenizer.partition(":")
        return (module, name) if colon else None

    @field_validator("tokenizer")
    @classmethod
    def _known(cls, tokenizer: str) -> str:
        module, colon, name = tokenizer.partition(":")
        is_function = bool(colon) and name.isidentifier() and all(part.isidentifier() for part in module.split("."))
        if not is_function and tokenizer not in ("unicode", "characters"):
            raise ValueError("unicode, characters or module:function")
        return tokenizer

    @field_validator("tokenizer_sha256")
    @classmethod
    def _digest(cls, digest: str, info: ValidationInfo) -> str:
        path = info.data.get("tokenizer_file")
        return digest_of_tokenizer(path) if path and not digest else digest

    @field_validator("tokenizer_version")
    @classmethod
    def _version(cls, version: str, info: ValidationInfo) -> str:
        return version or version_of_tokenizer(info.data.get("tokenizer", ""))

    @model_validator(mode="after")
    def _possible(self) -> "Tokenize":
        if self.function is None:
            if self.tokenizer_argument or self.tokenizer_file or self.tokenizer_sha256 or self.tokenizer_version:
                raise ValueError(f"{self.tokenizer} takes no argument, file or version: they are of module:function")
            return self
        if not self.tokenizer_version:
            raise ValueError("a tokenizer_version, in your own words: without it nobody could tell that the function has changed")
        if self.tokenizer_argument and self.tokenizer_file:
            raise ValueError("the function is called with tokenizer_argument or with the path of tokenizer_file, not with both")
        if self.tokenizer_sha256 and not self.tokenizer_file:
            raise ValueError("tokenizer_sha256 is the digest of a tokenizer_file, and there is none")
        return self

    def parameters(self) -> dict[str, Any]:
        """What changes the result: words and files by their content."""
        unused = {"tokenizer_file", "stop_words"}
        if self.function is None:
            unused |= {"tokenizer_argument", "tokenizer_sha256", "tokenizer_version"}
        words = sorted(set(self.stop_words))
        return self.model_dump(exclude=unused) | {"stop_words": digest_of(words) if words else ""}


class Phrases(Section):
    """Bigrams that belong together become one token (new_york). One pass for each threshold; none: off."""

    thresholds: tuple[float, ...] = ()
    """The score that a bigram must exceed, one a pass, usually falling: [10.0, 5.0] makes phrases of up to four words."""
    scorer: PhraseScorer = PhraseScorer.GENSIM
    """word2vec (scaled by tokens, thresholds near 100), gensim (scaled by vocabulary, near 10) or npmi (-1..1, near 0.5)."""
    min_count: Annotated[int, Field(ge=1)] = 5
    """Words and bigrams seen less often make no phrase; also the discount in the score."""
    delimiter: Annotated[str, Field(min_length=1, pattern=r"^[^\s\x00]+$")] = "_"
    """What stands between the words of a phrase."""
    connector_words: Annotated[tuple[str, ...], BeforeValidator(connector_words_of), AfterValidator(single_words)] = ()
    """Words inside a phrase, not at its ends (bank_of_america): a list, a file with one a line, or "english" for gensim's list."""
    frozen: tuple[str, ...] = ()
    """Phrases to join without counting, one phrases.parquet of an earlier run for each pass; no other key but delimiter goes with them."""

    @field_validator("connector_words")
    @classmethod
    def _in_order(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(value)))

    @model_validator(mode="after")
    def _possible(self) -> "Phrases":
        if self.scorer is PhraseScorer.NPMI and any(not -1 <= threshold <= 1 for threshold in self.thresholds):
            raise ValueError("thresholds for npmi lie between -1 and 1")
        if self.frozen:
            fields = type(self).model_fields
            given = [name for name in fields if name not in ("frozen", "delimiter") and getattr(self, name) != fields[name].default]
            if given:
                raise ValueError(f"frozen phrases are neither counted nor scored: {', '.join(given)} would have no effect")
        return self


class Vocabulary(Section):
    """Which words get a vector."""

    min_count: Annotated[int, Field(ge=1)] = 5
    """Words seen less often are dropped before anything else."""
    max_vocabulary: Annotated[int, Field(ge=0)] = 0
    """Of the others only so many stay, the most frequent, ties by the words' bytes; 0: all."""

    @field_validator("max_vocabulary")
    @classmethod
    def _has_pairs(cls, value: int) -> int:
        if value == 1:
            raise ValueError("0, or at least 2: one word has no other beside it")
        return value


class Pairs(Section):
    """What is drawn from the text for every epoch: the words that stay and the windows around them."""

    window: Annotated[int, Field(ge=1, le=64)] = 5
    """The largest distance between a centre and a context."""
    window_kind: WindowKind = WindowKind.DYNAMIC
    """dynamic: the radius of every centre is drawn from 1..window; fixed: it is window."""
    subsample: Annotated[float, Field(ge=0, le=1)] = 1e-4
    """t of the subsampling formula: frequent words are dropped at random; 0 keeps all."""
    subsample_formula: SubsampleFormula = SubsampleFormula.WORD2VEC
    """word2vec: sqrt(t/f) + t/f; paper: sqrt(t/f)."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 5
    """How often the text is passed through; each epoch has draws of its own."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Seed of the draws."""


class Cooccurrence(Section):
    """How often words stand near each other: what glove and ppmi_svd read instead of pairs."""

    window: Annotated[int, Field(ge=1, le=64)] = 10
    """The largest distance between two words that count."""
    weighting: Weighting = Weighting.HARMONIC
    """harmonic: two words at distance d count 1/d; flat: 1."""


class Glove(Section):
    """How glove learns from the counts (Pennington et al. 2014)."""

    x_max: Annotated[float, Field(gt=0)] = 100.0
    """Counts from here on weigh the same."""
    power: Annotated[float, Field(ge=0, le=2)] = 0.75
    """A count x below x_max weighs (x / x_max) ** power."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.05
    """The first step of AdaGrad."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 25
    """Passes over the counts."""


class GloveSettings(Glove):
    """All that glove vectors depend on: its section, and what it shares with the other models."""

    dimensions: Annotated[int, Field(ge=1, le=1024)] = 100
    """Numbers in a vector."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Seed of the first vectors and of the order of training."""


class Ppmi(Section):
    """How ppmi_svd makes vectors of the counts (Levy, Goldberg & Dagan 2015)."""

    shift: Annotated[float, Field(ge=1)] = 1.0
    """log(shift) is subtracted from every PMI: the number of negatives that it stands for."""
    context_power: Annotated[float, Field(gt=0, le=2)] = 0.75
    """Counts of contexts are taken to this power."""
    eigenvalue_power: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Vectors are U S ** eigenvalue_power."""


class PpmiSettings(Ppmi):
    """All that ppmi_svd vectors depend on: its section, and what it shares with the other models."""

    dimensions: Annotated[int, Field(ge=1, le=1024)] = 100
    """Numbers in a vector."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Seed of the random vectors that the decomposition starts from."""


class Train(Section):
    """The model and how it is trained."""

    model: Model = Model.SKIP_GRAM
    """skip_gram or cbow, which read pairs; glove or ppmi_svd, which read cooccurrences and have sections of their own."""
    loss: Loss = Loss.NEGATIVE_SAMPLING
    """Of skip_gram and cbow: negative_sampling, nce, hierarchical_softmax, or full_softmax (for small vocabularies)."""
    dimensions: Annotated[int, Field(ge=1, le=1024)] = 100
    """Numbers in a vector."""
    negatives: Annotated[int, Field(ge=1, le=64)] = 5
    """Of negative_sampling and nce: noise words for every true word."""
    noise_draws: NoiseDraws = NoiseDraws.PER_BATCH
    """per_batch: 8 windows, 64 apart, share noise words; per_window: each draws its own; per_pair: each pair, as in word2vec."""
    noise: NoiseWords = NoiseWords.UNIGRAM
    """unigram: noise words are drawn in proportion to count ** noise_power; log_uniform: by their rank alone."""
    noise_power: Annotated[float, Field(ge=0, le=2)] = 0.75
    """1: as often as in the text; 0: all alike."""
    cbow_hidden: CbowHidden = CbowHidden.MEAN
    """Of cbow: mean of the contexts with the true gradient; mean_word2vec, whose gradient is that of the sum; or sum."""
    frozen: Frozen = Frozen.NONE
    """input or output: this side keeps its first vectors."""
    initial: str = ""
    """A vectors.parquet to begin with, of an earlier run; new words begin as usual, and with frozen = "output" fit into that space."""
    learning_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """At the first word; falls linearly. 0: that of the model, 0.025, but for cbow by cbow_hidden 0.1, 0.05 (word2vec) or 0.025 (sum)."""
    min_learning_rate: Annotated[float, Field(ge=0, le=1)] = 0.0001
    """At the last word."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Seed of the first vectors and of the noise."""
    mode: TrainMode = TrainMode.REPRODUCIBLE
    """reproducible: the same bytes for any number of threads and workers; shared: threads change one model without locks."""
    shards: Annotated[int, Field(ge=1, le=64)] = 4
    """Parts that train at the same time in reproducible mode, each a copy of the model: no more threads or workers than that are of use."""

    @property
    def start_rate(self) -> float:
        """The learning rate at the first word."""
        of_cbow = {CbowHidden.MEAN: 0.1, CbowHidden.MEAN_WORD2VEC: 0.05, CbowHidden.SUM: 0.025}
        return self.learning_rate or (of_cbow[self.cbow_hidden] if self.model is Model.CBOW else 0.025)

    @property
    def predicts(self) -> bool:
        """Whether the model reads pairs, not counts."""
        return self.model in (Model.SKIP_GRAM, Model.CBOW)

    @model_validator(mode="after")
    def _possible(self) -> "Train":
        if self.predicts and self.min_learning_rate > self.start_rate:
            raise ValueError("min_learning_rate is above learning_rate")
        sampled = self.loss in (Loss.NEGATIVE_SAMPLING, Loss.NCE)
        impossible = {
            "cbow has one example a window, so noise cannot be drawn per_pair": self.model is Model.CBOW
            and sampled
            and self.noise_draws is NoiseDraws.PER_PAIR,
            f"{self.model} has no loss to choose": not self.predicts and self.loss is not Loss.NEGATIVE_SAMPLING,
            f"{self.model} trains both sides from its counts: frozen and initial are of skip_gram and cbow": not self.predicts
            and (self.frozen is not Frozen.NONE or bool(self.initial)),
            f"{self.model} is always reproducible": not self.predicts and self.mode is TrainMode.SHARED,
            "full_softmax is always reproducible": self.loss is Loss.FULL_SOFTMAX and self.mode is TrainMode.SHARED,
            "full_softmax trains both sides": self.loss is Loss.FULL_SOFTMAX and self.frozen is not Frozen.NONE,
            "hierarchical_softmax has vectors of inner nodes, not of words, as outputs: another tree cannot begin with them": bool(
                self.initial
            )
            and self.loss is Loss.HIERARCHICAL_SOFTMAX,
            'frozen = "output" needs train.initial: new output vectors are zeros, from which nothing is learned': self.frozen
            is Frozen.OUTPUT
            and not self.initial,
        }
        for reason, applies in impossible.items():
            if applies:
                raise ValueError(reason)
        return self

    def parameters(self) -> dict[str, Any]:
        """What changes the result, `initial` apart, whose content counts."""
        unused = {"initial"}
        if self.mode is TrainMode.SHARED or self.loss is Loss.FULL_SOFTMAX:
            unused.add("shards")
        if self.loss in (Loss.HIERARCHICAL_SOFTMAX, Loss.FULL_SOFTMAX):
            unused |= {"negatives", "noise_draws", "noise", "noise_power"}
        if self.noise is NoiseWords.LOG_UNIFORM:
            unused.add("noise_power")
        if self.model is not Model.CBOW:
            unused.add("cbow_hidden")
        return self.model_dump(exclude=unused) | {"learning_rate": self.start_rate}


class Evaluate(Section):
    """What the vectors are scored on. Shipped sets are known by name; anything with a suffix is a path."""

    analogies: tuple[str, ...] = ("questions-words",)
    """Sets of questions a : b :: c : ?"""
    similarity: tuple[str, ...] = ("wordsim353", "simlex999")
    """Sets of word pairs with human scores."""
    candidates: Annotated[int, Field(ge=2)] = 30_000
    """Only so many most frequent words can be answers; a question with a word outside is not asked."""
    method: AnalogyMethod = AnalogyMethod.COS_ADD
    """3cosadd or 3cosmul."""
    vectors: VectorsUsed = VectorsUsed.USUAL
    """input, output, their sum or mean; usual: input, but sum for glove."""


class StoreSection(Section):
    """Where artifacts are kept."""

    path: str = "store"
    """A directory; in a configuration file relative to that file."""
    shared: str = ""
    """Where others share theirs: s3://BUCKET/PATH or file:///DIRECTORY. What is there is not made again; push and pull go there."""


class Lineage(Section):
    """Whom to tell what is made from what. Changes no byte of any result."""

    openlineage: Annotated[str, AfterValidator(events_address)] = ""
    """Where OpenLineage events go: a file, https://host (to /api/v1/lineage) or https://host/path. Empty: where OPENLINEAGE_URL says."""


class Cluster(Section):
    """How to run. Changes no byte of any result, unless train.mode is shared."""

    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """Threads for training and for a local Dask cluster; 0: one for each core."""
    processes: Annotated[int, Field(ge=0, le=1024)] = 0
    """Local Dask workers as processes instead of threads; 0: none."""
    address: str = ""
    """A running Dask scheduler, such as tcp://host:8786; its workers must see the same files."""
    checkpoint_s: Annotated[float, Field(gt=0)] = 30.0
    """Seconds of training between two checkpoints, or more where writing one would take over a twentieth of the time."""
    counting_mb: Annotated[float, Field(gt=0)] = 512.0
    """MB of memory for counting words and phrases in a process, beside its text and the words that stay; more goes through files."""


class Configuration(Section):
    """Everything that a run needs to know."""

    name: Annotated[str, Field(pattern=rf"^{NAME}$", max_length=100)] = "vectors"
    """The name of the model; `corpus2vec similar --model NAME` finds its newest version."""
    corpus: Corpus = Corpus()
    tokenize: Tokenize = Tokenize()
    phrases: Phrases = Phrases()
    vocabulary: Vocabulary = Vocabulary()
    pairs: Pairs = Pairs()
    cooccurrence: Cooccurrence = Cooccurrence()
    train: Train = Train()
    glove: Glove = Glove()
    ppmi: Ppmi = Ppmi()
    evaluate: Evaluate = Evaluate()
    store: StoreSection = StoreSection()
    lineage: Lineage = Lineage()
    cluster: Cluster = Cluster()

    @model_validator(mode="after")
    def _possible(self) -> "Configuration":
        if self.train.loss is Loss.HIERARCHICAL_SOFTMAX and self.evaluate.vectors not in (VectorsUsed.USUAL, VectorsUsed.INPUT):
            raise ValueError("hierarchical_softmax has no output vectors of words for evaluate.vectors")
        refuse_any_credentials(self.model_dump(mode="json"))
        return self

    @model_validator(mode="before")
    @classmethod
    def _without_credentials(cls, values: Any) -> Any:
        """First of all: no other error repeats them, and no record gets them."""
        if isinstance(values, dict):
            refuse_any_credentials(values)
        return values


def is_url(path: str) -> bool:
    """Whether a path is spelt as a URL."""
    scheme, separator, _ = path.partition("://")
    return bool(separator) and scheme.replace("+", "").replace("-", "").isalnum()


def is_path(name: object) -> bool:
    """Whether an evaluation set is named by a path, not by the name of a shipped set."""
    return isinstance(name, str) and ("/" in name or "." in name)
