"""The world outside the store, looked at once at the start of a run: corpus files and evaluation sets, known by their content from then on.

Files are ordered by digest, not by name: moving or renaming a file changes nothing that is computed from it.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pipeline.artifact import Link
from pipeline.configuration import Configuration
from pipeline.errors import ConfigurationError, InputError
from pipeline.evaluation_sets import EvaluationFile, find_evaluation_files
from pipeline.frozen_phrases import FrozenPhrases, find_frozen
from pipeline.initial import InitialVectors, find_initial
from pipeline.keys import READ_BYTES
from pipeline.sources import find_text_files, is_compressed, line_cuts


@dataclass(frozen=True)
class SourceShard:
    """A range of a plain file between line borders, or a whole compressed file: what one task reads."""

    path: Path
    compression: str  # suffix, empty when plain
    file_sha256: str
    start: int
    stop: int
    sha256: str

    @property
    def n_bytes(self) -> int:
        """Bytes on disk."""
        return self.stop - self.start

    @property
    def link(self) -> Link:
        """How the tokenized shard names its source: content and compression, no path."""
        return Link("source" + self.compression, self.file_sha256, self.sha256)


@dataclass(frozen=True)
class Observed:
    """What a run finds outside the store."""

    shards: tuple[SourceShard, ...]
    evaluation_files: tuple[EvaluationFile, ...]
    initial: InitialVectors | None = None
    frozen: tuple[FrozenPhrases, ...] = ()


def find_inputs(configuration: Configuration) -> tuple[list[Path], tuple[EvaluationFile, ...], InitialVectors | None]:
    """The files of the corpus, not yet read, the evaluation sets, and the first vectors: quick, so that mistakes show at once.

    Raises
    ------
    ConfigurationError
        When no corpus is configured, an evaluation set is unknown, or the first vectors do not fit.
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
    files = find_text_files(paths, Path.cwd())
    if not any(path.stat().st_size for path in files):
        raise InputError(
            "The corpus is empty.",
            where=", ".join(paths)[:200],
            got=f"{len(files)} file{'s' * (len(files) > 1)} of 0 bytes",
            expected="text",
            remedy="Look whether the text was written there, or name other files in corpus.paths.",
        )
    find_frozen(configuration.phrases)
    return files, evaluation_files, find_initial(configuration.train)


def observe(configuration: Configuration) -> Observed:
    """Find and hash the corpus and the evaluation sets.

    Raises
    ------
    ConfigurationError, InputError
        As `find_inputs` does.
    """
    files, evaluation_files, initial = find_inputs(configuration)
    shards = [shard for path in files for shard in _hashed_shards(path, int(configuration.corpus.shard_mb * 1e6))]
    return Observed(
        tuple(sorted(shards, key=lambda shard: (shard.file_sha256, str(shard.path), shard.start))),
        evaluation_files,
        initial,
        find_frozen(configuration.phrases),
    )


def _hashed_shards(path: Path, shard_bytes: int) -> list[SourceShard]:
    """The shards of one file with the digests of the file and of each shard, in one read."""
    compression = path.suffix.lower() if is_compressed(path) else ""
    size = path.stat().st_size
    cuts = [(0, size)] if compression and size else line_cuts(path, shard_bytes)
    whole, digests = hashlib.sha256(), []
    with path.open("rb", buffering=0) as file:
        for start, stop in cuts:
            part, left = hashlib.sha256(), stop - start
            while left and (block := file.read(min(left, READ_BYTES))):
                part.update(block)
                whole.update(block)
                left -= len(block)
            digests.append(part.hexdigest())
    return [
        SourceShard(path, compression, whole.hexdigest(), start, stop, digest) for (start, stop), digest in zip(cuts, digests, strict=True)
    ]
