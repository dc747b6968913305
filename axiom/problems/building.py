"""A variant becomes a problem: description, printed reference, cases, and the fingerprint of its behaviour."""

import hashlib
from collections.abc import Callable, Container, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from axiom import seeds
from axiom.problems.drawing import Drawing, packed, text
from axiom.problems.family import Family
from axiom.problems.inputs import STRATA, Quick
from axiom.problems.outline import load_shared
from axiom.problems.space import Names, Variant, canonical, difficulty_of
from axiom.records import Problem, Split

PROBES = 24
"""Calls on the common probe set. Two variants that agree on all of them count as one."""

MOST_KEPT = 2_000
"""Probe sets kept, one for each language of inputs."""


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
    as well. Too monotonous means that no mix of inputs was found in which no answer fills more than half of the cases.
    Raises AxiomError when the interpreter and the printed function disagree: then one of the two is wrong.
    """
    variant = family.space.variant(names)
    source = family.printed(variant)
    run = load_shared(source, family.entry_point)
    mark = fingerprint(family, variant, run)
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
        family=family.name, variant=name, difficulty=difficulty, split=plan.split, title=family.title,
        description=description, signature=family.signature, entry_point=family.entry_point, kind="program",
        comparison="exact", shown=shown, cases=hidden, reference_solution=source,
        input_data=hidden[0].args, expected_output=hidden[0].expected,
    )  # fmt: skip
    return problem, mark


def fingerprint(family: Family, variant: Variant, run: Callable[..., Any]) -> str:
    """Hash of the behaviour on the common probe set: the calls and their results."""
    behaviour = [family.parameters, *[key + text(run(*args)) for key, args in probes(family, variant)]]
    return hashlib.sha256("\0".join(behaviour).encode()).hexdigest()[:32]


def probes(family: Family, variant: Variant) -> Sequence[tuple[str, list[Any]]]:
    """The probe set: the same stream for every variant, so that equal input languages meet equal inputs.

    References do not change their arguments, so one set serves every variant of the same language.
    """
    if family.language is None:
        return _draw_probes(family, variant)
    key = family, family.language(variant)
    if key not in _KEPT:
        if len(_KEPT) == MOST_KEPT:
            _KEPT.clear()
        _KEPT[key] = _draw_probes(family, variant)
    return _KEPT[key]


_KEPT: dict[tuple[Family, Hashable], Sequence[tuple[str, list[Any]]]] = {}


def _draw_probes(family: Family, variant: Variant) -> Sequence[tuple[str, list[Any]]]:
    rng = Quick(seeds.derive(0, "probes", family.parameters))
    drawn = (family.sample(variant, rng, STRATA[index % len(STRATA)], 8) for index in range(PROBES))
    return [(packed(args), args) for args in drawn]
