"""What differs between two models, runs or artifacts: what they were made from and how, how they score, and how far the vectors moved."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from pipeline.lineage.comparing.chains import Chain
from pipeline.lineage.comparing.movement import N_CANDIDATES, N_WORDS, Movement, movement
from pipeline.lineage.corpora import FileChange, changed_files, counted
from pipeline.lineage.references import Referent
from pipeline.lineage.scores import ScoreChange, changes
from pipeline.sides import side_of
from pipeline.storage.artifact import Artifact
from pipeline.storage.schemas import VECTORS_FILE
from pipeline.storage.store import Store
from pipeline.vectors import USUAL, read_vectors, read_words

_MISSING = object()


@dataclass(frozen=True)
class Changed:
    """Something that has another value."""

    name: str
    before: Any  # None: it is not there on this side
    after: Any


@dataclass(frozen=True)
class VocabularyChange:
    """Words that came and went."""

    n_before: int
    n_after: int
    n_common: int
    new: tuple[str, ...]  # the most frequent of them
    gone: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """Two things side by side."""

    before: str  # their names in full
    after: str
    same_bytes: bool  # their own; then scores, vocabulary and movement are left out
    parameters: tuple[Changed, ...]  # by the key of the configuration: section.key
    stages: tuple[Changed, ...]  # versions of what computed
    n_files: tuple[int, int]  # of the corpus
    files: tuple[FileChange, ...]
    other_inputs: tuple[Changed, ...]  # evaluation sets, first vectors, tables of phrases, by digest
    environment: tuple[Changed, ...]  # in which the last step of each was computed
    scores: tuple[ScoreChange, ...]
    vocabulary: VocabularyChange | None
    movement: Movement | None
    missing: tuple[str, ...]  # artifacts of either side that are not in the store: what they would say is not in here


def difference(store: Store, before: Referent, after: Referent, n_shown: int = 10, n_words: int = N_WORDS) -> Difference:
    """Compare two models, runs or artifacts; `n_shown` of the words that came, went and moved most, of `n_words` compared.

    Raises
    ------
    StoreError
        When a manifest or a file that is needed cannot be read.
    """
    old, new = Chain(store, before), Chain(store, after)
    files = old.files(), new.files()
    same_bytes = [link.digest for link in before.links] == [link.digest for link in after.links]
    vectors = None if same_bytes else _other_vectors(old.vectors, new.vectors)
    return Difference(
        before=before.name,
        after=after.name,
        same_bytes=same_bytes,
        parameters=tuple(_parameter_changes(old, new)),
        stages=tuple(_changed(*_versions(old, new))),
        n_files=(len(files[0]), len(files[1])),
        files=tuple(counted(store, changed_files(*files))),
        other_inputs=tuple(_changed(old.other_inputs(), new.other_inputs())),
        environment=tuple(_changed(old.environment(), new.environment())),
        scores=() if same_bytes or old.evaluation is None or new.evaluation is None else tuple(changes(old.evaluation, new.evaluation)),
        vocabulary=_vocabulary(*vectors, n_shown) if vectors else None,
        movement=moved(*vectors, n_shown, n_words) if vectors else None,
        missing=tuple(dict.fromkeys(f"{link.stage}/{link.key[:12]}" for side in (old, new) for link in side.missing)),
    )


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Changed]:
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name, _MISSING), after.get(name, _MISSING)
        if old != new:
            yield Changed(name, _alone(old), _alone(new))


def _parameter_changes(before: Chain, after: Chain) -> Iterator[Changed]:
    """By what two runs were asked to do, as far as a step of either knew it; or by what the artifacts say, where a run is not known."""
    if before.run and after.run:
        sections = before.sections() | after.sections()
        yield from _changed(before.configured(sections), after.configured(sections))
        return
    old, new = before.parameters(), after.parameters()
    same_model = old.get("train.model") == new.get("train.model")
    known = [{name.partition(".")[0] for name in some} for some in (old, new)]
    for changed in _changed(old, new):
        # What only one side has because the other has another model, or not that stage at all, says nothing; but phrases come and go.
        section = changed.name.partition(".")[0]
        everywhere = changed.name in old and changed.name in new
        if everywhere or section == "phrases" or (same_model and all(section in some for some in known)):
            yield changed


def _versions(before: Chain, after: Chain) -> tuple[dict[str, Any], dict[str, Any]]:
    """Without the snapshot where only one side has it: nothing reads it, so only runs know it."""
    old, new = before.versions(), after.versions()
    if "snapshot" not in old or "snapshot" not in new:
        old.pop("snapshot", None)
        new.pop("snapshot", None)
    return old, new


def _alone(value: Any) -> Any:
    if value is _MISSING:
        return None
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


def _other_vectors(before: Artifact | None, after: Artifact | None) -> tuple[Artifact, Artifact] | None:
    """Both, when both are there and their bytes differ."""
    if before is None or after is None or before.manifest.digest == after.manifest.digest:
        return None
    return before, after


def moved(before: Artifact, after: Artifact, n_shown: int, n_words: int = N_WORDS) -> Movement | None:
    """How far the vectors that users mean moved between two artifacts; None when these have not three words in common.

    Only the most frequent words of each are read, twice as many as are looked at: two vocabularies have enough of them in common.

    Raises
    ------
    StoreError
        When they cannot be read, or hold NaN or an infinity.
    """
    n_read = 2 * max(N_CANDIDATES, n_words)
    old, new = (read_vectors(one.path(VECTORS_FILE), side_of(one, USUAL), n_read) for one in (before, after))
    return movement(old, new, n_shown, n_words)


def _vocabulary(before: Artifact, after: Artifact, n_shown: int) -> VocabularyChange:
    words = [read_words(artifact.path(VECTORS_FILE)) for artifact in (before, after)]
    gone, new = (some.filter(pc.invert(pc.is_in(some, value_set=others))) for some, others in (words, reversed(words)))
    named = [tuple(some.slice(0, n_shown).to_pylist()) for some in (new, gone)]
    return VocabularyChange(len(words[0]), len(words[1]), len(words[0]) - len(gone), *named)
