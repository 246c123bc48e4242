"""The model card as Markdown: what stands in it, and that nothing in it becomes markup."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.card_text import escaped, markdown
from flows.report import score_rows
from pipeline.lineage.card import Card, card
from pipeline.lineage.references import resolve
from tests.pipeline.lineage.stores import text
from tests.pipeline.small_runs import configured, walk

EVIL = "[a](javascript:x) `<script>` | ```\n# <img src=x> www.example.com \x1b[31m.txt"
DELIMITER = "|<b>*_"


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> Card:
    directory = tmp_path_factory.mktemp("card")
    (directory / EVIL.replace("/", "")).write_text(text(3, 400), encoding="utf-8")
    licence = "<script>alert(1)</script> http://example.com ~~~"
    configuration = configured(directory, phrases__thresholds=[1.0], phrases__delimiter=DELIMITER, corpus__licence=licence)
    run = walk(configuration, directory / "store")
    run.finish("a test")
    return card(run.store, resolve(run.store, "vectors"))


def without_code(content: str) -> str:
    """A card without its blocks of code, in which nothing is markup, and its spans of digests."""
    content = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", content, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"(?<!\\)`[0-9a-f]*`", "", content)


def test_markdown__has_every_part_with_its_figures(found) -> None:
    content = markdown(found)
    headings = ["Data", "How it was made", "Scores", "Limits", "Made on", "To make it again"]
    assert re.findall(r"^## (.*)$", content, re.MULTILINE) == headings
    assert re.findall(r"^# (.*)$", without_code(content), re.MULTILINE) == ["vectors@1"]
    for file in found.files:
        assert f"| {file.size_bytes:,} | {file.n_tokens:,} | `{file.sha256}` |" in content
    for row in score_rows(found.evaluation):
        assert f"| {row['score']} | {row['95 % interval']} | {row['asked']} |" in content
    for stage in ("tokenize", "phrases", "vocabulary", "pairs", "train", "evaluate"):
        (artifact,) = found.artifacts(stage)
        assert f"| {stage} | {artifact.manifest.stage_version} | `{artifact.manifest.key[:12]}` |" in content
    assert found.vectors.manifest.digest in content
    assert "same bytes on the same type of processor" in content


def test_markdown__keeps_markup_of_names_and_parameters_text(found) -> None:
    class Tags(HTMLParser):
        def handle_starttag(self, tag, attrs) -> None:
            raise AssertionError(tag)

    rest = without_code(markdown(found))
    Tags().feed(rest)
    assert "<" not in rest
    assert not re.search(r"(?<!\\)(\[|\]\(|`|\|.*<b)", rest.replace("\\\\", ""))
    assert not re.search(r"https?://|www\.", rest)
    assert "\x1b" not in markdown(found)
    rows = [line for line in rest.splitlines() if line.startswith("|")]
    columns = {len(re.findall(r"(?<!\\)\|", line)) for line in rows}
    assert columns <= {3, 5, 6}  # of tables of two, four and five columns: no cell was split


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_escaped__text_leaves_no_markup(given_text: str) -> None:
    shown = escaped(given_text)
    assert not re.search(r"[<>\n]", shown)
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]|~$]", shown)
    assert not re.search(r"&(?!amp;|lt;|gt;|#58;|#46;)", shown)


def test_markdown__says_when_licence_and_scores_are_not_known(found) -> None:
    bare = type(found)(**{**vars(found), "licence": "", "evaluation": None, "configuration": None})
    content = markdown(bare)
    assert "Licence: not stated" in content
    assert "These vectors were not scored" in content
    assert "```toml" not in content


def test_markdown__has_the_measures_when_the_tables_of_scores_are_gone(found, tmp_path: Path) -> None:
    elsewhere = type(found.evaluation)(tmp_path, found.evaluation.manifest)
    content = markdown(type(found)(**{**vars(found), "evaluation": elsewhere}))
    for name, value in found.evaluation.manifest.measures.items():
        assert f"| {name} |  | {value:.3f} |  |  |" in content
