"""Which programs are tried on which problems, what solving means, and what the proof of the splits says."""

import itertools

import pytest
from hypothesis import given, strategies as st

from axiom import values
from axiom.config import ProblemsConfig
from axiom.errors import DataError
from axiom.problems import audit_cases, generate_splits, prove_disjoint
from axiom.problems.splits.generate import ORDER
from axiom.problems.splits.overlap import Groups, first_solved, first_solving, kinds, solves, subject, tried
from axiom.problems.splits.proof import summary
from axiom.records import Case, Problem


def problem(name: str, program: str, *cases: tuple[object, object], **changed) -> Problem:
    """A problem whose function is `f(x)`; each case is an argument and what is expected of it."""
    made = Problem(
        problem_id=name,
        family="list_sort",
        variant="{}",
        difficulty=1,
        split="train",
        title="",
        description=name,
        signature="def f(x)",
        entry_point="f",
        shown=(),
        reference_solution=program,
        input_data="",
        expected_output="",
        cases=tuple(Case(args=values.encode([given]), expected=values.encode(want)) for given, want in cases),
    )
    return made.model_copy(update=changed)


DOUBLE = problem("double", "def f(x):\n    return x + x", (1, 2), (5, 10))
SQUARE = problem("square", "def f(x):\n    return x * x", (2, 4), (0, 0), (3, 9))
TWOS = problem("twos", "def f(x):\n    return 4", (2, 4))
HALF = problem("half", "def f(x):\n    return x / 2", (4, 2.0), (1, 0.5), comparison="close")
NEARLY = problem("nearly", "def f(x):\n    return x * 0.5000000001", (4, 2.0), (1, 0.5))
BOOL = problem("bool", "def f(x):\n    return x == 1", (1, True))
ONE = problem("one", "def f(x):\n    return 1", (1, 1))
BREAKS = problem("breaks", "def f(x):\n    return x[0]", ([7], 7))
ALL = (DOUBLE, SQUARE, TWOS, HALF, NEARLY, BOOL, ONE, BREAKS)
SOLVED = {
    ("double", "twos"),
    ("square", "twos"),
    ("nearly", "half"),
    ("half", "nearly"),
    ("square", "one"),
}
"""Beside each one's own: a program that solves another problem."""


def test_a_program_solves_what_all_of_its_cases_agree_with_in_type_and_value():
    found = {
        (one.problem_id, other.problem_id)
        for one, other in itertools.permutations(ALL, 2)
        if solves(subject(one), subject(other))
    }
    assert found == SOLVED
    assert all(solves(subject(one), subject(one)) == (one is not NEARLY) for one in ALL)


def test_the_first_that_is_solved_and_the_first_that_solves_are_those_of_the_plain_relation():
    subjects = [subject(one) for one in ALL]
    for one in subjects:
        others = [other for other in subjects if other is not one]
        plain = [other for other in others if solves(one, other)]
        assert first_solved(one, others) is (plain[0] if plain else None)
        plain = [other for other in others if solves(other, one)]
        assert first_solving(one, others) is (plain[0] if plain else None)


def test_a_clash_names_the_program_first():
    groups = Groups()
    groups.add(subject(TWOS))
    (pair,) = groups.clashes(subject(SQUARE))
    assert [one.problem.problem_id for one in pair] == ["square", "twos"]
    turned = Groups()
    turned.add(subject(SQUARE))
    (pair,) = turned.clashes(subject(TWOS))
    assert [one.problem.problem_id for one in pair] == ["square", "twos"]
    other = Groups()
    other.add(subject(TWOS.model_copy(update={"signature": "def f(x: str)"})))
    assert not list(other.clashes(subject(SQUARE.model_copy(update={"signature": "def f(x: int)"}))))


def test_a_program_of_humaneval_cannot_change_the_arguments_of_the_next():
    spoils = problem("spoils", "def f(x):\n    x.append(1)\n    return len(x)", ([], 1), split="humaneval")
    counts = problem("counts", "def f(x):\n    return len(x) + 1", ([], 1))
    for _ in range(2):
        assert solves(subject(spoils), subject(counts))
        assert solves(subject(counts), subject(spoils))
    one, other = subject(spoils), subject(counts)
    assert [solves(one, other) for _ in range(3)] == [True] * 3


@pytest.mark.parametrize(
    ("signature", "types"),
    [
        ("def f(a: int, b, c: List[int]) -> str", ("int", "", "list[int]")),
        ("def f() -> None", ()),
        ("def f(a: 'x' = 1)", ("'x'",)),
    ],
)
def test_the_kinds_of_a_signature_are_its_types_in_lower_case(signature, types):
    assert kinds(signature) == types


FITS = [
    (("int",), ("int",), True),
    (("int",), ("str",), False),
    (("",), ("int",), True),
    (("int",), ("",), True),
    (("list",), ("list[int]",), True),
    (("list[int]",), ("list",), True),
    (("list[int]",), ("list[str]",), False),
    (("list",), ("int",), False),
    (("lint",), ("list",), False),
    (("int", "int"), ("int",), False),
    ((), (), True),
    (("int", "str"), ("int", "int"), False),
]


@pytest.mark.parametrize(("left", "right", "fit"), FITS)
def test_programs_are_tried_on_arguments_of_their_types(left, right, fit):
    assert tried(("list_sort", left), ("list_sort", right)) is fit
    assert tried(("humaneval", left), ("rpn", right)) is fit


