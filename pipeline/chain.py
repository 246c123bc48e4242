"""The chain of stages, declared once, as data. The flow walks it, the plan walks it, the tests walk it."""

from pipeline.characters import TOKENIZER_VERSION, UNICODE_VERSION
from pipeline.configuration import Configuration
from pipeline.stage import Step
from pipeline.stages import evaluate, pairs, phrases, snapshot, tokenize, train, vocabulary


def chain(configuration: Configuration) -> tuple[Step, ...]:
    """The steps of a run, in order. Each reads only artifacts of steps before it."""
    tokenizer = {"definition": TOKENIZER_VERSION, "unicode": UNICODE_VERSION}
    lowercase = configuration.tokenize.lowercase
    steps = [
        Step("snapshot", snapshot.STAGE, configuration.corpus, {}, {}),
        Step("tokenize", tokenize.STAGE, configuration.tokenize, configuration.tokenize.model_dump() | tokenizer, {}),
    ]
    text = "tokenize"
    for number, threshold in enumerate(configuration.phrases.thresholds, 1):
        one_pass = configuration.phrases.model_copy(update={"thresholds": (threshold,)})
        steps.append(Step(f"phrases-{number}", phrases.STAGE, one_pass, one_pass.model_dump(), {"text": text}))
        text = steps[-1].name
    scoring = configuration.evaluate.model_dump(include={"candidates", "method", "vectors"}) | {"lowercase": lowercase}
    steps += [
        Step("vocabulary", vocabulary.STAGE, configuration.vocabulary, configuration.vocabulary.model_dump(), {"text": text}),
        Step("pairs", pairs.STAGE, configuration.pairs, configuration.pairs.model_dump(), {"text": text, "vocabulary": "vocabulary"}),
        Step("train", train.STAGE, configuration.train, configuration.train.parameters(), {"pairs": "pairs", "vocabulary": "vocabulary"}),
        Step("evaluate", evaluate.STAGE, configuration.evaluate, scoring, {"vectors": "train"}),
    ]
    return tuple(steps)
