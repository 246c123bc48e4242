"""What one thing was made from and by, for comparing it with another: its artifacts, its files, its parameters."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.lineage.closure import closure
from pipeline.lineage.corpora import TOKENIZE, CorpusFile, recorded_files, tokenized_files
from pipeline.lineage.references import Referent, links_of
from pipeline.storage.artifact import Artifact, Link, Manifest
from pipeline.storage.store import Store

_SECTIONS = {"snapshot": "corpus", "ppmi_svd": "ppmi"}  # of the configuration, where they are not called like the stage
_MODELS = ("train", "glove", "ppmi_svd")  # stages that make vectors
_OF_TRAINING = ("dimensions", "seed")  # of every model they are in [train]
_OF_CORPUS = {"broken": "corpus.broken", "longest": "corpus.max_line_mb"}  # what of [corpus] tokenizing knows, by its name there
_REPEATED = ("lowercase",)  # what evaluation knows from [tokenize]


class Chain:
    """All that a referent was made from.

    Of a run, and of a version whose run is known, the record says which artifacts these are: what the run reused was first made from other
    artifacts with the same bytes. One of 1,000 tokenized shards is read then, because they all were made in the same way. Otherwise the
    manifests lead there.

    Raises
    ------
    StoreError
        When a manifest cannot be used.
    """

    def __init__(self, store: Store, referent: Referent) -> None:
        self.run = referent.run
        self.artifacts: tuple[Artifact, ...]
        self.outside: tuple[Link, ...]
        self.missing: tuple[Link, ...]
        if self.run:
            steps = [links_of(step) for step in self.run["steps"]]
            links = [link for some in steps for link in (some[:1] if some and some[0].stage == TOKENIZE else some)]
            self._take(store, [*links, *referent.links])
        else:
            below = closure(store, referent.links)
            self.artifacts, self.outside, self.missing = below.artifacts, below.outside, below.missing
        self.own = [artifact for link in referent.links if (artifact := self._among(link))]
        self.vectors = next((artifact for artifact in self.own if artifact.manifest.stage in _MODELS), None)
        self.evaluation = next((artifact for artifact in self.own if artifact.manifest.stage == "evaluate"), None)
        if self.evaluation is None and self.vectors:
            self.evaluation = _evaluation_of(store, self.vectors)
        elif self.evaluation and self.vectors is None:
            (link,) = self.evaluation.manifest.inputs["vectors"]
            self.vectors = self._among(link)

    def _take(self, store: Store, links: list[Link]) -> None:
        """These artifacts, and what they were made from outside of the store."""
        found, missing = {}, {}
        for link in links:
            artifact = store.described(link.stage, link.key)
            if artifact and artifact.manifest.digest == link.digest:
                found[link.stage, link.key] = artifact
            else:
                missing[link.stage, link.key] = link
        self.artifacts, self.missing = tuple(found.values()), tuple(missing.values())
        inputs = (link for artifact in self.artifacts for some in artifact.manifest.inputs.values() for link in some)
        self.outside = tuple(link for link in inputs if link.is_outside)

    def _among(self, link: Link) -> Artifact | None:
        same_key = (artifact for artifact in self.artifacts if artifact.manifest.key == link.key)
        return next((artifact for artifact in same_key if artifact.link == link), None)

    def files(self) -> list[CorpusFile]:
        """The files of the corpus."""
        return recorded_files(self.run) if self.run else tokenized_files(self.artifacts)

    def sections(self) -> set[str]:
        """The sections of the configuration that a step of the run was given."""
        return {"train", *(_SECTIONS.get(step["stage"], step["stage"]) for step in (self.run or {"steps": ()})["steps"])}

    def configured(self, sections: set[str]) -> dict[str, tuple[Any, ...]]:
        """What the run was asked to do in these sections; without the place of the corpus."""
        content = self.run["configuration"] if self.run else {}
        keys = [(section, key) for section in content if section in sections for key in content[section]]
        return {f"{section}.{key}": (content[section][key],) for section, key in keys if (section, key) != ("corpus", "paths")}

    def parameters(self) -> dict[str, tuple[Any, ...]]:
        """What the artifacts were made by: every key that some stage knew, with its values. Phrases have one for each pass."""
        found: dict[str, tuple[Any, ...]] = {}
        for artifact in self.artifacts:
            for name, value in _parameters(artifact.manifest):
                known = found.setdefault(name, ())
                if value not in known:
                    found[name] = (*known, value)
        return found

    def versions(self) -> dict[str, Any]:
        """The version of every stage."""
        versions: dict[str, set[int]] = {}
        for artifact in self.artifacts:
            versions.setdefault(artifact.manifest.stage, set()).add(artifact.manifest.stage_version)
        return {stage: ", ".join(map(str, sorted(found))) for stage, found in versions.items()}

    def other_inputs(self) -> dict[str, Any]:
        """Digests of what came from outside and is no text."""
        return {link.stage: link.digest for link in self.outside if not link.stage.startswith("source")}

    def environment(self) -> Mapping[str, str]:
        """That of the vectors, or of the last artifact."""
        last = self.vectors or (self.own[-1] if self.own else None)
        return last.manifest.environment if last else {}


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
