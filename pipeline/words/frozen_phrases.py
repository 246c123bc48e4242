"""Phrases that are not counted: the `phrases.parquet` of an earlier run, known by its content."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.configuration import Phrases
from pipeline.errors import ConfigurationError, InputError, StoreError
from pipeline.storage.artifact import Link
from pipeline.storage.keys import digest_of_file
from pipeline.storage.schemas import PHRASES
from pipeline.storage.tables import read_table


@dataclass(frozen=True)
class FrozenPhrases:
    """A table of phrases that is applied as it is."""

    path: Path
    sha256: str

    @classmethod
    def of(cls, link: Link) -> Self:
        """The file that a link names, where its origin says."""
        return cls(Path(link.origin["location"]), link.digest)

    @property
    def link(self) -> Link:
        """How a step names this input: by content."""
        return Link("phrases-table", self.path.name, self.sha256, {"location": str(self.path)})

    def read(self) -> pa.Table:
        """Its phrases.

        Raises
        ------
        InputError
            When the file has been changed since the run began.
        StoreError
            When it is gone, or cannot be read.
        """
        table = read_table(self.path, PHRASES)
        if digest_of_file(self.path) != self.sha256:
            raise InputError(
                "A table of phrases changed while it was used.",
                where=str(self.path),
                expected="the bytes that were there when the run began",
                remedy="Run the same command again.",
            )
        return table


def find_frozen(settings: Phrases) -> tuple[FrozenPhrases, ...]:
    """The tables that `phrases.frozen` names, in the order of its passes.

    Raises
    ------
    ConfigurationError
        When one does not exist, is no table of phrases, or has a word both inside and at the end of phrases.
    """
    return tuple(_find(Path(name)) for name in settings.frozen)


def _find(path: Path) -> FrozenPhrases:
    expected = "a phrases.parquet, such as store/phrases/KEY/phrases.parquet"
    if not path.is_file():
        raise ConfigurationError(
            "A table of phrases does not exist.",
            where="key phrases.frozen",
            got=str(path),
            expected=expected,
            remedy="corpus2vec show RUN names the keys of a run.",
        )
    try:
        table = read_table(path, PHRASES)
    except StoreError as error:
        raise ConfigurationError(
            "A table of phrases cannot be read.", where="key phrases.frozen", got=error.details["got"], expected=expected
        ) from error
    inside = pc.unique(pc.list_flatten(table["connectors"]))
    both = inside.filter(pc.or_(*(pc.is_in(inside, value_set=table[name]) for name in ("first", "second"))))
    if len(both):
        raise ConfigurationError(
            "A table of phrases has a word both as a connector and at the end of a phrase.",
            where=f"key phrases.frozen, {path}",
            got=", ".join(both.to_pylist()[:5]),
            expected="words that are one or the other",
        )
    return FrozenPhrases(path.absolute(), digest_of_file(path))
