"""The page and the tree of an ancestry: what is in them, that nothing of a corpus becomes markup, and that the drawing can be read."""

import io
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.ancestry_page import page
from flows.ancestry_text import tree, values
from flows.layered import BELOW, HEIGHT, WIDTH, layout
from flows.terminal import Terminal
from pipeline.lineage.ancestry import Ancestry, ancestry
from pipeline.lineage.references import resolve
from pipeline.storage.store import Store
from tests.pipeline.lineage.stores import text
from tests.pipeline.small_runs import configured, walk

EVIL = "<script>alert(1)<\x1b]0;title\x07[red]\u202e.txt"
DELIMITER = '"><img/src=x>'


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(content)
        assert self.open == []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> Ancestry:
    """Of a model made from 30 shards of a file, and a few more, with names and parameters that are no good."""
    directory = tmp_path_factory.mktemp("page")
    for number in range(14):
        (directory / f"text-{number}.txt").write_text(text(number, 5), encoding="utf-8")
    (directory / EVIL).write_text(text(77), encoding="utf-8")
    configuration = configured(directory, corpus__shard_mb=0.0003, phrases__thresholds=[1.0], phrases__delimiter=DELIMITER)
    run = walk(configuration, directory / "store")
    run.finish("a test <b>")
    return ancestry(Store(directory / "store"), resolve(run.store, "vectors"))


def printed(found: Ancestry, show_all: bool = False) -> str:
    out = io.StringIO()
    Terminal(file=out, force_terminal=True, width=200, highlight=False).print(tree(found, show_all))
    return out.getvalue()


def test_page__keeps_markup_of_names_and_parameters_text(found) -> None:
    read = Page(page(found))
    tags = {tag for tag, _ in read.tags}
    assert not tags & {"script", "img", "iframe", "object", "link", "b", "foreignobject"}
    together = "".join(read.text)
    assert "<script>alert(1)<␛]0;title␇[red]�.txt" in together
    assert DELIMITER in together
    assert "started by a test <b>" in together
    assert not any(ord(character) < 32 and character != "\n" for character in page(found))


def test_page__needs_nothing_from_elsewhere(found) -> None:
    read = Page(page(found))
    anchors = {attributes["id"] for _, attributes in read.tags if "id" in attributes}
    for _, attributes in read.tags:
        assert not {name for name in attributes if name.startswith("on") or name in ("src", "srcset", "style", "xlink:href")}
        assert attributes.get("href", "#group-0").removeprefix("#") in anchors
    (policy,) = [attributes for tag, attributes in read.tags if tag == "meta" and "http-equiv" in attributes]
    assert policy["content"].startswith("default-src 'none'")
    assert "@import" not in page(found)
    assert "url(" not in page(found)


def test_page__has_every_digest(found) -> None:
    content = page(found)
    for group in found.groups:
        for artifact in group.artifacts:
            manifest = artifact.manifest
            assert all(one in content for one in (manifest.key, manifest.digest, *(file.sha256 for file in manifest.files)))
        assert all(file.sha256 in content for file in group.files)


def test_tree__sums_up_what_is_many_and_shows_each_when_asked(found) -> None:
    (shards,) = [group for group in found.groups if group.stage == "tokenize"]
    few, every = printed(found), printed(found, show_all=True)
    assert len(shards.ancestors) > 30
    assert len(few.splitlines()) < 20
    assert f"{len(shards.ancestors)} artifacts" in few
    assert "and 12 more files (--all)" in few
    assert all(one.link.key[:12] in every for one in shards.ancestors)
    assert every.count(".txt") == 15


def test_tree__moves_no_cursor_and_takes_nothing_for_style(found) -> None:
    shown = printed(found, show_all=True)
    assert "\x1b]" not in shown
    assert "\x07" not in shown
    assert "\u202e" not in shown
    assert "alert(1)<␛]0;title␇[red]�.txt" in shown


def test_values__have_every_artifact_with_its_whole_manifest(found) -> None:
    rows = values(found)
    artifacts = {row["key"]: row for row in rows["artifacts"]}
    members = [artifact.manifest for group in found.groups for artifact in group.artifacts]
    assert set(artifacts) == {manifest.key for manifest in members}
    for manifest in members:
        row = artifacts[manifest.key]
        assert (row["digest"], row["state"]) == (manifest.digest, "whole")
        assert [file["sha256"] for file in row["files"]] == [file.sha256 for file in manifest.files]
    assert rows["artifacts"][-1]["stage"] == "evaluate"
    assert len(rows["files"]) == 16


@st.composite
def graphs(draw: st.DrawFn) -> list[list[int]]:
    n = draw(st.integers(1, 12))
    return [draw(st.lists(st.integers(node + 1, n - 1), max_size=4)) if node + 1 < n else [] for node in range(n)]


@given(graphs())
def test_layout__lets_no_box_touch_another_and_no_edge_cross_one(inputs) -> None:
    placed = layout(inputs)
    boxes = placed.boxes
    for number, (left, top) in enumerate(boxes):
        assert -0.01 <= left <= placed.width - WIDTH + 0.01
        assert 0 <= top <= placed.height - HEIGHT
        for other_left, other_top in boxes[:number]:
            assert abs(left - other_left) >= WIDTH - 0.01 or abs(top - other_top) >= HEIGHT + BELOW - 0.01
    assert len(placed.edges) == sum(len(set(some)) for some in inputs)
    for points in placed.edges:
        for (x, below), (_, above) in zip(points[1:-1:2], points[2:-1:2], strict=True):  # where it passes a layer
            assert below - above == HEIGHT
            assert all(not left < x < left + WIDTH for left, top in boxes if top == above)
