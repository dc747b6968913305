"""The wrong programs that guide the choice of inputs, and the compilations that variants share."""

import itertools

import pytest

from axiom import values
from axiom.problems import GENERATORS, generate
from axiom.problems.cases.drawing import packed
from axiom.problems.cases.outline import load_shared, outlines
from axiom.problems.cases.schema import Mutants
from axiom.problems.family import load
from axiom.problems.splits.variants import candidates
from tests.tables import every

FAMILIES = sorted(GENERATORS)

STEPS = """def steps(n: int) -> int:
    count = 0
    while n > 3:
        n -= 2
        count += 1
    return count
"""


def wrong(source: str, entry_point: str, *args) -> Mutants:
    run = load(source, entry_point)
    return Mutants(source, entry_point, run, args[0], run(*args))


def calls(source: str, entry_point: str, *numbers: int):
    run = load(source, entry_point)
    return [((n,), run(n)) for n in numbers]


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_a_shared_compilation_answers_as_the_printed_program(name):
    for problem in generate(name, None, 8, 5):
        source, entry_point = problem.reference_solution, problem.entry_point
        plain, shared = load(source, entry_point), load_shared(source, entry_point)
        for case in (*problem.shown, *problem.cases):
            args = values.decode(case.args)
            assert values.encode(shared(*args)) == values.encode(plain(*args)) == case.expected


@every("name", FAMILIES)
def test_an_outline_with_its_literals_is_the_program(name):
    family = GENERATORS[name]
    for names in itertools.islice(candidates(family, family.difficulties, 2), 40):
        source = family.reference(names)
        texts = []
        for text, literals in outlines(source):
            for mark in sorted(literals, key=len, reverse=True):
                text = text.replace(mark, repr(literals[mark]))
            texts.append(text)
        assert "\n\n\n".join(texts) == source


@pytest.mark.timeout(60)
def test_a_mutant_whose_list_grows_in_its_loop_for_ever_is_killed():
    source = (
        "def reach(n: int) -> int:\n    queue = [n]\n    for one in queue:\n        if one > 1:\n"
        "            queue.append(one // 2)\n    return len(queue)\n"
    )
    mutants = wrong(source, "reach", 9)
    assert mutants.killed_by((9,), 4)


def test_variants_that_differ_in_literals_share_an_outline():
    other = STEPS.replace("> 3", "> 4").replace("-= 2", "-= 5")
    assert outlines(STEPS)[0][0] == outlines(other)[0][0]
    assert load_shared(STEPS, "steps")(9) == 3
    assert load_shared(other, "steps")(9) == 1


def test_a_boundary_that_no_call_tries_survives_until_one_does():
    mutants = wrong(STEPS, "steps", 10)
    killers = mutants.killed_by_all(calls(STEPS, "steps", 10, 0, 8))
    assert killers
    assert mutants
    assert mutants.killed_by((3,), 0)
    assert not mutants.killed_by((3,), 0)


def test_a_program_without_doubtful_places_has_only_wrappers():
    source = "def same(s: str) -> str:\n    return s\n"
    mutants = wrong(source, "same", "abcde")
    assert mutants.killed_by(("abcde",), "abcde")
    assert not mutants


def test_mutants_that_mean_the_same_are_never_told():
    source = "def size(n: int) -> int:\n    return max(n, n) * 1\n"
    mutants = wrong(source, "size", 7)
    mutants.killed_by_all([((n,), n) for n in range(-60, 60)] + [((2**60 + 1,), 2**60 + 1)])
    assert mutants  # max and min of equal numbers
    assert not any(mutants.killed_by((n,), n) for n in (-(10**9), 10**9, 2**80 + 3))


def test_an_endless_mutant_counts_as_told():
    source = STEPS.replace("n -= 2", "n = n - 2")
    mutants = wrong(source, "steps", 10)
    assert mutants.killed_by((10,), 4)


@pytest.mark.parametrize("args", [["a b"], ["\u00e9\n\"'\\"], [""], [1, "x"], [[1, 2], 3], ["x", "y"], [2**70], [True]])
def test_packed_is_the_encoding(args):
    assert packed(args) == values.encode(args)
