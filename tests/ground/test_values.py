"""Values keep their types through JSON."""

import json
import math
import sys

import pytest
from hypothesis import given, strategies as st

from axiom.values import _MAKE, decode, encode, same
from tests.tables import every

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2040, 40_000).map(lambda bits: 3 - (1 << bits))
    | st.floats(allow_nan=False)
    | st.text()
    | st.text(st.characters(categories=["Cs", "Lu"]))
    | st.binary()
    | st.complex_numbers(allow_nan=False)
)
keys = st.booleans() | st.integers() | st.text() | st.just("$")
nested = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
        | st.frozensets(st.integers(), max_size=3)
        | st.sets(st.text(), max_size=3)
    ),
    max_leaves=10,
)


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


@pytest.mark.parametrize("digits", [1, 616, 617, 640, 4300, 4301, 100_000])
def test_integers_of_any_size_are_written_and_read(digits):
    number = 7 * 10 ** (digits - 1) + 3 ** (2 * digits - 2)
    for value in (number, -number):
        assert decode(encode([value])) == [value]
    decimal = "9" * digits
    assert decode(f'{{"a": [{decimal}, -{decimal}]}}') == {"a": [10**digits - 1, 1 - 10**digits]}
    assert encode(decode(decimal)) == encode(10**digits - 1)


def test_python_s_limit_on_digits_changes_no_text():
    values = [10**n for n in (600, 639, 640, 4299, 4300, 9000)]
    texts = [encode(value) for value in values]
    kept = sys.get_int_max_str_digits()
    try:
        for limit in (640, 0, 100_000):
            sys.set_int_max_str_digits(limit)
            assert [encode(value) for value in values] == texts
            assert [decode(text) for text in texts] == values
    finally:
        sys.set_int_max_str_digits(kept)


def test_equal_sets_have_one_text_in_whatever_order_they_grew():
    pair, smile = "\ud83d\ude00", "\N{GRINNING FACE}"
    assert pair != smile
    assert encode([*map(encode, ({pair, smile}, {smile, pair}))]) == encode([encode({pair, smile})] * 2)
    assert json.loads(encode({pair, smile}))["v"] == [pair, smile] == sorted([smile, pair])


@every(
    "text",
    [
        "",
        "{",
        "nothing",
        "[1,]",
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"$":1,"v":1}',
        '{"$":null,"v":[]}',
        '{"$":[]}',
        '{"$":"tuple"}',
        '{"$":"list","v":[]}',
        '{"$":"tuple","v":[],"x":1}',
        '{"$":"tuple","v":{"a":1}}',
        '{"$":"tuple","v":"ab"}',
        '{"$":"set","v":[[1]]}',
        '{"$":"set","v":[{"$":"dict","v":[]}]}',
        '{"$":"set","v":7}',
        '{"$":"dict","v":["ab"]}',
        '{"$":"dict","v":[[1]]}',
        '{"$":"dict","v":[[[],1]]}',
        '{"$":"dict","v":{"a":1}}',
        '{"$":"int","v":12}',
        '{"$":"int","v":"12"}',
        '{"$":"int","v":"x"}',
        '{"$":"int","v":null}',
        '{"$":"float","v":"1.5"}',
        '{"$":"float","v":"NaN"}',
        '{"$":"float","v":[]}',
        '{"$":"bytes","v":"0"}',
        '{"$":"bytes","v":"AB"}',
        '{"$":"bytes","v":7}',
        '{"$":"complex","v":[]}',
        '{"$":"complex","v":["1","2","3"]}',
        '{"$":"complex","v":null}',
        '{"$":"complex","v":["1","x"]}',
        '[{"$":"tuple","v":[{"$":"what","v":1}]}]',
    ],
)
def test_text_that_no_value_has_raises_one_error(text):
    with pytest.raises(ValueError, match=r"."):
        decode(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["$", "v", "a"]), inner | st.sampled_from(list(_MAKE)), max_size=3)
        ),
        max_leaves=8,
    )
)
def test_any_json_is_a_value_or_raises_that_error(value):
    try:
        found = decode(json.dumps(value))
    except ValueError:
        return
    assert same(decode(encode(found)), found)


def test_nan_and_infinities_survive():
    assert math.isnan(decode(encode(float("nan"))))
    assert decode(encode([math.inf, -math.inf])) == [math.inf, -math.inf]


@given(st.dictionaries(st.text(), st.integers(), max_size=4))
def test_the_order_of_keys_does_not_matter(value):
    assert encode(value) == encode(dict(reversed(value.items())))


def test_a_function_has_no_encoding():
    with pytest.raises(TypeError, match="no JSON form"):
        encode([print])
