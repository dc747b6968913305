"""Streams are named: no two names share one, and adjacent roots do not leak."""

from hypothesis import given, strategies as st

from axiom.seeds import derive, stream

names = st.lists(st.text(max_size=5) | st.integers(-5, 5), max_size=4).map(tuple)


@given(st.integers(0, 1000), names, names)
def test_other_names_are_other_streams(root, left, right):
    spelled = [(type(name), name) for name in left], [(type(name), name) for name in right]
    assert (derive(root, *left) == derive(root, *right)) == (spelled[0] == spelled[1])


def test_adjacent_roots_share_no_seed():
    seeds = {
        derive(root, "problems", split, index)
        for root in range(50)
        for split in ("train", "val")
        for index in range(200)
    }
    assert len(seeds) == 50 * 2 * 200


def test_a_stream_is_the_same_every_time():
    assert stream(1, "a").random() == stream(1, "a").random()
    assert derive(0, "problems") == derive(0, "problems") < 2**63
