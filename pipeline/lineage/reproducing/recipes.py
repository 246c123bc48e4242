"""What has to be done to make artifacts again, from their manifests alone; whatever stands in the way is said before anything is built."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from pipeline.chain import stage_of
from pipeline.configuration import Section, Tokenize
from pipeline.configured_files import SHIPPED_TOKENIZERS, version_of_tokenizer
from pipeline.errors import ReproductionError, StoreError
from pipeline.lineage.reproducing.whereabouts import OutsideFile, Whereabouts, digest_of_link, outside_files
from pipeline.stage import Links, Stage, Step, Unit
from pipeline.storage.artifact import Artifact, Link, Manifest
from pipeline.tokenizing.tokenizers import new_tokenizer


@dataclass(frozen=True)
class Recipe:
    """How an artifact is made again."""

    artifact: Artifact  # as it is recorded
    step: Step
    unit: Unit  # whose outside links say where their bytes are now


@dataclass(frozen=True)
class Moved:
    """A file that is no longer where it was."""

    before: str
    now: str


def recipes(
    artifacts: Sequence[Artifact], whereabouts: Whereabouts, trusted: Collection[str] = ()
) -> tuple[tuple[Recipe, ...], tuple[Moved, ...]]:
    """The recipes of artifacts, in their order, and the files that were found in another place.

    Parameters
    ----------
    artifacts
        Inputs first.
    whereabouts
        Where to look for files.
    trusted
        Tokenizers of one's own (module:function) that may be called. A manifest may come from somebody else, and could name any function.

    Raises
    ------
    ReproductionError
        When this program makes them otherwise, or would call a function that is not trusted.
    InputError
        When files that they were made from are gone or have changed.
    ConfigurationError
        When a tokenizer cannot be made.
    StoreError
        When a manifest contradicts itself.
    """
    known = [(artifact, stage, _settings(artifact, stage)) for artifact in artifacts for stage in [_stage(artifact)]]
    outside = [link for artifact in artifacts for links in artifact.manifest.inputs.values() for link in links if link.is_outside]
    files = [file for _, _, settings in known for file in _tokenizer_file(settings, trusted)]
    wanted = list(dict.fromkeys([*outside_files(outside), *files]))
    places = whereabouts.find(wanted)
    found = []
    numbers: dict[str, int] = {}
    for artifact, stage, settings in known:
        step = _step(artifact.manifest, stage, _with_file(settings, places), numbers)
        links = {name: tuple(_moved(link, places) for link in some) for name, some in artifact.manifest.inputs.items()}
        found.append(Recipe(artifact, step, _unit(artifact, step, links)))
    for settings in dict.fromkeys(recipe.step.settings for recipe in found):
        if isinstance(settings, Tokenize) and (settings.function or settings.stop_words):
            new_tokenizer(settings)  # so that mistakes in them show now
    moved = (Moved(file.location, places[file.location, file.sha256]) for file in wanted)
    return tuple(found), tuple(one for one in moved if one.before != one.now)


def _stage(artifact: Artifact) -> Stage:
    manifest = artifact.manifest
    stage = stage_of(manifest)
    if stage is None:
        raise _of_another_program(artifact, "stage", manifest.stage, "no such stage")
    if stage.version != manifest.stage_version:
        raise _of_another_program(artifact, f"version of {stage.name}", manifest.stage_version, stage.version)
    for name, value in stage.definitions.items():
        if manifest.parameters.get(name) != value:
            raise _of_another_program(artifact, f"parameter {name} of {stage.name}", manifest.parameters.get(name), value)
    return stage


def _of_another_program(artifact: Artifact, what: str, then: object, now: object) -> ReproductionError:
    environment = artifact.manifest.environment
    commit, release = environment.get("commit", ""), environment.get("corpus2vec", "")
    program = f"git checkout {commit.removesuffix('-dirty')}" if commit else f"pip install corpus2vec=={release}"
    changed = ", with changes that were not committed" if commit.endswith("-dirty") else ""
    return ReproductionError(
        "This program makes it otherwise than the one that made it.",
        where=str(artifact.directory),
        got=f"{what}: {now} here",
        expected=f"{what}: {then}, as in corpus2vec {release or '(no version known)'}" + (f" at commit {commit}" if commit else ""),
        remedy=f"Reproduce it with that program ({program}{changed}; Python {environment.get('python', 'of that time')}).",
    )


def _settings(artifact: Artifact, stage: Stage) -> Section:
    try:
        return stage.settings.model_validate(artifact.manifest.settings)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise _of_another_program(artifact, f"setting {name or 'of the stage'}", first["input"], first["msg"]) from error


def _tokenizer_file(settings: Section, trusted: Collection[str]) -> list[OutsideFile]:
    """The file of a tokenizer, which is known by the settings, not by a link; the function is looked at here too."""
    if not isinstance(settings, Tokenize) or settings.function is None:
        return []
    if not is_own_function(settings.tokenizer):
        _check_version(settings)
    elif settings.tokenizer not in trusted:
        raise ReproductionError(
            "The text was tokenized by a function that is no part of this program.",
            where="tokenize.tokenizer in the manifests of tokenize",
            got=f"{settings.tokenizer}, version {settings.tokenizer_version!r}",
            expected="that you say that it may be called: a manifest from somebody else could name any function",
            remedy=f"If it is yours, in that version: --trust {settings.tokenizer}",
        )
    return [OutsideFile(settings.tokenizer_file, settings.tokenizer_sha256)] if settings.tokenizer_file else []


def is_own_function(tokenizer: str) -> bool:
    """Whether a tokenizer is a function that is not shipped."""
    module, colon, _ = tokenizer.partition(":")
    return bool(colon) and module not in SHIPPED_TOKENIZERS


def _check_version(settings: Tokenize) -> None:
    package = SHIPPED_TOKENIZERS[settings.function[0]] if settings.function else ""
    try:
        here = version_of_tokenizer(settings.tokenizer)
    except ValueError as error:
        here = str(error)
    if here != settings.tokenizer_version:
        version = settings.tokenizer_version.rpartition(" ")[2]
        raise ReproductionError(
            "The text was tokenized by another version of a library.",
            where="tokenize.tokenizer_version in the manifests of tokenize",
            got=here,
            expected=settings.tokenizer_version,
            remedy=f"pip install {package}=={version}",
        )


def _with_file(settings: Section, places: dict[tuple[str, str], str]) -> Section:
    if not isinstance(settings, Tokenize) or not settings.tokenizer_file:
        return settings
    return settings.model_copy(update={"tokenizer_file": places[settings.tokenizer_file, settings.tokenizer_sha256]})


def _step(manifest: Manifest, stage: Stage, settings: Section, numbers: dict[str, int]) -> Step:
    """The step, which is called as its stage is; passes of phrases are numbered, as the chain does."""
    name = stage.name
    if name == "phrases":
        numbers[name] = numbers.get(name, 0) + 1
        name = f"{name}-{numbers[name]}"
    return Step(name, stage, settings, manifest.parameters, {})


def _moved(link: Link, places: dict[tuple[str, str], str]) -> Link:
    """A link from outside with the place where its bytes are now."""
    if not link.is_outside:
        return link
    location = str(link.origin["location"])
    return replace(link, origin={**link.origin, "location": places.get((location, digest_of_link(link)), location)})


def _unit(artifact: Artifact, step: Step, links: Links) -> Unit:
    manifest = artifact.manifest
    if step.key(Unit(links)) != manifest.key:
        raise StoreError(
            "An artifact's key is not that of its stage, parameters and inputs.",
            where=str(artifact.directory),
            got=manifest.key,
            expected=step.key(Unit(links)),
            remedy="corpus2vec verify says what else is wrong; a manifest that the program wrote has the right key.",
        )
    return Unit(links)
