"""An ancestry for the terminal, as a tree, and for machines, with every digest."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.text import Text
from rich.tree import Tree

from flows.tables import readable_bytes
from flows.terminal import visible
from pipeline.lineage.ancestry import SETS, SOURCE, Ancestor, Ancestry, Group, OutsideFile, State
from pipeline.storage.artifact import Artifact

FEW_FILES, FEW_ARTIFACTS = 12, 3  # more than so many of a group are summed up
KEY_LETTERS = 12
_COUNTS = ("words", "phrases", "tokens", "dimensions", "pairs", "cells", "questions", "bytes")  # measures that say how much there is
_ALARM = "bold red"


def tree(found: Ancestry, show_all: bool = False) -> Tree:
    """What something was made from: below each thing what it was made from, groups of many in one line unless all are asked for.

    A group that several others were made from is described where it comes first.
    """
    top = Tree(Text(_title(found), "bold"), guide_style="dim")
    described: set[int] = set()
    for root in found.roots:
        _add(top, found, found.groups[root], "", described, show_all)
    return top


def _title(found: Ancestry) -> str:
    run = found.referent.run
    made = f", from run {run['id']}, started by {run['started_by']}" if run and found.referent.version else ""
    return visible(found.referent.name + made)


def _add(parent: Tree, found: Ancestry, group: Group, role: str, described: set[int], show_all: bool) -> None:
    prefix = f"{role}: " if role not in ("", group.stage) else ""
    if group.files:
        _add_files(parent, prefix, group, show_all)
        return
    if group.number in described:
        parent.add(Text(f"{prefix}{_heading(group)}  (above)", "dim"))
        return
    described.add(group.number)
    branch = parent.add(Text.assemble((prefix, "dim"), (_heading(group), "bold"), "  ", figures(group.artifacts)))
    for one in group.problems:
        branch.add(Text(f"{one.link.stage} {one.link.key[:KEY_LETTERS]}: {one.state}, {visible(one.problem)}", _ALARM))
    if show_all and len(group.ancestors) > 1:
        for one in group.ancestors:
            branch.add(Text.assemble(_heading_of(one), "  ", figures([one.artifact] if one.artifact else [])))
    for name, numbers in group.inputs.items():
        for number in numbers:
            _add(branch, found, found.groups[number], name, described, show_all)


def _add_files(parent: Tree, prefix: str, group: Group, show_all: bool) -> None:
    shown = group.files if show_all or len(group.files) <= FEW_FILES else group.files[:FEW_ARTIFACTS]
    if len(group.files) > 1:
        parent = parent.add(Text.assemble((prefix, "dim"), (name_of_files(group), "bold"), "  ", amounts(group.files)))
        prefix = ""
    for file in shown:
        parent.add(Text.assemble((prefix, "dim"), file_line(file)))
    if len(shown) < len(group.files):
        parent.add(Text(f"and {len(group.files) - len(shown):,} more files (--all)", "dim"))


def name_of_files(group: Group) -> str:
    """What the files of a group are."""
    n = len(group.files)
    plural = "s" if n != 1 else ""
    known = {SOURCE: f"file{plural} of the corpus", SETS: f"evaluation set{plural}"}
    return f"{n:,} " + known.get(group.stage, f"file{plural}: {group.stage}")


def file_line(file: OutsideFile) -> str:
    """A file by its place, with the beginning of its digest and what was found in it."""
    kind = "" if file.kind.partition(".")[0] == SOURCE else f"{visible(file.kind)}  "
    parts = [f"sha256 {file.sha256[:KEY_LETTERS]}", amounts([file]), f"{file.n_parts:,} shards" if file.n_parts > 1 else ""]
    return f"{kind}{visible(file.location) or '(an unknown place)'}  " + "  ".join(part for part in parts if part)


def amounts(files: Sequence[OutsideFile], between: str = "  ") -> str:
    """Bytes and tokens of files together, as far as they are known."""
    sizes = [file.size_bytes for file in files if file.size_bytes is not None]
    tokens = [file.n_tokens for file in files if file.n_tokens is not None]
    parts = [readable_bytes(sum(sizes)) if sizes else "", f"{sum(tokens):,} tokens" if tokens else ""]
    return between.join(part for part in parts if part)


def _heading(group: Group) -> str:
    if len(group.ancestors) == 1:
        return _heading_of(group.ancestors[0])
    return f"{group.stage}  {len(group.ancestors):,} artifacts"


def _heading_of(one: Ancestor) -> str:
    states = {State.WHOLE: "", State.SHARED: "  in the shared store"}
    return f"{one.link.stage} {one.link.key[:KEY_LETTERS]}{states.get(one.state, f'  {one.state.upper()}')}"


def figures(artifacts: Sequence[Artifact], between: str = "  ") -> str:
    """How large artifacts are together, what is in them, when they were made and how long that took; nothing about none."""
    if not artifacts:
        return ""
    manifests = [artifact.manifest for artifact in artifacts]
    times = sorted(manifest.created for manifest in manifests)
    first, last = (_minute(time) for time in (times[0], times[-1]))
    parts = [
        readable_bytes(sum(manifest.size_bytes for manifest in manifests)),
        ", ".join(measures(artifacts)),
        first if first == last else f"{first} to {last}",
        f"{sum(manifest.elapsed_s for manifest in manifests):,.1f} s",
    ]
    return between.join(part for part in parts if part)


def measures(artifacts: Sequence[Artifact]) -> Iterable[str]:
    """What artifacts say of how much is in them; of scores each."""
    if artifacts[0].manifest.stage == "evaluate":
        return [f"{visible(name)} {value:.3f}" for name, value in artifacts[0].manifest.measures.items()]
    totals = {name: sum(artifact.manifest.measures.get(name, 0) for artifact in artifacts) for name in _COUNTS}
    return [f"{value:,.0f} {name}" for name, value in totals.items() if value]


def _minute(time: str) -> str:
    """An ISO time to the minute."""
    return visible(time[:16].replace("T", " "))


def values(found: Ancestry) -> dict[str, Any]:
    """All that is known of an ancestry, for JSON: artifacts inputs first, every digest."""
    return {
        "name": found.referent.name,
        "links": [asdict(link) for link in found.referent.links],
        "run": found.referent.run["id"] if found.referent.run else None,
        "artifacts": [_values(one) for group in reversed(found.groups) for one in group.ancestors],
        "files": [asdict(file) for group in found.groups for file in group.files],
    }


def _values(one: Ancestor) -> dict[str, Any]:
    known = {"stage": one.link.stage, "key": one.link.key, "digest": one.link.digest, "state": one.state, "problem": one.problem}
    return known | ({**one.artifact.manifest.values(), "size_bytes": one.artifact.manifest.size_bytes} if one.artifact else {})
