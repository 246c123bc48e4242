"""What differs between two models, runs or artifacts: what they were made from and how, how they score, and how far the vectors moved."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc

from pipeline.lineage.closure import Closure, closure
from pipeline.lineage.corpora import FileChange, changed_files, files_of
from pipeline.lineage.movement import N_CANDIDATES, N_WORDS, Movement, movement
from pipeline.lineage.references import Referent, links_of
from pipeline.lineage.scores import ScoreChange, changes
from pipeline.models import side_of
from pipeline.storage.artifact import Artifact, Link, Manifest
from pipeline.storage.schemas import VECTORS_FILE
from pipeline.storage.store import Store
from pipeline.vectors import USUAL, read_vectors, read_words

_SECTIONS = {"snapshot": "corpus", "ppmi_svd": "ppmi"}  # of the configuration, where they are not called like the stage
_MODELS = ("train", "glove", "ppmi_svd")  # stages that make vectors
_OF_TRAINING = ("dimensions", "seed")  # of every model they are in [train]
_OF_CORPUS = {"broken": "corpus.broken", "longest": "corpus.max_line_mb"}  # what of [corpus] tokenizing knows, by its name there
_REPEATED = ("lowercase",)  # what evaluation knows from [tokenize]
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
    n_tokens: tuple[int, int]  # in these files
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
    once = _Remembering(store.root)
    sides = [_Side(once, referent) for referent in (before, after)]
    old, new = sides
    files = [files_of(side.closure, side.referent.run) for side in sides]
    same_bytes = [link.digest for link in before.links] == [link.digest for link in after.links]
    vectors = None if same_bytes else _other_vectors(old.vectors, new.vectors)
    return Difference(
        before=before.name,
        after=after.name,
        same_bytes=same_bytes,
        parameters=tuple(_parameter_changes(old, new)),
        stages=tuple(_changed(old.versions(), new.versions())),
        n_files=(len(files[0]), len(files[1])),
        n_tokens=(sum(file.n_tokens for file in files[0]), sum(file.n_tokens for file in files[1])),
        files=changed_files(*files),
        other_inputs=tuple(_changed(old.other_inputs(), new.other_inputs())),
        environment=tuple(_changed(old.environment(), new.environment())),
        scores=() if same_bytes or old.evaluation is None or new.evaluation is None else tuple(changes(old.evaluation, new.evaluation)),
        vocabulary=_vocabulary(*vectors, n_shown) if vectors else None,
        movement=moved(*vectors, n_shown, n_words) if vectors else None,
        missing=tuple(dict.fromkeys(f"{link.stage}/{link.key[:12]}" for side in sides for link in side.closure.missing)),
    )


@dataclass(frozen=True)
class _Remembering(Store):
    """A store whose manifests are read once, at 0.2 ms each: two models of a large corpus have most of its shards in common."""

    read: dict[tuple[str, str], Artifact | None] = field(default_factory=dict)

    def described(self, stage: str, key: str) -> Artifact | None:
        """As that of any store."""
        if (stage, key) not in self.read:
            self.read[stage, key] = super().described(stage, key)
        return self.read[stage, key]


class _Side:
    """One of the two, with all that it was made from."""

    def __init__(self, store: Store, referent: Referent) -> None:
        self.referent = referent
        # What a run reused was first made from other artifacts with the same bytes: its record knows those that it saw itself.
        steps = referent.run["steps"] if referent.run else ()
        self.closure: Closure = closure(store, [*(link for step in steps for link in links_of(step)), *referent.links])
        self._own = [artifact for link in referent.links if (artifact := _among(self.closure, link))]
        self.vectors = next((artifact for artifact in self._own if artifact.manifest.stage in _MODELS), None)
        self.evaluation = next((artifact for artifact in self._own if artifact.manifest.stage == "evaluate"), None)
        if self.evaluation is None and self.vectors:
            self.evaluation = _evaluation_of(store, self.vectors)
        elif self.evaluation and self.vectors is None:
            (link,) = self.evaluation.manifest.inputs["vectors"]
            self.vectors = _among(self.closure, link)

    def sections(self) -> set[str]:
        """The sections of the configuration that a step of the run was given."""
        return {"train", *(_SECTIONS.get(step["stage"], step["stage"]) for step in (self.referent.run or {"steps": ()})["steps"])}

    def configured(self, sections: set[str]) -> dict[str, tuple[Any, ...]]:
        """What the run was asked to do in these sections; without the place of the corpus."""
        content = self.referent.run["configuration"] if self.referent.run else {}
        keys = [(section, key) for section in content if section in sections for key in content[section]]
        return {f"{section}.{key}": (content[section][key],) for section, key in keys if (section, key) != ("corpus", "paths")}

    def parameters(self) -> dict[str, tuple[Any, ...]]:
        """What the artifacts were made by: every key that some stage knew, with its values. Phrases have one for each pass."""
        found: dict[str, tuple[Any, ...]] = {}
        for artifact in self.closure.artifacts:
            for name, value in _parameters(artifact.manifest):
                known = found.setdefault(name, ())
                if value not in known:
                    found[name] = (*known, value)
        return found

    def versions(self) -> dict[str, Any]:
        """The version of every stage."""
        versions: dict[str, set[int]] = {}
        for artifact in self.closure.artifacts:
            versions.setdefault(artifact.manifest.stage, set()).add(artifact.manifest.stage_version)
        return {stage: ", ".join(map(str, sorted(found))) for stage, found in versions.items()}

    def other_inputs(self) -> dict[str, Any]:
        """Digests of what came from outside and is no text."""
        return {link.stage: link.digest for link in self.closure.outside if not link.stage.startswith("source")}

    def environment(self) -> Mapping[str, str]:
        """That of the vectors, or of the last artifact."""
        last = self.vectors or (self._own[-1] if self._own else None)
        return last.manifest.environment if last else {}


def _among(found: Closure, link: Link) -> Artifact | None:
    return next((artifact for artifact in found.artifacts if artifact.link == link), None)


def _evaluation_of(store: Store, vectors: Artifact) -> Artifact | None:
    """The newest evaluation of these vectors."""
    return next((one for one in store.artifacts("evaluate") if vectors.link in one.manifest.inputs["vectors"]), None)


def _parameters(manifest: Manifest) -> Iterator[tuple[str, Any]]:
    """The parameters of an artifact by their keys in the configuration.

    A setting is as somebody wrote it. What the key of the artifact knows besides is what the setting led to (a rate of 0 to that of the
    model), or what nobody can set.
    """
    section = _SECTIONS.get(manifest.stage, manifest.stage)
    if manifest.stage in _MODELS:
        yield "train.model", manifest.settings.get("model", manifest.stage)
    for name, value in {**manifest.parameters, **manifest.settings}.items():
        if manifest.stage == "tokenize" and name in _OF_CORPUS:
            yield _OF_CORPUS[name], value / 1e6 if name == "longest" else value
        elif manifest.stage in _MODELS and name in _OF_TRAINING:
            yield f"train.{name}", value
        elif not (manifest.stage == "evaluate" and name in _REPEATED) and (section, name) != ("train", "model"):
            yield f"{section}.{name}", value


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Changed]:
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name, _MISSING), after.get(name, _MISSING)
        if old != new:
            yield Changed(name, _alone(old), _alone(new))


def _parameter_changes(before: _Side, after: _Side) -> Iterator[Changed]:
    """By what two runs were asked to do, as far as a step of either knew it; or by what the artifacts say, where a run is not known."""
    if before.referent.run and after.referent.run:
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
