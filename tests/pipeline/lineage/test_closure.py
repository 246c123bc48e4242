"""All that something was made from, also of manifests that nobody has made honestly."""

import hashlib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import StoreError
from pipeline.lineage.ancestry import ancestry
from pipeline.lineage.closure import Closure, closure
from pipeline.lineage.references import resolve
from pipeline.lineage.verifying.findings import Wrong
from pipeline.lineage.verifying.verification import verify
from pipeline.storage.artifact import FileRecord, Link, Manifest, key_of
from pipeline.storage.store import Store

STAGE = "forged"


def described(store: Store, inputs: list[set[int]]) -> list[Link]:
    """Manifests that were made from each other as it is said, each with the key of its inputs: keys see their files only."""
    files = [FileRecord("data", 1, number, hashlib.sha256(bytes([number])).hexdigest()) for number in range(len(inputs))]
    digests = [Manifest(STAGE, 1, "", {}, {}, {}, (file,), (), {}, {}, "", 0.0).digest for file in files]
    links = []
    for number, some in enumerate(inputs):
        named = {f"{other:02}": (Link(STAGE, "", digests[other]),) for other in sorted(some)}
        links.append(Link(STAGE, key_of(STAGE, 1, {"n": number}, named), digests[number]))
    for number, link in enumerate(links):
        named = {f"{other:02}": (links[other],) for other in sorted(inputs[number])}
        manifest = Manifest(STAGE, 1, link.key, {"n": number}, {}, named, (files[number],), (), {}, {}, "2026-01-01T00:00:00+00:00", 0.0)
        assert manifest.computed_key == link.key
        store.describe(manifest)
    return links


def below(inputs: list[set[int]], root: int) -> set[int]:
    """What a node leads to, itself included."""
    found, waiting = set(), [root]
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting += inputs[number]
    return found


def graphs() -> st.SearchStrategy[list[set[int]]]:
    return st.integers(1, 7).flatmap(lambda n: st.lists(st.sets(st.integers(0, n - 1), max_size=3), min_size=n, max_size=n))


@settings(max_examples=100)
@given(graphs())
def test_closure__of_any_manifests_ends_with_all_inputs_first_or_with_the_circle_as_an_error(tmp_path_factory, inputs) -> None:
    store = Store(tmp_path_factory.mktemp("closure"))
    links = described(store, inputs)
    wanted = below(inputs, 0)
    try:
        tuple(TopologicalSorter({number: inputs[number] for number in wanted}).static_order())
    except CycleError:
        assert_circle(store, links, inputs, wanted)
        return
    assert verify(store, links[0].key).findings == ()
    found = closure(store, links[:1])
    assert {artifact.link.key for artifact in found.artifacts} == {links[number].key for number in wanted}
    assert_inputs_first(found)
    assert found.missing == ()


def assert_inputs_first(found: Closure) -> None:
    keys = [artifact.link.key for artifact in found.artifacts]
    assert len(set(keys)) == len(keys)
    known = {link.key for link in found.missing}
    for artifact in found.artifacts:
        assert {link.key for some in artifact.manifest.inputs.values() for link in some} <= known
        known.add(artifact.link.key)


def assert_circle(store: Store, links: list[Link], inputs: list[set[int]], wanted: set[int]) -> None:
    """It is an error that names a manifest; who wants to go on hears of it, and has what is left, each artifact once."""
    with pytest.raises(StoreError, match="made from each other") as caught:
        closure(store, links[:1])
    assert Path(caught.value.details["where"], "manifest.json").is_file()
    unusable: list[Link] = []
    found = closure(store, links[:1], lambda link, error: unusable.append(link))
    assert list(found.missing) == unusable
    assert {one.key for one in (*found.missing, *(artifact.link for artifact in found.artifacts))} == {links[n].key for n in wanted}
    assert_inputs_first(found)
    (circle,) = verify(store, links[0].key).findings
    members = {number for number in wanted if f"shared/{STAGE}/{links[number].key[:12]}" in circle.got.split(" and ")}
    assert (circle.wrong, len(members)) == (Wrong.CIRCLE, len(circle.got.split(" and ")))
    assert all(any(number in below(inputs, other) for other in inputs[number]) for number in members)
    shown = ancestry(store, resolve(store, links[0].key))
    assert {one.link.key for one in shown.problems} == {link.key for link in unusable}
