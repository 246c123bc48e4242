"""What can be seen of one artifact without reading its files: its manifest, its place, its key, and what lies in its directory."""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import StoreError
from pipeline.lineage.verifying.findings import Finding, Wrong
from pipeline.storage.artifact import MANIFEST, Artifact, FileRecord, Link, Manifest
from pipeline.storage.sealed import is_as_written
from pipeline.storage.store import KEY_LETTERS, SHARED, Store


@dataclass(frozen=True)
class Inspected:
    """One artifact, or only its manifest: when its files are in the shared store, the place begins with `shared/`."""

    place: str  # its directory below the store
    artifact: Artifact | None  # None when its manifest cannot be used, or it is not its own
    findings: tuple[Finding, ...]
    present: tuple[FileRecord, ...] = ()  # its files that lie there, whatever their bytes

    @property
    def name(self) -> str:
        """How people call it."""
        return short(self.place)


Artifacts = Mapping[str, Inspected]  # by place


def named(artifacts: Artifacts, link: Link) -> Inspected | None:
    """The artifact that a link names, whatever its bytes: itself, else its manifest."""
    place = place_of(link.stage, link.key)
    return artifacts.get(place) or artifacts.get(f"{SHARED}/{place}")


def short(place: str) -> str:
    """Stage and the first letters of the key."""
    stage, _, key = place.rpartition("/")
    return f"{stage}/{key[:12]}"


def place_of(stage: str, key: str) -> str:
    """Where the artifact of a stage with a key is, below the store."""
    return f"{stage}/{key[:KEY_LETTERS]}"


def inspect(store: Store, directory: Path) -> Inspected:
    """Everything that is wrong with an artifact but for the bytes of its files; of one that is elsewhere, with its manifest."""
    place = store.place_of(directory)
    blank = Finding(Wrong.MANIFEST, place, short(place))
    is_here = not place.startswith(f"{SHARED}/")
    for path in (directory.parent, directory, directory / MANIFEST):
        if path.is_symlink():
            return Inspected(place, None, (replace(blank, wrong=Wrong.LINK, place=store.place_of(path), got=_target(path)),))
    if not (directory / MANIFEST).is_file():
        return Inspected(place, None, (replace(blank, wrong=Wrong.NO_MANIFEST, place=f"{place}/{MANIFEST}", file=MANIFEST),))
    try:
        manifest = Manifest.read(directory / MANIFEST)
        written = is_as_written((directory / MANIFEST).read_bytes())
    except (StoreError, OSError, ValueError) as error:
        got = error.details["got"].removeprefix("ValueError: ") if isinstance(error, StoreError) else str(error)
        return Inspected(place, None, (replace(blank, place=f"{place}/{MANIFEST}", file=MANIFEST, got=got),))
    own = ("" if is_here else f"{SHARED}/") + place_of(manifest.stage, manifest.key)
    if own != place:
        return Inspected(place, None, (replace(blank, wrong=Wrong.PLACE, got=own, expected=place),))
    findings = []
    if not written:
        what = "it says the same, but is not spelt as it was written"
        findings.append(replace(blank, place=f"{place}/{MANIFEST}", file=MANIFEST, got=what))
    if manifest.computed_key != manifest.key:
        findings.append(replace(blank, wrong=Wrong.KEY, got=manifest.key, expected=manifest.computed_key))
    wrong_files, present = _inspect_files(place, directory, manifest) if is_here else ([], ())
    return Inspected(place, Artifact(directory, manifest, is_here), (*findings, *wrong_files), present)


def _inspect_files(place: str, directory: Path, manifest: Manifest) -> tuple[list[Finding], tuple[FileRecord, ...]]:
    """What is missing, lies there too, or is a link; and the files that are plain files."""
    findings, plain = [], set()
    records = {file.name: file for file in manifest.files}
    expected = {*records}
    directories = {str(parent) for name in records for parent in Path(name).parents}
    for name, mode in entries(directory):
        found = Finding(Wrong.EXTRA, f"{place}/{name}", short(place), name)
        if stat.S_ISLNK(mode):
            findings.append(replace(found, wrong=Wrong.LINK, got=_target(directory / name)))
            expected = {one for one in expected if one != name and not one.startswith(f"{name}/")}
        elif stat.S_ISREG(mode) and name in expected:
            plain.add(name)
        elif stat.S_ISREG(mode) and name == MANIFEST:
            continue
        elif not (stat.S_ISDIR(mode) and name in directories):
            findings.append(found)
    missing = sorted(expected - plain)
    sizes = [f"{records[name].size_bytes:,} bytes" for name in missing]
    findings += [
        Finding(Wrong.MISSING_FILE, f"{place}/{name}", short(place), name, "", size) for name, size in zip(missing, sizes, strict=True)
    ]
    return findings, tuple(record for name, record in records.items() if name in plain)


def entries(directory: Path, below: str = "") -> Iterator[tuple[str, int]]:
    """The name below a directory, and the mode, of everything in it; links are not followed, and what cannot be listed is empty."""
    try:
        with os.scandir(directory / below) as listed:
            found = sorted(listed, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        name = f"{below}/{entry.name}" if below else entry.name
        try:
            mode = entry.stat(follow_symlinks=False).st_mode
        except FileNotFoundError:  # removed since
            continue
        yield name, mode
        if stat.S_ISDIR(mode):
            yield from entries(directory, name)


def _target(path: Path) -> str:
    return f"a link to {path.readlink()}"
