"""A variant becomes a problem: description, printed reference, cases, and the fingerprint of its behaviour."""

import functools
import hashlib
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from axiom import seeds
from axiom.problems.cases.bounded import bounded, restart
from axiom.problems.cases.drawing import PATIENT, Drawing, packed, text
from axiom.problems.cases.inputs import STRATA, Quick
from axiom.problems.cases.outline import load_shared
from axiom.problems.family import Family
from axiom.problems.space import Names, Variant, canonical, difficulty_of, parsed
from axiom.records import Case, Problem, Split

PROBES = 24
"""Calls on the probe set of a family whose variants all take the same arguments."""

LANGUAGES = 24
"""Variants, of different input languages if the family tells them, that share in the probe set of any other family."""

PROBES_EACH = 6
"""Calls of each of them."""


@dataclass(frozen=True)
class Plan:
    """How a problem is cut from its variant. `stretch` multiplies the size of its inputs."""

    split: Split
    seed: int
    shown: int = 3
    hidden: int = 16
    stretch: int = 1


def size_at(difficulty: int, stretch: int = 1) -> int:
    """Usual length of an input at `difficulty`: it grows with it."""
    return (4 + difficulty) * stretch


def build(
    family: Family, names: Names, plan: Plan, avoid: Iterable[str] = (), known: Container[str] = ()
) -> tuple[Problem, str] | None:
    """The problem of a variant and the fingerprint of its behaviour, or None for a variant that is too monotonous.

    No call whose encoded arguments are in `avoid` is among its cases. A variant whose fingerprint is in `known` is None
    as well. Too monotonous means that no mix of inputs was found in which no answer fills more than half of the cases,
    neither for the hidden cases nor for the second hidden set.
    Raises AxiomError when the interpreter and the printed function disagree: then one of the two is wrong.
    """
    variant = family.space.variant(names)
    source = family.printed(variant)
    run = load_shared(source, family.entry_point)
    mark = fingerprint(family, source)
    if mark in known:
        return None
    name, difficulty = canonical(names), difficulty_of(variant)
    rng = Quick(seeds.derive(plan.seed, "cases", family.name, plan.split, name))
    drawing = Drawing(family, variant, source, run, rng, size_at(difficulty, plan.stretch), set(avoid))
    shown = drawing.cases(plan.shown, ("small",))
    if len(shown) < plan.shown:
        return None
    hidden = drawing.cases(plan.hidden, STRATA, sharpened=True)
    if len(hidden) < plan.hidden:
        return None
    description = family.describe(variant)
    parts = (family.name, name, description, family.signature, source, *(c.args + c.expected for c in shown + hidden))
    problem = Problem.model_construct(
        problem_id=hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20],
        family=family.name,
        variant=name,
        difficulty=difficulty,
        split=plan.split,
        title=family.title,
        description=description,
        signature=family.signature,
        entry_point=family.entry_point,
        kind="program",
        comparison="exact",
        shown=shown,
        cases=hidden,
        reference_solution=source,
        input_data=hidden[0].args,
        expected_output=hidden[0].expected,
    )
    if drawing.scarce and not second_cases(family, problem, plan.stretch):
        return None
    return problem, mark


def second_cases(family: Family, problem: Problem, stretch: int = 1) -> tuple[Case, ...]:
    """A second hidden set of the same size, or nothing where the variant has too few further calls.

    It comes from another stream and has no call of the first set or of the prompt.
    """
    variant, source = family.space.variant(parsed(problem.variant)), problem.reference_solution
    rng = Quick(seeds.derive(0, "audit", problem.problem_id))
    taken = {case.args for case in (*problem.shown, *problem.cases)}
    run, size = load_shared(source, problem.entry_point), size_at(problem.difficulty, stretch)
    drawing = Drawing(family, variant, source, run, rng, size, taken)
    cases = drawing.cases(len(problem.cases), STRATA, attempts=PATIENT)
    return cases if len(cases) == len(problem.cases) else ()


def fingerprint(family: Family, source: str) -> str:
    """Hash of a printed program's results on the probe set of its family: two that agree there count as one variant.

    A program that breaks or does not end on a call meant for another variant shows that too.
    """
    run = bounded(source, family.entry_point)
    behaviour = [family.parameters, *(_result(run, args) for args in probes(family))]
    return hashlib.sha256("\0".join(behaviour).encode()).hexdigest()[:32]


def _result(run: Callable[..., Any], args: list[Any]) -> str:
    restart()
    try:
        return text(run(*args))
    except Exception:  # noqa: BLE001 (a program may break in any way on another variant's arguments)
        return "-"


@functools.cache
def probes(family: Family) -> Sequence[list[Any]]:
    """The probe set of a family: calls from the input languages of many of its variants, the same for all of them.

    References do not change their arguments, so one set serves every variant.
    """
    rng = Quick(seeds.derive(0, "probes", family.parameters))
    variants = list(_languages(family, rng))
    count = PROBES if len(variants) == 1 else PROBES_EACH * len(variants)
    each = count // len(variants)
    return [family.sample(variants[place // each], rng, STRATA[place % len(STRATA)], 8) for place in range(count)]


MOST_PROBED = 48
"""Calls on which two programs of a problem are compared."""


def probe_calls(problem: Problem) -> tuple[str, ...]:
    """Encoded calls of the problem's probe set, most of them meant for other variants; none if it has no family."""
    from axiom.problems.registry import family_named  # which finds the families by importing them

    if problem.kind == "answer" or problem.split == "humaneval":
        return ()
    calls = probes(family_named(problem.family))
    return tuple(packed(args) for args in calls[:: -(-len(calls) // MOST_PROBED)])


def _languages(family: Family, rng: Quick) -> Iterator[Variant]:
    """Up to LANGUAGES variants over all difficulties, of different input languages."""
    levels = [level for level in range(1, 11) if family.space.count(level)]
    met: set[Hashable] = set()
    for attempt in range(20 * LANGUAGES):
        level = levels[attempt % len(levels)]
        names = family.space.names(level, rng.randrange(family.space.count(level)))
        variant = family.space.variant(names)
        language = family.language(variant) if family.language else canonical(names)
        if language not in met:
            met.add(language)
            yield variant
        if len(met) == LANGUAGES:
            return
