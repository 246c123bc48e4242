import hashlib
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.keys import canonical, digest_of, digest_of_file

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4), max_leaves=10
)


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (1, True), (0, False), (1, "1"), ("i1", 1), (None, "null"), ([], {}), (0.0, -0.0), ("", None)]
)
def test_canonical__tells_types_apart(one: object, other: object) -> None:
    assert canonical(one) != canonical(other)


def test_canonical__does_not_depend_on_the_order_of_keys() -> None:
    assert canonical({"a": 1, "b": [2, {"d": 3, "c": 4}]}) == canonical({"b": [2, {"c": 4, "d": 3}], "a": 1})


def test_canonical__is_the_same_for_a_tuple_and_a_list_and_for_an_enum_and_its_value() -> None:
    assert canonical((1, 2)) == canonical([1, 2])
    assert canonical(Colour.RED) == canonical("red")


def test_canonical__refuses_what_has_no_one_text() -> None:
    with pytest.raises(TypeError, match="set"):
        canonical({1, 2})


def _typed(value: object) -> object:
    """A value that is equal exactly when the canonical text should be."""
    match value:
        case list():
            return ("list", *map(_typed, value))
        case dict():
            return ("dict", frozenset((key, _typed(item)) for key, item in value.items()))
        case float():
            return ("float", value.hex())
        case _:
            return (type(value).__name__, value)


@given(values, values)
def test_digest_of__is_equal_exactly_for_equal_values(one: object, other: object) -> None:
    assert (digest_of(one) == digest_of(other)) == (_typed(one) == _typed(other))


def test_digest_of_file__is_the_sha256_of_its_bytes(tmp_path) -> None:
    content = bytes(range(256)) * 10_000
    path = tmp_path / "file"
    path.write_bytes(content)
    assert digest_of_file(path) == hashlib.sha256(content).hexdigest()
