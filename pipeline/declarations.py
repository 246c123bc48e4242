"""The stages, declared: what each is called, its version, and how its work falls into artifacts. The chain puts them in order.

What a stage does is in `pipeline.stages`, and is imported when a build begins: with Numba and all kernels that takes a second, and who only
asks what would be done waits for none of it.
"""

import functools
import hashlib
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pipeline.configuration import (
    Cooccurrence,
    Corpus,
    Evaluate,
    GloveSettings,
    Pairs,
    Phrases,
    PpmiSettings,
    Tokenize,
    Train,
    Vocabulary,
)
from pipeline.corpus import Observed
from pipeline.scoring.evaluation_sets import EvaluationFile
from pipeline.sources.shard import SourceShard
from pipeline.stage import Inputs, Links, Stage, Unit, one_unit
from pipeline.storage.artifact import Link
from pipeline.tokenizing.versions import TOKENIZER_VERSION, UNICODE_VERSION

FROZEN = "frozen"  # the input that a given table of phrases is
EMPTY_FILE = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Deferred:
    """A function of the package, by the names of its module and its own; imported when it is first called."""

    module: str
    function: str

    def __call__(self, *arguments: Any) -> Any:
        """Call it."""
        return getattr(import_module(self.module), self.function)(*arguments)


def _built_by(stage: str, function: str = "build") -> Deferred:
    return Deferred(f"pipeline.stages.{stage}", function)


def _snapshot_units(observed: Observed, inputs: Inputs) -> tuple[Unit, ...]:
    """One artifact, identified by the content of every file and every shard.

    Shards alone would not do: two files, and one file that is cut where the first of them ends, have the same.
    """
    files = tuple(
        Link(shard.link.stage, shard.file_sha256, shard.file_sha256, {"location": shard.location})
        for shard in observed.shards
        if shard.start == 0
    )
    empty = (Link("source", EMPTY_FILE, EMPTY_FILE, {"location": ""}),) * observed.n_empty_files
    return (Unit({"files": (*files, *empty), "shards": tuple(shard.link for shard in observed.shards)}, observed),)


def _tokenize_units(observed: Observed, inputs: Inputs) -> tuple[Unit, ...]:
    """One artifact for each source shard, known by its content."""
    return tuple(Unit({"source": (shard.link,)}, shard) for shard in observed.shards)


def _frozen_units(number: int, observed: Observed, inputs: Inputs) -> tuple[Unit, ...]:
    """One artifact from the text and a table of phrases."""
    (unit,) = one_unit(observed, inputs)
    frozen = observed.frozen[number]
    return (Unit({**unit.inputs, FROZEN: (frozen.link,)}, frozen),)


def _train_units(observed: Observed, inputs: Inputs) -> tuple[Unit, ...]:
    """One artifact from the pairs, and from the first vectors if there are any."""
    (unit,) = one_unit(observed, inputs)
    if not observed.initial:
        return (unit,)
    return (Unit({**unit.inputs, "initial": (observed.initial.link,)}, observed.initial),)


def _evaluate_units(observed: Observed, inputs: Inputs) -> tuple[Unit, ...]:
    """One artifact from the vectors and the sets."""
    (unit,) = one_unit(observed, inputs)
    return (Unit({**unit.inputs, "sets": tuple(file.link for file in observed.evaluation_files)}, observed.evaluation_files),)


def _source(links: Links, settings: Tokenize) -> SourceShard:
    """The shard that a tokenized one was made from."""
    return SourceShard.of(links["source"][0])


def _sets(links: Links, settings: Evaluate) -> tuple[EvaluationFile, ...]:
    """The sets that vectors were scored on."""
    return tuple(EvaluationFile.of(link) for link in links["sets"])


def _initial(links: Links, settings: Train) -> Any:
    """The vectors that a training began with, if any."""
    from pipeline.initial import InitialVectors

    return InitialVectors.of(links["initial"][0]) if "initial" in links else None


def _frozen_table(links: Links, settings: Phrases) -> Any:
    """The table of phrases that a text was joined by."""
    from pipeline.words.frozen_phrases import FrozenPhrases

    return FrozenPhrases.of(links[FROZEN][0])


SNAPSHOT = Stage("snapshot", 2, _built_by("snapshot"), _snapshot_units, settings=Corpus, material=_built_by("snapshot", "cut_again"))
TOKENIZE = Stage(
    "tokenize",
    2,
    _built_by("tokenize"),
    _tokenize_units,
    on_workers=True,
    check=Deferred("pipeline.quarantine", "refuse_broken"),
    settings=Tokenize,
    material=_source,
    definitions={"definition": TOKENIZER_VERSION, "unicode": UNICODE_VERSION},
)
PHRASES = Stage("phrases", 2, _built_by("phrases"), settings=Phrases)
VOCABULARY = Stage("vocabulary", 2, _built_by("vocabulary"), settings=Vocabulary)
PAIRS = Stage("pairs", 3, _built_by("pairs"), settings=Pairs)
COOCCURRENCE = Stage("cooccurrence", 1, _built_by("cooccurrence"), settings=Cooccurrence)
TRAIN = Stage("train", 6, _built_by("train"), _train_units, settings=Train, material=_initial, rounds=True)
GLOVE = Stage("glove", 1, _built_by("glove"), settings=GloveSettings, rounds=True)
PPMI_SVD = Stage("ppmi_svd", 1, _built_by("ppmi_svd"), settings=PpmiSettings, rounds=True)
EVALUATE = Stage("evaluate", 1, _built_by("evaluate"), _evaluate_units, settings=Evaluate, material=_sets, rounds=True)


def frozen_phrases(number: int) -> Stage:
    """The stage of one pass that takes the phrases of a table: the `number`-th, from 0, of those given."""
    units = functools.partial(_frozen_units, number)
    return Stage(PHRASES.name, PHRASES.version, _built_by("phrases", "build_frozen"), units, settings=Phrases, material=_frozen_table)
