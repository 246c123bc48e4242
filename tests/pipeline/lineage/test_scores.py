from dataclasses import replace

import pyarrow as pa
import pytest

from pipeline.choices import AnalogyMethod, VectorsUsed
from pipeline.lineage.scores import RHO, ScoreChange, changes, incomparable, scores_of, whole_sets
from pipeline.run import Run, evaluate_model
from pipeline.scoring.evaluation import wilson_interval
from pipeline.storage.artifact import Artifact
from pipeline.storage.schemas import SECTIONS, SECTIONS_FILE, SIMILARITY, SIMILARITY_FILE
from pipeline.storage.store import Store
from pipeline.storage.tables import write_table
from tests.pipeline.lineage.stores import WORDS, finished_run

ROWS = len(WORDS) - 3


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> tuple[Store, Run, Artifact]:
    directory = tmp_path_factory.mktemp("scores")
    questions = [" ".join(WORDS[start : start + 4]) for start in range(ROWS)]
    (directory / "asked.txt").write_text("\n".join([": meaning", *questions, "king queen nobody knows", ": gram", questions[0]]))
    store, run = finished_run(directory, evaluate__analogies=(str(directory / "asked.txt"),))
    return store, run, run.made["evaluate"][0]


def test_scores_of__says_what_the_manifest_says(scored) -> None:
    _, _, evaluation = scored
    whole = {score.set: score for score in whole_sets(scores_of(evaluation))}
    assert {name: score.value for name, score in whole.items() if score.value is not None} == dict(evaluation.manifest.measures)
    assert (whole["asked"].n_asked, whole["asked"].n_all, whole["asked"].is_share) == (ROWS + 1, ROWS + 2, True)
    assert whole["asked"].coverage == (ROWS + 1) / (ROWS + 2)
    assert (whole["wordsim353"].section, whole["wordsim353"].is_share, whole["wordsim353"].n_all) == (RHO, False, 353)


def test_changes__of_an_evaluation_against_itself_are_nothing(scored) -> None:
    _, _, evaluation = scored
    found = changes(evaluation, evaluation)
    assert [(one.set, one.section) for one in found] == [(score.set, score.section) for score in scores_of(evaluation)]
    assert {one.change for one in found if one.before and one.before.value is not None} == {0}
    assert not any(one.is_clear or one.incomparable for one in found)


def test_changes__have_the_interval_of_newcombe(scored, tmp_path) -> None:
    # The example of Newcombe 1998: 56 of 70 against 48 of 80, by method 10 from 0.0524 to 0.3339.
    _, _, evaluation = scored
    sides = []
    for n_correct, n_asked in ((48, 80), (56, 70)):
        row = ("asked", "total", n_asked, n_asked, n_correct, n_correct / n_asked, *wilson_interval(n_correct, n_asked))
        sides.append(with_rows(evaluation, tmp_path / f"{n_correct}", row))
    (found,) = changes(*sides)
    assert found.change == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert found.is_clear


def with_rows(evaluation: Artifact, directory, *rows: tuple) -> Artifact:
    """The evaluation with other scores in its tables."""
    sections = pa.Table.from_pylist([dict(zip(SECTIONS.names, row, strict=True)) for row in rows], schema=SECTIONS)
    write_table(directory, SECTIONS_FILE, SECTIONS, sections)
    write_table(directory, SIMILARITY_FILE, SIMILARITY, SIMILARITY.empty_table())
    return Artifact(directory, evaluation.manifest)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"candidates": 5}, "candidates 30000 and 5"),
        ({"method": AnalogyMethod.COS_MUL}, "method 3cosadd and 3cosmul"),
        ({"analogies": ()}, "only the first"),
        ({"vectors": VectorsUsed.OUTPUT}, ""),
    ],
)
def test_incomparable__says_why(changed: dict, reason: str, scored) -> None:
    store, run, evaluation = scored
    asked = run.configuration.evaluate.model_copy(update=changed)
    other = evaluate_model(store, run.made["train"][0], run.configuration.model_copy(update={"evaluate": asked}))
    assert reason in incomparable(evaluation, other, "asked")
    assert bool(reason) == bool(incomparable(evaluation, other, "asked"))
    assert incomparable(evaluation, other, "wordsim353") == ""  # whichever way analogies were asked
    of_set: list[ScoreChange] = [one for one in changes(evaluation, other) if one.set == "asked"]
    assert all((one.change is None) == bool(reason) for one in of_set)
    assert {one.incomparable for one in of_set} == {incomparable(evaluation, other, "asked")}


def test_incomparable__knows_a_set_by_its_bytes(scored) -> None:
    _, _, evaluation = scored
    links = tuple(replace(link, digest="0" * 64) for link in evaluation.manifest.inputs["sets"])
    other = replace(evaluation, manifest=replace(evaluation.manifest, inputs={**evaluation.manifest.inputs, "sets": links}))
    assert incomparable(evaluation, other, "asked") == "its file has changed"
