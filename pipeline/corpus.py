"""The world outside the store, looked at once at the start of a run: corpus files and evaluation sets, known by their content from then on.

Files are ordered by digest, not by name: moving or renaming a file changes nothing that is computed from it.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.choices import Format
from pipeline.configuration import Configuration, Corpus
from pipeline.errors import ConfigurationError, InputError
from pipeline.reasons import LeftOut
from pipeline.scoring.evaluation_sets import EvaluationFile, find_evaluation_files
from pipeline.sources.cuts import CutFile
from pipeline.sources.digests import Digests
from pipeline.sources.files import Found, SourceFile, find_files
from pipeline.sources.formats import Kind, kind_of
from pipeline.sources.shard import SourceShard
from pipeline.storage.artifact import Tally

if TYPE_CHECKING:
    from pipeline.initial import InitialVectors
    from pipeline.words.frozen_phrases import FrozenPhrases

_FILES_AT_ONCE = 8  # that are hashed: two cores are busy with two of them, an object store keeps eight waiting


@dataclass(frozen=True)
class Observed:
    """What a run finds outside the store."""

    shards: tuple[SourceShard, ...]
    evaluation_files: tuple[EvaluationFile, ...]
    initial: "InitialVectors | None" = None
    frozen: "tuple[FrozenPhrases, ...]" = ()
    n_empty_files: int = 0  # which have no shards
    passed_over: Mapping[LeftOut, int] = field(default_factory=dict)  # other files that lie there, by reason

    @property
    def found(self) -> Tally:
        """Where the files went that the configured paths lead to. A snapshot knows what is in its files, not what lies beside them."""
        n_files = len({shard.location for shard in self.shards}) + self.n_empty_files
        dropped = {why.value: n for why, n in self.passed_over.items()}
        return Tally("files found", n_files + sum(dropped.values()), n_files, dropped)


def find_inputs(configuration: Configuration) -> "tuple[Found, tuple[EvaluationFile, ...], InitialVectors | None]":
    """The files of the corpus, not yet read, the evaluation sets, and the first vectors: quick, so that mistakes show at once.

    Raises
    ------
    ConfigurationError
        When no corpus is configured, a URL holds credentials, an evaluation set is unknown, or the first vectors do not fit.
    InputError
        When files are missing, cannot be read, or hold nothing at all, or an evaluation set is broken.
    """
    paths = configuration.corpus.paths
    if not paths:
        raise ConfigurationError(
            "No corpus is configured.",
            where="key corpus.paths",
            expected="files, globs or directories of text",
            remedy="For example --set corpus.paths=my-text.txt",
        )
    evaluation_files = find_evaluation_files(configuration.evaluate)
    found = find_files(paths, Path.cwd(), configuration.corpus.format)
    if not any(file.size_bytes for file in found.files):
        raise InputError(
            "The corpus is empty.",
            where=", ".join(paths)[:200],
            got=f"{len(found.files)} file{'s' * (len(found.files) > 1)} of 0 bytes",
            expected="text",
            remedy="Look whether the text was written there, or name other files in corpus.paths.",
        )
    _find_frozen(configuration)
    if configuration.tokenize.stop_words or configuration.tokenize.function:
        from pipeline.tokenizing.tokenizers import new_tokenizer

        new_tokenizer(configuration.tokenize)  # so that mistakes in them show now
    return found, evaluation_files, _find_initial(configuration)


def _find_initial(configuration: Configuration) -> "InitialVectors | None":
    if not configuration.train.initial:
        return None
    from pipeline.initial import find_initial

    return find_initial(configuration.train)


def _find_frozen(configuration: Configuration) -> "tuple[FrozenPhrases, ...]":
    if not configuration.phrases.frozen:
        return ()
    from pipeline.words.frozen_phrases import find_frozen

    return find_frozen(configuration.phrases)


def observe(configuration: Configuration, digests: Digests) -> Observed:
    """Find and hash the corpus and the evaluation sets; files whose digests are known are not read.

    Raises
    ------
    ConfigurationError, InputError
        As `find_inputs` does.
    """
    found, evaluation_files, initial = find_inputs(configuration)
    corpus = configuration.corpus
    filled = [file for file in found.files if file.size_bytes]
    kinds = [kind_of(file.location, corpus.format) for file in filled]
    with ThreadPoolExecutor(_FILES_AT_ONCE) as threads:
        cuts = list(threads.map(lambda file, kind: digests.cut(file, kind, corpus.column, int(corpus.shard_mb * 1e6)), filled, kinds))
    shards = [shard for file, kind, cut in zip(filled, kinds, cuts, strict=True) for shard in _shards(file, kind, cut, corpus)]
    shards.sort(key=lambda shard: (shard.file_sha256, shard.location, shard.start))
    frozen = _find_frozen(configuration)
    return Observed(tuple(shards), evaluation_files, initial, frozen, len(found.files) - len(filled), found.passed_over)


def _shards(file: SourceFile, kind: Kind, cut: CutFile, corpus: Corpus) -> list[SourceShard]:
    column = "" if kind.format is Format.TEXT else corpus.column
    return [
        SourceShard(file.location, kind.format, kind.compression, column, cut.sha256, one.start, one.stop, one.sha256) for one in cut.cuts
    ]
