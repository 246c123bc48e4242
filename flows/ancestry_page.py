"""An ancestry as one HTML page that needs nothing else: the graph as a drawing, and below every click all that the manifests say.

The page runs no script and may load nothing, by its own security policy; a click on a box leads to its details by its address.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from flows.ancestry_text import KEY_LETTERS, amounts, figures, measures, name_of_files
from flows.layered import HEIGHT, WIDTH, layout
from flows.markup import Markup, element, joined
from flows.tables import readable_bytes
from flows.value_text import visible_value
from pipeline.lineage.ancestry import SOURCE, Ancestor, Ancestry, Group, State
from pipeline.storage.artifact import Artifact, Manifest

MARGIN = 16  # around the drawing
LETTERS = 26  # of a line in a box
BETWEEN = " · "
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(found: Ancestry) -> str:
    """The whole page."""
    name = found.referent.name
    style = Markup(files("flows").joinpath("ancestry_page.css").read_text(encoding="utf-8"))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{name}: what it was made from"),
        element("style", style),
    )
    details = (_details(found, group) for group in found.groups)
    body = element(
        "body",
        element("header", element("h1", name), element("p", _subtitle(found)), _problems(found)),
        element("main", element("nav", drawing(found), aria_label="The graph"), element("div", *details, class_="details")),
    )
    return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"


def _subtitle(found: Ancestry) -> str:
    n_artifacts = sum(len(group.ancestors) for group in found.groups)
    sources = [file for group in found.groups if group.stage == SOURCE for file in group.files]
    run = found.referent.run
    made = f", run {run['id']}, started by {run['started_by']}" if run else ""
    files_of_text = "1 file" if len(sources) == 1 else f"{len(sources):,} files"
    text = f" from {files_of_text} of text ({amounts(sources, ', ')})" if sources else ""
    return f"{n_artifacts:,} artifacts{text}{made}"


def _problems(found: Ancestry) -> Markup:
    lines = [element("li", f"{one.link.stage} {one.link.key[:KEY_LETTERS]} is {one.state}: {one.problem}") for one in found.problems[:20]]
    more = len(found.problems) - len(lines)
    return element("ul", *lines, element("li", f"and {more:,} more") if more else Markup(), class_="problems") if lines else Markup()


def drawing(found: Ancestry) -> Markup:
    """The graph: a box for each group, what was made from others below them; a click leads to the details."""
    placed = layout([[number for some in group.inputs.values() for number in some] for group in found.groups])
    paths = [element("path", d=_curve(points), class_="edge") for points in placed.edges]
    boxes = [_box(group, *corner) for group, corner in zip(found.groups, placed.boxes, strict=True)]
    width, height = placed.width + 2 * MARGIN, placed.height + 2 * MARGIN
    moved = element("g", *paths, *boxes, transform=f"translate({MARGIN} {MARGIN})")
    return element(
        "svg",
        moved,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        width=f"{width:g}",
        height=f"{height:g}",
        role="img",
    )


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """From the first point up to the last: bends between layers, straight through them."""
    (x, y), *others = points
    parts = [f"M{x:.1f} {y:.1f}"]
    for number, (to_x, to_y) in enumerate(others):
        middle = (y + to_y) / 2
        bend = f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}"
        parts.append(f"L{to_x:.1f} {to_y:.1f}" if number % 2 else bend)
        x, y = to_x, to_y
    return "".join(parts)


def _box(group: Group, left: float, top: float) -> Markup:
    lines = _box_lines(group)
    texts = [element("text", _short(line), x=12, y=20 + 17 * number, class_=f"line{number}") for number, line in enumerate(lines)]
    tip = element("title", " ".join(line for line in lines if line))
    rect = element("rect", width=WIDTH, height=HEIGHT, rx=9)
    shape = element("g", tip, rect, *texts, transform=f"translate({left:.1f} {top:.1f})", class_=f"box {_kind(group)}")
    return element("a", shape, href=f"#{_anchor(group)}")


def _box_lines(group: Group) -> list[str]:
    if group.files:
        name = group.files[0].location.rpartition("/")[2] if len(group.files) == 1 else name_of_files(group)
        return [group.stage, name, amounts(group.files, BETWEEN)]
    named = group.ancestors[0].link.key[:KEY_LETTERS] if len(group.ancestors) == 1 else f"{len(group.ancestors):,} artifacts"
    problem = f"{len(group.problems):,} not as they were" if len(group.problems) > 1 else group.problems[0].state if group.problems else ""
    known = ", ".join(list(measures(group.artifacts))[:1]) if group.artifacts else ""
    size = [] if group.stage == "evaluate" else [readable_bytes(group.size_bytes)]
    return [group.stage, named, problem or BETWEEN.join([*size, known] if known else size)]


def _short(text: str) -> str:
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"


def _kind(group: Group) -> str:
    """The colour of a box."""
    if group.problems:
        return "problem"
    if group.files:
        return "file"
    return {"evaluate": "scores", "train": "model", "glove": "model", "ppmi_svd": "model"}.get(group.stage, "step")


def _anchor(group: Group) -> str:
    return f"group-{group.number}"


def _details(found: Ancestry, group: Group) -> Markup:
    """All that is known of a group."""
    if group.files:
        rows = [
            [file.kind, file.location, "" if file.size_bytes is None else f"{file.size_bytes:,}", _number(file.n_tokens), file.sha256]
            for file in group.files
        ]
        content = [_table(["kind", "where it was", "bytes", "tokens", "SHA-256"], rows)]
        return _card(group, name_of_files(group), amounts(group.files, BETWEEN), *content)
    parts: list[Markup] = []
    if len(group.ancestors) > 1:
        parts.append(_section(f"The {len(group.ancestors):,} artifacts", _members(group.ancestors)))
    manifests = [artifact.manifest for artifact in group.artifacts]
    if len(group.ancestors) == 1:
        (one,) = group.ancestors
        facts = {"key": one.link.key, "digest": one.link.digest} | (_facts(manifests[0]) if manifests else {})
        parts.append(_pairs(facts))
    if manifests:
        parts.append(_section("Parameters", _pairs(_agreed(manifest.parameters for manifest in manifests))))
        parts.append(_section("Made from", _inputs(found, group)))
        parts.append(_section("Where everything went", _tallies(manifests)))
        parts.append(_section("Measures", _pairs({name: _number(group.total(name)) for name in manifests[0].measures})))
        parts.append(_section("Files", _files(group.artifacts)))
        parts.append(_section("Environment", _pairs(_agreed(manifest.environment for manifest in manifests))))
    title = group.ancestors[0].link.key[:KEY_LETTERS] if len(group.ancestors) == 1 else f"{len(group.ancestors):,} artifacts"
    return _card(group, title, figures(group.artifacts, BETWEEN), *parts)


def _card(group: Group, title: str, subtitle: str, *parts: Markup) -> Markup:
    problems = [element("p", f"{one.link.key[:KEY_LETTERS]}: {one.state}, {one.problem}", class_="alarm") for one in group.problems[:20]]
    heading = element("h2", element("span", group.stage, class_="stage"), " ", element("code", title))
    return element("section", heading, element("p", subtitle), *problems, *parts, id_=_anchor(group), class_=_kind(group))


def _section(title: str, content: Markup) -> Markup:
    return joined(element("h3", title), content) if content else Markup()


def _facts(manifest: Manifest) -> dict[str, str]:
    return {
        "stage version": str(manifest.stage_version),
        "made": manifest.created,
        "seconds": f"{manifest.elapsed_s:,.1f}",
        "size": f"{manifest.size_bytes:,} bytes",
    }


def _agreed(some: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """What many manifests say, where they differ each value once."""
    values: dict[str, dict[str, None]] = {}
    for one in some:
        for name, value in one.items():
            values.setdefault(name, {})[visible_value(value)] = None
    return {name: " or ".join(found) for name, found in values.items()}


def _members(ancestors: Sequence[Ancestor]) -> Markup:
    rows = []
    for one in ancestors:
        manifest = one.artifact.manifest if one.artifact else None
        tokens = _number(manifest.measures.get("tokens")) if manifest else ""
        size, made = (f"{manifest.size_bytes:,}", manifest.created) if manifest else ("", "")
        rows.append([one.link.key, "" if one.state is State.WHOLE else one.state, size, tokens, made, one.link.digest])
    return _table(["key", "state", "bytes", "tokens", "made", "digest"], rows)


def _inputs(found: Ancestry, group: Group) -> Markup:
    lines = []
    for name, numbers in group.inputs.items():
        for number in numbers:
            other = found.groups[number]
            text = name_of_files(other) if other.files else f"{other.stage}, {_box_lines(other)[1]}"
            lines.append(element("li", f"{name}: ", element("a", text, href=f"#{_anchor(other)}")))
    return element("ul", *lines) if lines else Markup()


def _tallies(manifests: Sequence[Manifest]) -> Markup:
    totals: dict[str, dict[str, int]] = {}
    for tally in (tally for manifest in manifests for tally in manifest.tallies):
        numbers = totals.setdefault(tally.unit, {})
        for name, n in {"in": tally.n_in, "kept": tally.n_kept, **tally.dropped}.items():
            numbers[name] = numbers.get(name, 0) + n
    return _table(["of", "", "number"], [[unit, name, f"{n:,}"] for unit, numbers in totals.items() for name, n in numbers.items()])


def _files(artifacts: Sequence[Artifact]) -> Markup:
    rows = [
        [f"{artifact.manifest.key[:KEY_LETTERS]}/{file.name}", f"{file.n_rows:,}", f"{file.size_bytes:,}", file.sha256]
        for artifact in artifacts
        for file in artifact.files()
    ]
    return _table(["file", "rows", "bytes", "SHA-256"], rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def _pairs(values: Mapping[str, str]) -> Markup:
    rows = [element("tr", element("th", name), element("td", value)) for name, value in values.items()]
    return element("div", element("table", *rows), class_="wide") if rows else Markup()


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    if not rows:
        return Markup()
    numeric = {"bytes", "tokens", "rows", "number"}
    kinds = ["number" if name in numeric else "code" if name in ("key", "digest", "SHA-256") else "" for name in names]
    head = element("tr", *(element("th", name) for name in names))
    lines = (element("tr", *(element("td", value, class_=kind) for value, kind in zip(row, kinds, strict=True))) for row in rows)
    return element("div", element("table", head, *lines), class_="wide")
