"""Pins: what somebody has asked to keep, whatever else goes. One record for each: `<store>/kept/<digest>/record.json`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.errors import StoreError
from pipeline.storage.artifact import Link
from pipeline.storage.keys import digest_of
from pipeline.storage.records import RECORD
from pipeline.storage.store import KEPT, Store


@dataclass(frozen=True)
class Pin:
    """Artifacts that are kept, with all that they were made from."""

    name: str  # what was asked for: demo@3, run 20261121T180000-abc123, train/0123456789ab
    links: tuple[Link, ...]
    note: str  # why, for people
    created: str  # ISO 8601, UTC

    @property
    def place(self) -> str:
        """Where its record is, below the store's directory."""
        return place_of(self.links)


@dataclass(frozen=True)
class Pins:
    """The pins of a store."""

    store: Store

    def all(self) -> list[Pin]:
        """All pins, by name.

        Raises
        ------
        StoreError
            When one cannot be read.
        """
        return sorted(map(self._read, self.store.records(KEPT)), key=lambda pin: (pin.name, pin.place))

    def put(self, name: str, links: Sequence[Link], note: str) -> Pin:
        """Keep these artifacts; when they are kept already, by this name and for this reason from now on.

        Raises
        ------
        StoreError
            When the store cannot be written.
        """
        pin = Pin(name, tuple(links), note, datetime.now(UTC).isoformat(timespec="seconds"))
        self.store.write_record(KEPT, pin.place.rpartition("/")[2], asdict(pin))
        return pin

    def remove(self, pin: Pin) -> None:
        """Keep them no longer.

        Raises
        ------
        StoreError
            When the store cannot be written.
        """
        self.store.discard(pin.place)

    def _read(self, content: dict[str, Any]) -> Pin:
        try:
            links = tuple(Link(**link) for link in content["links"])
            return Pin(str(content["name"]), links, str(content["note"]), str(content["created"]))
        except (KeyError, TypeError) as error:
            raise StoreError(
                "A record of what is kept cannot be used.",
                where=str(self.store.root / KEPT),
                got=f"{type(error).__name__}: {error}",
                expected=f"a {RECORD} as `corpus2vec keep` writes it",
                remedy="Remove it, and keep again what it stood for.",
            ) from error


def place_of(links: Sequence[Link]) -> str:
    """Where the record is by which these artifacts are kept, in any order."""
    return f"{KEPT}/{digest_of(sorted([link.stage, link.key, link.digest] for link in links))[:32]}"
