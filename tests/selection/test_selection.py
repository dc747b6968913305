"""Selection: distinct programs, bounded per problem, and the same whatever order samples fell in."""

import random

import pytest
from hypothesis import given, strategies as st

from axiom.config import SelectionConfig
from axiom.problems import generate
from axiom.records import Sample, Verdict
from axiom.selection import accepted, fingerprint, select, up_to_program, well_formed
from tests.tables import every


def sample(problem: str, code: str, number: int = 0, iteration: int = 1) -> Sample:
    return Sample(
        sample_id=f"{iteration}:{problem}:{number}",
        problem_id=problem,
        iteration=iteration,
        purpose="train",
        index=number,
        completion=code,
        code=code,
        token_count=5,
        logprob=-1.0,
        finish_reason="stop",
        seed=0,
        temperature=0.8,
        policy_version="base",
    )


def verdict(row: Sample, outcome: str = "passed", audit: bool | None = True) -> Verdict:
    return Verdict(
        sample_id=row.sample_id,
        outcome=outcome,
        cases_passed=1,
        cases_total=1,
        cpu_ms=1.0,
        wall_ms=1.0,
        detail="",
        audit_passed=audit,
    )


def test_only_passes_that_also_passed_the_audit_are_accepted():
    rows = [sample("p", f"x = {i}", i) for i in range(4)]
    judged = [
        verdict(rows[0]),
        verdict(rows[1], audit=None),
        verdict(rows[2], audit=False),
        verdict(rows[3], "timeout", None),
    ]
    assert accepted(rows, judged) == rows[:2]


def test_layout_comments_and_docstrings_do_not_make_a_program_distinct():
    same = ["def f(x):\n    return x", "def f( x ):  # why\n    return (x)", 'def f(x):\n    """Doc."""\n    return x']
    assert len({fingerprint(code) for code in same}) == 1
    assert fingerprint("def f(y):\n    return y") != fingerprint(same[0])
    assert fingerprint("def f(") == "def f("
    assert fingerprint("-" * 100_000 + "1")


@pytest.mark.parametrize("first", ["print(x)", "7", "x", "...", "b'bytes'"])
def test_a_first_statement_that_is_no_docstring_makes_a_program_distinct(first):
    assert fingerprint(f"def f(x):\n    {first}\n    return x") != fingerprint("def f(x):\n    return x")


def test_a_docstring_alone_is_a_body():
    assert fingerprint('def f():\n    "a"') != fingerprint('def f():\n    "b"')


codes = st.lists(st.tuples(st.sampled_from("pqr"), st.sampled_from(["x=1", "x = 1", "x=2", "x=3", "y=4"])), max_size=20)


@given(codes, st.integers(1, 3), st.randoms(use_true_random=False))
def test_bounded_distinct_and_independent_of_arrival(drawn, bound, rng: random.Random):
    rows = [sample(problem, code, i) for i, (problem, code) in enumerate(drawn)]
    gold = select(rows, SelectionConfig(max_per_problem=bound))
    per_problem = [row.problem_id for row in gold]
    assert all(per_problem.count(problem) <= bound for problem in "pqr")
    assert len({(row.problem_id, row.target) for row in gold}) == len(gold)
    assert {row.problem_id for row in gold} == {row.problem_id for row in rows}
    shuffled = sorted(rng.sample(rows, len(rows)), key=lambda row: row.problem_id)
    again = select(shuffled, SelectionConfig(max_per_problem=bound))
    assert sorted(gold, key=str) == sorted(again, key=str)


@given(codes, st.integers(1, 3), st.booleans())
def test_the_shortest_texts_of_the_distinct_programs_of_each_problem_are_kept(drawn, bound, answers):
    """Of an answer each text is its own; `x=1` and `x = 1` are one program and two answers."""
    rows = [sample(problem, code, i) for i, (problem, code) in enumerate(drawn)]
    known = {problem: PROBLEM.model_copy(update={"kind": "answer"}) for problem in "pq"} if answers else None
    wanted = []
    for problem in dict.fromkeys(problem for problem, _ in drawn):
        texts = sorted({code for name, code in drawn if name == problem}, key=lambda code: (len(code), code))
        if not (answers and problem in "pq"):
            texts = [text for text in texts if text != "x = 1" or "x=1" not in texts]
        wanted += [(problem, text) for text in texts[:bound]]
    gold = select(rows, SelectionConfig(max_per_problem=bound), problems=known)
    assert [(row.problem_id, row.target) for row in gold] == wanted
    assert {(row.reason, row.weight) for row in gold} <= {("verified", 1.0)}
    assert {row.reason for row in select(rows, SelectionConfig(), "static")} <= {"static"}


(PROBLEM,) = generate("list_sort", None, 1, 0)


@every(
    "code, is_formed",
    [
        ("def {}(a): return a", True),
        ("async def {}(a): return a", True),
        ("import math\n{} = lambda a: a", True),
        ("x = {} = lambda a: a", True),
        ("x.{} = lambda a: a", False),
        ("x[0] = lambda a: a", False),
        ("{} = 1", False),
        ("class A:\n    def {}(self): pass", False),
        ("def other(a): return a", False),
        ("def {}(", False),
        ("\0", False),
        ("-" * 100_000 + "1", False),
        ("", False),
    ],
)
def test_a_program_is_formed_if_it_parses_and_binds_the_function_at_its_top_level(code, is_formed):
    assert well_formed(PROBLEM, code.replace("{}", PROBLEM.entry_point)) is is_formed


@pytest.mark.parametrize(("text", "is_formed"), [("7", True), ("def f(", True), (" \n", False), ("", False)])
def test_an_answer_is_formed_if_it_has_text(text, is_formed):
    assert well_formed(PROBLEM.model_copy(update={"kind": "answer"}), text) is is_formed


@every(
    "completion, code, kept",
    [
        ("Sure!\n```python\ndef f(x):\n    return x\n```\nHope it helps.", "def f(x):\n    return x", 5),
        ("def f(x):\n    return x\n\nprint(f(1))", "def f(x):\n    return x", 2),
        (
            "<think>return x</think>\n> ```python\n> def f(x):\n>     return x\n> ```\nmore",
            "def f(x):\n    return x",
            5,
        ),
        ("\n    return x\n\ndef g(): pass", "def f(x):\n    return x\n", 2),
        ("def f(x):\n    return x\n\nOnce more:\ndef f(x):\n    return x\n", "def f(x):\n    return x", 2),
        ("> def f(x):\n>     return x\nmore of x", "def f(x):\n    return x", 2),
        ("f = abs\nThat is all of it.", "f = abs", 1),
        ("nothing of it\nhere", "def f(x):\n    return x", 2),
    ],
)
@every("newline", ["\n", "\r\n"])
def test_a_completion_is_kept_up_to_the_end_of_its_program(completion, code, kept, newline):
    whole = "nothing" in completion  # what does not hold the program stays as it is
    text = completion.replace("\n", newline)
    assert up_to_program(text, code) == (text if whole else "\n".join(completion.split("\n")[:kept]))
