"""Models by name: their numbered versions, and aliases such as `production` that stand for one of them, with their history.

    <store>/models/<name>/versions/<number>.json          written once for each new vectors of a name
    <store>/models/<name>/aliases/<alias>/<number>.json   written once for each move; the last one counts

No file is ever changed. A number belongs to the one writer who made its file first, so processes can register and promote at the same time,
and clocks do not matter for what comes after what.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.storage.artifact import Link
from pipeline.storage.store import MODELS, Store

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"  # of a model: no way out of a directory
ALIAS = re.compile(r"[a-z][a-z0-9-]*")  # and no number, so that name@alias is no version


@dataclass(frozen=True)
class Version:
    """Vectors that a run has finished, under the next number of its name."""

    name: str
    number: int  # from 1
    run: str  # the first run that finished with them
    vectors: Link
    evaluation: Link
    created: str  # ISO 8601, UTC

    def __str__(self) -> str:
        return f"{self.name}@{self.number}"


@dataclass(frozen=True)
class Move:
    """An alias that began to stand for a version."""

    number: int  # from 1
    version: int
    reason: str  # promoted, or rolled back, and by which figures
    created: str  # ISO 8601, UTC
    back_to: int | None = None  # of a rollback: the number of the move that counts again


@dataclass(frozen=True)
class Registry:
    """The models of a store."""

    store: Store

    def names(self) -> list[str]:
        """The names that have versions."""
        return self.store.places(MODELS)

    def versions(self, name: str) -> list[Version]:
        """All versions of a name, the oldest first; none when nobody has trained it."""
        if not re.fullmatch(NAME, name):
            return []
        return [_version(name, number, content) for number, content in self.store.numbered(f"{MODELS}/{name}/versions").items()]

    def register(self, name: str, run: str, vectors: Link, evaluation: Link) -> Version:
        """The version of these vectors and scores: the newest one when it has the same, else a new one.

        Raises
        ------
        StoreError
            When the store cannot be written.
        """
        while True:
            known = self.versions(name)
            if known and (known[-1].vectors, known[-1].evaluation) == (vectors, evaluation):
                return known[-1]
            version = Version(name, known[-1].number + 1 if known else 1, run, vectors, evaluation, _now())
            content = {field: value for field, value in asdict(version).items() if field not in ("name", "number")}
            if self.store.add_numbered(f"{MODELS}/{name}/versions", content, version.number):
                return version

    def aliases(self, name: str) -> dict[str, int]:
        """The aliases of a name, and the number of the version that each stands for."""
        found = {alias: self.history(name, alias) for alias in self.store.places(f"{MODELS}/{name}/aliases")}
        return {alias: moves[-1].version for alias, moves in found.items() if moves}

    def history(self, name: str, alias: str) -> list[Move]:
        """All that an alias has stood for, the present last; nothing when there is no such alias."""
        if not re.fullmatch(NAME, name) or not ALIAS.fullmatch(alias):
            return []
        return [Move(number, **content) for number, content in self.store.numbered(f"{MODELS}/{name}/aliases/{alias}").items()]

    def move(self, name: str, alias: str, version: int, reason: str, after: int, back_to: int | None = None) -> Move | None:
        """Have an alias stand for a version from now on; None when somebody has moved it since its move number `after` (0: none yet).

        A rollback says which earlier move it goes `back_to`.

        Raises
        ------
        ValueError
            When the alias cannot be called so.
        StoreError
            When the store cannot be written.
        """
        if not ALIAS.fullmatch(alias):
            raise ValueError(f"an alias cannot be called {alias!r}: small letters, digits and hyphens, a letter first")
        move = Move(after + 1, version, reason, _now(), back_to)
        content = {"version": version, "reason": reason, "created": move.created, "back_to": back_to}
        return move if self.store.add_numbered(f"{MODELS}/{name}/aliases/{alias}", content, move.number) else None

    def find(self, name: str, which: str) -> Version | None:
        """A version by its number or by an alias."""
        number = int(which) if which.isdecimal() else self.aliases(name).get(which) if re.fullmatch(NAME, name) else None
        return next((version for version in self.versions(name) if version.number == number), None)


def _version(name: str, number: int, content: Mapping[str, Any]) -> Version:
    links = {field: Link(**content[field]) for field in ("vectors", "evaluation")}
    return Version(name, number, content["run"], links["vectors"], links["evaluation"], content["created"])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