@pytest.mark.parametrize(
    ("program", "other", "related"),
    [
        ("list_sort", "list_sort+list_aggregate", True),
        ("list_sort+list_aggregate", "list_aggregate", True),
        ("list_sort+list_filter", "list_filter+list_aggregate", True),
        ("roman_numerals+string_transform", "roman_numerals", True),
        ("roman_numerals", "list_sort", False),
        ("roman_numerals+list_sort", "rpn", False),
        ("list_sort", "humaneval", True),
        ("humaneval", "roman_numerals", True),
        ("list_sort", "roman_numerals", True),
    ],
)
def test_families_that_take_any_value_and_humaneval_are_tried_on_all_others_on_their_relatives(program, other, related):
    assert tried((program, ("list",)), (other, ("list",))) is related


COUNTS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=5)


@given(COUNTS, st.integers(0, 9), st.integers(0, 9))
def test_the_summary_says_what_was_compared_and_how_much_of_it(counts, calls, questions):
    rows = [{"tried": min(pair), "pairs": max(pair), "shared": 0} for pair in counts]
    rows += [{"calls": calls, "shared": 0}, {"questions": questions, "questions_shared": 0}]
    made = [pair for pair in counts if min(pair)]
    some, pairs = sum(min(pair) for pair in made), sum(max(pair) for pair in made)
    said = summary(rows)
    sample = f", a sample of {pairs:,}," if some < pairs else ""
    assert (f": {some:,} pairs{sample} in {len(made)} ordered pairs of splits" in said) == bool(made)
    assert (f"{calls} calls were" in said) == bool(calls)
    assert (f"{questions} questions were" in said) == bool(questions)
    assert said.endswith("of which 0 are shared" if made or calls or questions else "nothing to compare")


def test_a_question_that_two_splits_ask_is_found_and_counted():
    asked = [problem(name, "", kind="answer", description=name) for name in ("a", "b", "c")]
    other = [problem("d", "", kind="answer", description="d", split="val"), DOUBLE.model_copy(update={"split": "val"})]
    rows = prove_disjoint({"train": [*asked, SQUARE], "val": other})
    assert [(row["questions"], row["questions_shared"], row["programs"]) for row in rows] == [(3, 0, 1), (1, 0, 1)]
    assert "questions" not in prove_disjoint({"train": [SQUARE], "val": other[1:]})[0]
    turned = prove_disjoint({"train": [SQUARE], "val": other})
    assert [(row["questions"], row["questions_shared"]) for row in turned] == [(0, 0), (1, 0)]
    again = problem("e", "", kind="answer", description="b", split="val")
    with pytest.raises(
        DataError, match=r"problem b of train .* problem e of val .*: both ask the same question .*: 1\)"
    ):
        prove_disjoint({"train": asked, "val": [*other, again]})
    with pytest.raises(DataError, match="both ask the same question"):
        prove_disjoint({"val": [again], "train": asked})


def test_unseen_cases_of_a_trained_variant_share_no_call_shown_or_hidden():
    cases = {name: Case(args=f"[{name}]", expected="0") for name in (1, 2, 3, 4)}
    trained = SQUARE.model_copy(update={"shown": (cases[1],), "cases": (cases[2],)})
    unseen = DOUBLE.model_copy(update={"split": "ood_cases", "shown": (cases[3],), "cases": (cases[4],)})
    rows = prove_disjoint({"train": [trained], "ood_cases": [unseen]})
    assert [(row["compared"], row["calls"], row["shared"]) for row in rows] == [("calls", 2, 0)] * 2
    for both in ({"shown": (cases[2],)}, {"cases": (cases[1],)}, {"cases": (cases[2], cases[1])}):
        leaked = unseen.model_copy(update=both)
        with pytest.raises(DataError, match=rf"have a call in common .*: {len(both.get('cases', [1]))}\)"):
            prove_disjoint({"train": [trained], "ood_cases": [leaked]})
        others = (leaked.model_copy(update={"variant": "{1}"}), leaked.model_copy(update={"family": "rpn"}))
        assert prove_disjoint({"train": [trained], "ood_cases": [*others]})


def test_a_sample_holds_its_share_of_the_pairs_and_one_for_each_program():
    left = [problem(f"l{n}", "def f(x):\n    return -1", (n, -1)) for n in range(20)]
    right = [problem(f"r{n}", f"def f(x):\n    return {n}", (1, n), split="val") for n in range(30)]
    for most in (60, 300, 599):
        rows = prove_disjoint({"train": left, "val": right}, most_pairs=most)
        assert [(row["pairs"], row["programs"], row["problems"]) for row in rows] == [(600, 20, 30), (600, 30, 20)]
        assert [row["tried"] for row in rows] == [20 * (1 + 30 * most // 600), 30 * (1 + 20 * most // 600)]
    assert [row["tried"] for row in prove_disjoint({"train": left, "val": right}, most_pairs=600)] == [600, 600]


def test_a_proof_that_tries_every_pair_names_the_first_that_is_shared():
    right = [TWOS.model_copy(update={"problem_id": f"r{n}", "split": "val"}) for n in range(30)]
    with pytest.raises(DataError, match=r"problem square of train .* problem r0 of val .*: 1\)"):
        prove_disjoint({"train": [SQUARE], "val": right})


def test_splits_come_in_one_order_and_rings_only_where_they_are_asked_for():
    small = ProblemsConfig(
        families=("list_sort", "list_aggregate"), difficulty=(1, 2), train_size=6, val_size=2, test_size=2
    )
    assert list(generate_splits(small, 0)) == ["train", "val", "test"]
    assert list(generate_splits(small.model_copy(update={"test_size": 0}), 0)) == ["train", "val"]
    every = small.model_copy(update={"ood_size": 2, "ood_families": ("palindrome",), "humaneval": True})
    made = generate_splits(every, 0)
    assert tuple(made) == ORDER
    assert {len(made[name]) for name in ORDER if name.startswith("ood")} == {2}
    assert audit_cases(made["humaneval"][0]) == audit_cases(DOUBLE.model_copy(update={"kind": "answer"})) == ()
