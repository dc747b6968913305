"""The proof that splits keep apart: the programs of each are run on the problems of every other."""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

from axiom import seeds
from axiom.errors import DataError
from axiom.problems.splits.overlap import Subject, first_solved, subject, tried
from axiom.records import Problem

MOST_PAIRS = 3_000_000
"""Pairs of a program and a problem tried for each ordered pair of splits: about six seconds on one core.

The default experiment has at most a tenth of that, so there every pair is tried. Above it, each program is tried on
a random sample of as many problems as fit. If none of 3,000,000 sampled pairs is shared then, with 95 % confidence,
fewer than one in 1,000,000 pairs of these splits is (the rule of three, Hanley and Lippman-Hand 1983).
"""


def prove_disjoint(splits: Mapping[str, Sequence[Problem]], most_pairs: int = MOST_PAIRS) -> list[dict[str, Any]]:
    """One row for each ordered pair of splits: how many programs of one were tried on how many problems of the other.

    `pairs` counts those that can be tried at all (arguments of the same types, `splits.overlap.tried`), `tried`
    those that were, `shared` those where the program passed every hidden case. Direct answers have no programs; their
    questions are compared. The split of unseen cases shares its variants with train on purpose; there the calls are
    compared. Raises DataError naming the first two problems that are shared.
    """
    subjects = {
        name: [subject(problem) for problem in problems if problem.kind == "program"]
        for name, problems in splits.items()
    }
    return [
        {"programs_of": left, "problems_of": right}
        | _questions(splits[left], splits[right])
        | (
            _calls(splits[left], splits[right])
            if {left, right} == {"train", "ood_cases"}
            else _programs(subjects[left], subjects[right], most_pairs)
        )
        for left, right in permutations(splits, 2)
    ]


def summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """The proof in a sentence, from its rows: what was compared, how much of it, and how much is shared."""
    said = []
    programs = [row for row in rows if row.get("tried")]
    if programs:
        tried, pairs = (sum(row[key] for row in programs) for key in ("tried", "pairs"))
        sampled = f", a sample of {pairs:,}," if tried < pairs else ""
        said.append(
            f"reference programs of a split were tried on the problems of another: {tried:,} pairs{sampled} in "
            f"{len(programs)} ordered pairs of splits"
        )
    for what in ("calls", "questions"):
        if count := sum(row.get(what, 0) for row in rows):
            said.append(f"{count:,} {what} were looked for in another split")
    shared = sum(row.get(key, 0) for row in rows for key in ("shared", "questions_shared"))
    return f"{'; '.join(said)}, of which {shared} are shared" if said else "there was nothing to compare"


def _programs(left: Sequence[Subject], right: Sequence[Subject], most: int) -> dict[str, Any]:
    """Counts of the trials of the programs of `left` on the problems of `right`."""
    targets = {group: [other for other in right if tried(group, other.group)] for group in {one.group for one in left}}
    pairs = sum(len(targets[one.group]) for one in left)
    share, attempts, shared = most / max(most, pairs), 0, []
    for one in left:
        others = targets[one.group]
        if share < 1.0:
            rng = seeds.stream(0, "proof", one.problem.split, one.problem.problem_id)
            others = rng.sample(others, min(len(others), 1 + int(share * len(others))))
        attempts += len(others)
        solved = first_solved(one, others)
        if solved is not None:
            shared.append((one.problem, solved.problem))
    if shared:
        raise _overlap(*shared[0], "the program of the first solves the second", len(shared))
    return {
        "compared": "programs",
        "programs": len(left),
        "problems": len(right),
        "pairs": pairs,
        "tried": attempts,
        "shared": len(shared),
    }


def _calls(left: Sequence[Problem], right: Sequence[Problem]) -> dict[str, Any]:
    """Counts of the calls of `left` that problems of the same variants in `right` must not have."""
    known = {(p.family, p.variant, case.args): p for p in right for case in (*p.shown, *p.cases)}
    calls = [(p, (p.family, p.variant, case.args)) for p in left for case in (*p.shown, *p.cases)]
    shared = [(p, known[call]) for p, call in calls if call in known]
    if shared:
        raise _overlap(*shared[0], "they are of one variant and have a call in common", len(shared))
    return {"compared": "calls", "calls": len(calls), "shared": len(shared)}


def _questions(left: Sequence[Problem], right: Sequence[Problem]) -> dict[str, Any]:
    """Counts of the questions of `left` that must not be asked in `right`; nothing without direct answers."""
    asked = {p.description: p for p in right if p.kind == "answer"}
    asking = [p for p in left if p.kind == "answer"]
    shared = [(p, asked[p.description]) for p in asking if p.description in asked]
    if shared:
        raise _overlap(*shared[0], "both ask the same question", len(shared))
    return {"questions": len(asking), "questions_shared": len(shared)} if asking or asked else {}


def _overlap(first: Problem, second: Problem, why: str, count: int) -> DataError:
    pair = " and ".join(f"problem {p.problem_id} of {p.split} ({p.family} {p.variant})" for p in (first, second))
    return DataError(
        f"{pair} are not held out from each other: {why} (pairs like this one in these splits: "
        f"{count}); generate the splits again"
    )
