"""Models by name: their numbered versions, and aliases such as `production` that stand for one of them, with their history.

    <store>/models/<name>/versions/<number>.json          written once for each new vectors of a name
    <store>/models/<name>/aliases/<alias>/<number>.json   written once for each move; the last one counts

No file is ever changed. A number belongs to the one writer who made its file first, so processes can register and promote at the same time,
and clocks do not matter for what comes after what.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from pipeline.errors import StoreError
from pipeline.storage.artifact import Link
from pipeline.storage.store import MODELS, Store

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"  # of a model: no way out of a directory, and not longer than its name may be
ALIAS = re.compile(r"[a-z][a-z0-9-]{0,99}")  # and no number, so that name@alias is no version
_NUMBER = re.compile(r"[0-9]{1,9}")

OnUnusable = Callable[[StoreError], None]  # hears of what cannot be read, and is left out


def _stop(error: StoreError) -> None:
    raise error


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

    def versions(self, name: str, on_unusable: OnUnusable = _stop) -> list[Version]:
        """All versions of a name, the oldest first; none when nobody has trained it.

        Raises
        ------
        StoreError
            When one cannot be read, and `on_unusable` was not given.
        """
        found = []
        for number in self._numbers(name):
            try:
                found.append(self._version(name, number))
            except StoreError as error:
                on_unusable(error)
        return found

    def newest(self, name: str) -> Version | None:
        """The last version of a name, if there is one.

        Raises
        ------
        StoreError
            When it cannot be read.
        """
        numbers = self._numbers(name)
        return self._version(name, numbers[-1]) if numbers else None

    def find(self, name: str, which: str) -> Version | None:
        """A version by its number or by an alias.

        Raises
        ------
        StoreError
            When its record, or the last one of the alias, cannot be read.
        """
        number = int(which) if _NUMBER.fullmatch(which) else self._standing(name, which)
        return self._version(name, number) if number in self._numbers(name) else None

    def register(self, name: str, run: str, vectors: Link, evaluation: Link) -> Version:
        """The version of these vectors and scores: that of this run, or the newest one when it has the same, else a new one.

        What an older version has is new again: the newest is always what was made, or brought here, last. A run makes one version at most.

        Raises
        ------
        StoreError
            When the store cannot be written.
        """
        place = f"{MODELS}/{name}/versions"
        while True:
            known = self.versions(name, lambda error: None)  # what somebody has broken must not lose what a run has made
            numbers = self._numbers(name)
            same = [one for one in known if (one.vectors, one.evaluation) == (vectors, evaluation)]
            for version in reversed(same):
                if version.run == run or version.number == numbers[-1]:
                    return version
            version = Version(name, numbers[-1] + 1 if numbers else 1, run, vectors, evaluation, _now())
            content = {field: value for field, value in asdict(version).items() if field not in ("name", "number")}
            if self.store.add_numbered(place, content, version.number):
                return version

    def aliases(self, name: str, on_unusable: OnUnusable = _stop) -> dict[str, int]:
        """The aliases of a name, and the number of the version that each stands for.

        Raises
        ------
        StoreError
            When the last record of one cannot be read, and `on_unusable` was not given.
        """
        found: dict[str, int] = {}
        for alias in self.store.places(f"{MODELS}/{name}/aliases") if re.fullmatch(NAME, name) else ():
            try:
                number = self._standing(name, alias)
            except StoreError as error:
                on_unusable(error)
            else:
                found |= {alias: number} if number else {}
        return found

    def history(self, name: str, alias: str, on_unusable: OnUnusable = _stop) -> list[Move]:
        """All that an alias has stood for, the present last; nothing when there is no such alias.

        Raises
        ------
        StoreError
            When a record of it cannot be read, and `on_unusable` was not given.
        """
        found = []
        for number in self._moves(name, alias):
            try:
                found.append(self._move(name, alias, number))
            except StoreError as error:
                on_unusable(error)
        return found

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

    def _numbers(self, name: str) -> list[int]:
        return self.store.numbers(f"{MODELS}/{name}/versions") if re.fullmatch(NAME, name) else []

    def _moves(self, name: str, alias: str) -> list[int]:
        is_possible = re.fullmatch(NAME, name) and ALIAS.fullmatch(alias)
        return self.store.numbers(f"{MODELS}/{name}/aliases/{alias}") if is_possible else []

    def _standing(self, name: str, alias: str) -> int | None:
        """The number of the version that an alias stands for: only the last move is read."""
        moves = self._moves(name, alias)
        return self._move(name, alias, moves[-1]).version if moves else None

    def _version(self, name: str, number: int) -> Version:
        place = f"{MODELS}/{name}/versions"
        content = self.store.read_numbered(place, number)
        with self._explained(place, number):
            vectors, evaluation = (Link(**content[field]) for field in ("vectors", "evaluation"))
            version = Version(name, number, content["run"], vectors, evaluation, content["created"])
            names = [name for link in (vectors, evaluation) for name in (link.stage, link.key, link.digest)]
            if not all(isinstance(text, str) for text in (version.run, version.created, *names)) or vectors.origin or evaluation.origin:
                raise TypeError("something in it is no text, or of no artifact")
        return version

    def _move(self, name: str, alias: str, number: int) -> Move:
        place = f"{MODELS}/{name}/aliases/{alias}"
        content = self.store.read_numbered(place, number)
        with self._explained(place, number):
            move = Move(number, **content)
            numbers = [move.version] if move.back_to is None else [move.version, move.back_to]
            if not all(type(one) is int for one in numbers) or not all(isinstance(text, str) for text in (move.reason, move.created)):
                raise TypeError("a number in it is none, or a text is none")
        return move

    @contextlib.contextmanager
    def _explained(self, place: str, number: int) -> Iterator[None]:
        """Say of a record with a valid seal that it is of another form: somebody else has sealed it."""
        try:
            yield
        except (KeyError, TypeError) as error:
            raise StoreError(
                "A record of a model is of another form.",
                where=str(self.store.root / place / f"{number}.json"),
                got=f"{type(error).__name__}: {error}",
                expected="a version or a move of an alias as this program writes them",
                remedy="Bring it back from a copy; corpus2vec verify --all names what else is wrong.",
            ) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
