"""A model card as Markdown. Whatever comes from a corpus, a path or a person is escaped: it is neither Markdown nor HTML."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow.compute as pc

from flows.report import score_rows
from flows.tables import readable_bytes
from flows.terminal import visible
from flows.value_text import visible_value
from pipeline.configuration import Configuration
from pipeline.errors import StoreError
from pipeline.lineage.card import Card, Loss
from pipeline.storage.artifact import Artifact
from pipeline.storage.schemas import VOCABULARY, VOCABULARY_FILE
from pipeline.storage.tables import read_table

FEW_TIMES = 50  # a word that was seen less often has a vector that another seed would change much
FILES_LISTED = 50
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\n": " "}
_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()#+!|~$])")
_STEPS = ("tokenize", "phrases", "vocabulary", "pairs", "cooccurrence", "train", "glove", "ppmi_svd", "evaluate")


def markdown(card: Card) -> str:
    """The whole card."""
    parts = [
        f"# {escaped(card.name)}",
        _summary(card),
        "## Data",
        *_data(card),
        "## How it was made",
        *_steps(card),
        "## Scores",
        *_scores(card),
        "## Limits",
        _list(_limits(card)),
        "## Made on",
        _table(
            ("what", "version"), [[escaped(name), escaped(value)] for name, value in card.vectors.manifest.environment.items() if value]
        ),
        "## To make it again",
        *_again(card),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def escaped(text: str) -> str:
    """Text that stays text in Markdown, and in the HTML that is made of it; addresses do not become links."""
    marked = _PUNCTUATION.sub(r"\\\1", visible(text))
    for character, entity in _ENTITIES.items():
        marked = marked.replace(character, entity)
    return marked.replace("://", "&#58;//").replace("www.", "www&#46;")


def _summary(card: Card) -> str:
    manifest = card.vectors.manifest
    model = str(manifest.parameters.get("model", manifest.stage))
    loss = f" with {escaped(str(manifest.parameters['loss']))}" if "loss" in manifest.parameters else ""
    words = f"{manifest.measures['words']:,} words" if "words" in manifest.measures else "words"
    n_tokens, n_bytes = sum(file.n_tokens or 0 for file in card.files), sum(file.size_bytes or 0 for file in card.files)
    files = "1 file" if len(card.files) == 1 else f"{len(card.files):,} files"
    return (
        f"Vectors of {words} in {manifest.parameters.get('dimensions', '?')} dimensions, trained by {escaped(model)}{loss} on {n_tokens:,} "
        f"tokens of text ({files}, {readable_bytes(n_bytes)}), {escaped(manifest.created[:10])}. "
        f"Their digest is `{_hexadecimal(manifest.digest)}`."
    )


def _data(card: Card) -> Iterable[str]:
    yield f"Licence: {escaped(card.licence) if card.licence else 'not stated'}"
    rows = [
        [escaped(file.location), _number(file.size_bytes), _number(file.n_tokens), f"`{_hexadecimal(file.sha256)}`"]
        for file in card.files[:FILES_LISTED]
    ]
    yield _table(("file", "bytes", "tokens", "SHA-256"), rows, right=(1, 2))
    if len(card.files) > len(rows):
        yield f"And {len(card.files) - len(rows):,} more files, which `corpus2vec lineage` lists."
    if card.losses:
        yield "Left out:"
        yield _list(_loss(loss) for loss in card.losses)


def _loss(loss: Loss) -> str:
    reasons = ", ".join(f"{n:,} {escaped(reason)}" for reason, n in loss.dropped.items())
    return f"{escaped(loss.stage)}, of {loss.n_in:,} {escaped(loss.unit)}: {reasons}"


def _steps(card: Card) -> Iterable[str]:
    rows = []
    for stage in _STEPS:
        artifacts = card.artifacts(stage)
        is_many = stage == "tokenize" and len(artifacts) > 1  # shards of one text, which were all read alike
        for artifact in artifacts[:1] if is_many else artifacts:
            named = f"{len(artifacts):,} artifacts" if is_many else f"`{_hexadecimal(artifact.manifest.key)[:12]}`"
            parameters = ", ".join(f"{name} = {visible_value(value)}" for name, value in artifact.manifest.parameters.items())
            rows.append([escaped(stage), str(artifact.manifest.stage_version), named, escaped(parameters)])
    yield _table(("step", "version", "artifact", "parameters"), rows)
    lost = [f"{escaped(one.link.stage)} {_hexadecimal(one.link.key)[:12]} ({one.state})" for one in card.ancestry.problems]
    if lost:
        yield f"Not as they were when this was made: {', '.join(lost[:10])}{' and others' if len(lost) > 10 else ''}."


def _scores(card: Card) -> Iterable[str]:
    if card.evaluation is None:
        yield "These vectors were not scored, or their scores are no longer in the store."
        return
    try:
        rows = score_rows(card.evaluation)
    except StoreError:  # what remains is in the manifest
        unknown = {"95 % interval": "", "asked": ""}
        rows = [{"set": name, "section": "", "score": f"{value:.3f}", **unknown} for name, value in _measures(card)]
    names = tuple(rows[0]) if rows else ()
    yield _table(names, [[escaped(str(value)) for value in row.values()] for row in rows], right=(2, 4))
    parameters = card.evaluation.manifest.parameters
    yield (
        f"An analogy is right when the nearest of the {int(parameters.get('candidates', 0)):,} most frequent words is the answer; "
        "rho is the rank correlation with what people say. Only what the vocabulary covers is asked."
    )


def _measures(card: Card) -> Iterable[tuple[str, float]]:
    return card.evaluation.manifest.measures.items() if card.evaluation else ()


def _limits(card: Card) -> Iterable[str]:
    """What vectors of this kind cannot do, with the figures of these."""
    for artifact in card.artifacts("vocabulary"):
        yield _unknown_words(artifact)
        if rare := _rare_words(artifact):
            yield rare
    yield "A word has one vector, whatever it means in a sentence: senses are mixed in proportion to the text."
    yield (
        "They repeat what the text says of people, groups and places, its prejudices too. Do not let them decide about people; "
        "look at neighbours of names and groups before they are used in anything that does."
    )
    yield "They know nothing that is not in this text, and nothing that happened after it was written."
    for artifact in card.artifacts("tokenize")[:1]:
        if artifact.manifest.parameters.get("lowercase"):
            yield "All text was lower-cased: names and common words that differ only in case share a vector."
    for name, n_asked, n_all in _coverage(card.evaluation):
        if n_asked < n_all:
            share = f"{n_asked:,} of {n_all:,} could be asked ({n_asked / n_all:.0%})"
            yield f"Of the {escaped(name)} {share}; of the others the scores say nothing."
    yield "The scores are of analogies and of similarity. How good the vectors are in a task, only that task can tell."


def _unknown_words(vocabulary: Artifact) -> str:
    least = int(vocabulary.manifest.parameters["min_count"])
    words = f"{vocabulary.manifest.measures['words']:,}"
    share = ""
    for tally in vocabulary.manifest.tallies:
        if tally.unit == "tokens" and tally.n_in:
            share = f": {1 - tally.n_kept / tally.n_in:.1%} of this text's tokens, and more of other text's"
    return f"Other words than these {words} have no vector, such as those that were seen fewer than {least:,} times{share}."


def _rare_words(vocabulary: Artifact) -> str:
    try:
        counts = read_table(vocabulary.path(VOCABULARY_FILE), VOCABULARY)["count"]
    except StoreError:
        return ""
    n_rare = pc.sum(pc.less(counts, FEW_TIMES)).as_py() or 0
    if not n_rare:
        return ""
    return f"{n_rare:,} of the {len(counts):,} words were seen fewer than {FEW_TIMES} times: their vectors are noisy."


def _coverage(evaluation: Artifact | None) -> Iterable[tuple[str, int, int]]:
    for tally in evaluation.manifest.tallies if evaluation else ():
        yield tally.unit, tally.n_kept, tally.n_in


def _again(card: Card) -> Iterable[str]:
    key = _hexadecimal(card.vectors.manifest.key)[:12]
    if card.is_reproducible:
        yield (
            "The same text, parameters and seeds give the same bytes on the same type of processor with the same packages. This makes it "
            "again from the manifests, compares every byte, and says what differs:"
        )
    else:
        yield "It was trained with mode = shared, threads changing one model: it can be made again, but not to the same bytes."
    commands = {"reproduce": "", "lineage": "   what it was made from", "verify": "    whether it is still so"}
    lines = [f"corpus2vec {command} {key}{what}" for command, what in commands.items()]
    yield _fenced("\n".join(lines), "")
    if card.configuration is not None:
        yield "The configuration, where it is not the default:"
        yield _fenced(_toml(card.configuration), "toml")


def _toml(configuration: Mapping[str, Any]) -> str:
    """What of a configuration is not the default; where results were kept, and on how many threads, is nobody's business."""
    defaults = Configuration().model_dump(mode="json")
    lines = [f"name = {_toml_value(configuration.get('name', ''))}"]
    for section, values in configuration.items():
        if not isinstance(values, dict) or section in ("store", "cluster"):
            continue
        known = defaults.get(section, {})
        changed = [f"{name} = {_toml_value(value)}" for name, value in values.items() if value != known.get(name)]
        lines += ["", f"[{section}]", *changed] if changed else []
    return "\n".join(lines)


def _toml_value(value: Any) -> str:
    return visible(json.dumps(value, ensure_ascii=False))


def _fenced(text: str, language: str) -> str:
    """A block of code that nothing in it can end."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{visible(text, lines=True)}\n{fence}"


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    if not rows:
        return ""
    borders = ["---:" if number in right else "---" for number in range(len(names))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (names, borders, *rows))


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"* {line}" for line in lines)


def _hexadecimal(text: str) -> str:
    """A digest between backticks: nothing else may stand there."""
    return re.sub("[^0-9a-f]", "", text)


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
