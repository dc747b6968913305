"""Whether a reference program of one problem also solves another problem: the test behind every held-out split.

A program *solves* a problem when it passes all of its hidden cases. A general program solves the special cases of its
variant, so the relation has a direction, and both directions are tried. Programs are tried on problems that take
arguments of the same types, within a family and between a family and its compositions. A program of a family that
accepts any value is tried on other families' problems too. The names of the functions do not matter.
"""

import ast
import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from axiom import values
from axiom.config.names import JOINT
from axiom.problems.cases.bounded import bounded, on_copies, restart
from axiom.problems.cases.drawing import SHORT
from axiom.problems.registry import family_named
from axiom.records import Problem

Kinds = tuple[str, ...]
"""The types of the parameters."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A problem that is ready for trials: its reference program with bounded loops, and its hidden cases."""

    problem: Problem
    run: Callable[..., Any]
    calls: Sequence[tuple[list[Any], Any]]

    @property
    def group(self) -> tuple[str, Kinds]:
        """Problems of one group are tried on the same other groups."""
        return self.problem.family, kinds(self.problem.signature)


def subject(problem: Problem) -> Subject:
    """Make a problem of printed programs, or of HumanEval, ready for trials."""
    run = bounded(problem.reference_solution, problem.entry_point, problem.split != "humaneval")
    if problem.split == "humaneval":
        run = on_copies(run)
    calls = [(values.decode(case.args), values.decode(case.expected)) for case in problem.cases]
    order = sorted(range(len(calls)), key=lambda place: abs(len(problem.cases[place].args) - SHORT))
    return Subject(problem, run, [calls[place] for place in order])


def solves(one: Subject, other: Subject) -> bool:
    """Whether the program of `one` passes every hidden case of `other`, compared as the verifier compares."""
    restart()
    exact = other.problem.comparison == "exact"
    args, expected = other.calls[0]
    try:
        if exact and one.run(*args) != expected:  # which rejects most, and costs less than comparing types
            return False
        same = values.same if exact else values.close
        return all(same(one.run(*args), expected) for args, expected in other.calls)
    except Exception:  # noqa: BLE001 (a program may break in any way on arguments that are not its own)
        return False


def first_solved(one: Subject, others: Iterable[Subject]) -> Subject | None:
    """The first of `others` that the program of `one` solves."""
    return next((other for other in others if solves(one, other)), None)


def first_solving(one: Subject, others: Iterable[Subject]) -> Subject | None:
    """The first of `others` whose program solves the problem of `one`."""
    return next((other for other in others if solves(other, one)), None)


class Groups:
    """Subjects by group, to try programs and problems on."""

    def __init__(self) -> None:
        self._members: defaultdict[tuple[str, Kinds], list[Subject]] = defaultdict(list)

    def add(self, one: Subject) -> None:
        """Take one more."""
        self._members[one.group].append(one)

    def clashes(self, one: Subject) -> Iterator[tuple[Subject, Subject]]:
        """Pairs of `one` and a member, the first of which solves the second; at most one for a group and direction."""
        for group, members in self._members.items():
            if tried(one.group, group) and (solved := first_solved(one, members)):
                yield one, solved
            if tried(group, one.group) and (solving := first_solving(one, members)):
                yield solving, one


@functools.cache
def tried(program: tuple[str, Kinds], problem: tuple[str, Kinds]) -> bool:
    """Whether programs of one group (family and parameter types) are tried on problems of another."""
    if not _fit(program[1], problem[1]):
        return False
    related = set(program[0].split(JOINT)) & set(problem[0].split(JOINT))
    return bool(related) or program[0] == "humaneval" or family_named(program[0]).accepts_any


def _fit(left: Kinds, right: Kinds) -> bool:
    """Whether arguments of one are legal for the other; a parameter without a type takes any."""
    return len(left) == len(right) and all(
        a == b or "" in (a, b) or ("list" in (a, b) and a[:4] == b[:4]) for a, b in zip(left, right, strict=True)
    )


@functools.lru_cache(4096)
def kinds(signature: str) -> Kinds:
    """The types of the parameters of `signature`, in lower case, empty where it names none."""
    (head,) = ast.parse(f"{signature}: ...").body
    assert isinstance(head, ast.FunctionDef)
    return tuple(ast.unparse(one.annotation).lower() if one.annotation else "" for one in head.args.args)
