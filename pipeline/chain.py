"""The chain of stages, declared once, as data. The flow walks it, the plan walks it, the tests walk it."""

from collections.abc import Iterator
from typing import Any

from pipeline.choices import Model
from pipeline.configuration import Configuration, GloveSettings, Phrases, PpmiSettings
from pipeline.declarations import (
    COOCCURRENCE,
    EVALUATE,
    FROZEN,
    GLOVE,
    PAIRS,
    PHRASES,
    PPMI_SVD,
    SNAPSHOT,
    TOKENIZE,
    TRAIN,
    VOCABULARY,
    frozen_phrases,
)
from pipeline.stage import Stage, Step
from pipeline.storage.artifact import Manifest

STAGES = (SNAPSHOT, TOKENIZE, PHRASES, VOCABULARY, PAIRS, COOCCURRENCE, TRAIN, GLOVE, PPMI_SVD, EVALUATE)


def chain(configuration: Configuration) -> tuple[Step, ...]:
    """The steps of a run, in order. Each reads only artifacts of steps before it."""
    steps = [
        Step("snapshot", SNAPSHOT, configuration.corpus, {}, {}),
        Step(
            "tokenize",
            TOKENIZE,
            configuration.tokenize,
            {**configuration.tokenize.parameters(), **TOKENIZE.definitions, **configuration.corpus.reading()},
            {},
        ),
    ]
    text = "tokenize"
    for step in _phrases(configuration.phrases, text):
        steps.append(step)
        text = step.name
    steps.append(Step("vocabulary", VOCABULARY, configuration.vocabulary, configuration.vocabulary.model_dump(), {"text": text}))
    return (*steps, *_training(configuration, text), _evaluation(configuration))


def stage_of(manifest: Manifest) -> Stage | None:
    """The stage that makes such artifacts, if there is (still) one of this name; its version may be another."""
    if manifest.stage == PHRASES.name and FROZEN in manifest.inputs:
        return frozen_phrases(0)
    return next((stage for stage in STAGES if stage.name == manifest.stage), None)


def _phrases(settings: Phrases, text: str) -> Iterator[Step]:
    """One step for each pass, by its threshold or by the table that is given for it."""
    passes: list[tuple[Stage, Phrases, dict[str, Any]]] = [
        (frozen_phrases(number), settings, {"delimiter": settings.delimiter}) for number in range(len(settings.frozen))
    ]
    for threshold in settings.thresholds:
        one_pass = settings.model_copy(update={"thresholds": (threshold,)})
        passes.append((PHRASES, one_pass, one_pass.model_dump(exclude={"frozen"})))
    for number, (stage, one_pass, parameters) in enumerate(passes, 1):
        yield Step(f"phrases-{number}", stage, one_pass, parameters, {"text": text})
        text = f"phrases-{number}"


def _training(configuration: Configuration, text: str) -> tuple[Step, Step]:
    """What a model reads, and the step `train`, which is another stage for models that read counts."""
    settings, encoded = configuration.train, {"text": text, "vocabulary": "vocabulary"}
    if settings.predicts:
        reads = {"pairs": "pairs", "vocabulary": "vocabulary"}
        return (
            Step("pairs", PAIRS, configuration.pairs, configuration.pairs.model_dump(), encoded),
            Step("train", TRAIN, settings, settings.parameters(), reads),
        )
    common = {"dimensions": settings.dimensions, "seed": settings.seed}
    of_model = (
        GloveSettings(**configuration.glove.model_dump(), **common)
        if settings.model is Model.GLOVE
        else PpmiSettings(**configuration.ppmi.model_dump(), **common)
    )
    stage = GLOVE if settings.model is Model.GLOVE else PPMI_SVD
    reads = {"cooccurrences": "cooccurrence", "vocabulary": "vocabulary"}
    return (
        Step("cooccurrence", COOCCURRENCE, configuration.cooccurrence, configuration.cooccurrence.model_dump(), encoded),
        Step("train", stage, of_model, of_model.model_dump(), reads),
    )


def _evaluation(configuration: Configuration) -> Step:
    scoring = configuration.evaluate.model_dump(include={"candidates", "method", "vectors"})
    return Step(
        "evaluate", EVALUATE, configuration.evaluate, scoring | {"lowercase": configuration.tokenize.lowercase}, {"vectors": "train"}
    )
