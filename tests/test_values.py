"""Values keep their types through JSON."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axiom.values import decode, encode, same

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
)
keys = st.booleans() | st.integers() | st.text() | st.just("$")
nested = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple)
    | st.dictionaries(keys, inner, max_size=3) | st.frozensets(st.integers(), max_size=3)
    | st.sets(st.text(), max_size=3),
    max_leaves=10,
)  # fmt: skip


def typed(value):
    """The value with every type spelled out, so that == cannot blur them."""
    if isinstance(value, (list, tuple)):
        return type(value), [typed(item) for item in value]
    if isinstance(value, dict):
        return dict, {(type(key), key): typed(item) for key, item in value.items()}
    return type(value), value


@given(nested)
def test_round_trip_keeps_value_and_type(value):
    assert typed(decode(encode(value))) == typed(value)


@given(nested, nested)
def test_same_means_equal_in_type_and_value(left, right):
    if same(left, right):
        assert typed(left) == typed(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (True, 1),
        (14.0, 14),
        ((1, 2), [1, 2]),
        ("1", 1),
        (b"a", "a"),
        ({1}, frozenset({1})),
        (0.0, -0.0),
        ({1: 2}, {"1": 2}),
    ],
)
def test_types_are_kept_apart(left, right):
    assert not same(left, right)


def test_nan_and_infinities_survive():
    assert math.isnan(decode(encode(float("nan"))))
    assert decode(encode([math.inf, -math.inf])) == [math.inf, -math.inf]


@given(st.dictionaries(st.text(), st.integers(), max_size=4))
def test_the_order_of_keys_does_not_matter(value):
    assert encode(value) == encode(dict(reversed(value.items())))


def test_a_function_has_no_encoding():
    with pytest.raises(TypeError, match="no JSON form"):
        encode([print])
