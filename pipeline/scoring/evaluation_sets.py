"""Evaluation sets: those shipped with the package, known by name, and files of the user's own."""

import difflib
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Self

from pipeline.configuration import Evaluate, is_path
from pipeline.errors import ConfigurationError
from pipeline.scoring.questions import read_questions
from pipeline.scoring.rated_pairs import read_pairs
from pipeline.storage.artifact import Link
from pipeline.storage.keys import digest_of_file


class EvaluationKind(StrEnum):
    """What a set asks."""

    ANALOGIES = "analogies"
    SIMILARITY = "similarity"


@dataclass(frozen=True)
class EvaluationFile:
    """One set of questions or of word pairs."""

    name: str
    kind: EvaluationKind
    path: Path
    sha256: str

    @classmethod
    def of(cls, link: Link) -> Self:
        """The set that a link names, where its origin says."""
        return cls(link.key, EvaluationKind(link.stage.partition("/")[0]), Path(link.origin["location"]), link.digest)

    @property
    def link(self) -> Link:
        """How the evaluation names this input; by its name too, which stands in the scores."""
        return Link(f"{self.kind}/{self.name}", self.name, self.sha256, {"location": str(self.path)})


def find_evaluation_files(settings: Evaluate) -> tuple[EvaluationFile, ...]:
    """The files of the configured sets.

    Raises
    ------
    ConfigurationError
        For a name that is not shipped, a path without a file, or two sets of one name.
    InputError
        When a set of the user's own is broken: it is read here too, because after hours of training is late.
    """
    named = [(EvaluationKind.ANALOGIES, name) for name in settings.analogies]
    named += [(EvaluationKind.SIMILARITY, name) for name in settings.similarity]
    found = tuple(_find(kind, name) for kind, name in named)
    repeated = [name for name, n in Counter(file.name for file in found).items() if n > 1]
    if repeated:
        raise ConfigurationError(
            "Two evaluation sets have the same name.",
            where="keys evaluate.analogies, evaluate.similarity",
            got=repeated[0],
            expected="a name for each, because scores are kept by name",
            remedy="Rename one of the files.",
        )
    return found


def shipped_sets() -> dict[str, Path]:
    """Name and path of every set that is shipped."""
    directory = Path(str(files("corpus2vec_data"))) / "evaluation"
    return {path.stem: path for path in sorted(directory.glob("*.t*"))}


def _find(kind: EvaluationKind, name: str) -> EvaluationFile:
    shipped = shipped_sets()
    path = Path(name) if is_path(name) else shipped.get(name)
    if path is None or not path.is_file():
        near = difflib.get_close_matches(name, shipped, n=1)
        raise ConfigurationError(
            "An evaluation set does not exist.",
            where=f"key evaluate.{kind}",
            got=name,
            expected="a file, or one of " + ", ".join(shipped),
            remedy=f"Did you mean {near[0]}?" if near else f"An empty list evaluates nothing of this kind: --set evaluate.{kind}=[]",
        )
    if path not in shipped.values():  # those are right
        (read_questions if kind is EvaluationKind.ANALOGIES else read_pairs)(path)
    return EvaluationFile(path.stem, kind, path, digest_of_file(path))
