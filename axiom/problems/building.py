"""A variant becomes a problem: cases by stratum, expected by the interpreter and the printed function alike."""

import functools
import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from axiom import seeds, values
from axiom.errors import AxiomError
from axiom.problems.family import Family, load
from axiom.problems.inputs import STRATA, Hints, Independent
from axiom.problems.space import Names, Variant, canonical
from axiom.records import Case, Problem, Split

PROBES = 24
"""Calls on the common probe set. Two variants that agree on all of them count as one."""

ATTEMPTS = 10
"""Draws for each case wanted before a variant counts as too monotonous to test."""


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


def build(family: Family, names: Names, plan: Plan, avoid: Iterable[str] = ()) -> tuple[Problem, str] | None:
    """The problem of a variant and the fingerprint of its behaviour, or None for a variant that is too monotonous.

    No call whose encoded arguments are in `avoid` is among its cases.
    Too monotonous means that no mix of inputs was found in which no answer fills more than half of the cases.
    Raises AxiomError when the interpreter and the printed function disagree: then one of the two is wrong.
    """
    variant = family.space.variant(names)
    source = family.reference(names)
    run = load(source, family.entry_point)
    text = canonical(names)
    rng = seeds.stream(plan.seed, "cases", family.name, plan.split, text)
    difficulty = family.space.difficulty(names)
    size = size_at(difficulty, plan.stretch)
    taken, hints = set(avoid), Hints(source)
    shown = draw_cases(family, variant, run, rng, plan.shown, size, taken, ("small",), hints)
    hidden = draw_cases(family, variant, run, rng, plan.hidden, size, taken, STRATA, hints)
    if len(shown) < plan.shown or len(hidden) < plan.hidden:
        return None
    description = family.describe(variant)
    parts = (family.name, text, description, family.signature, source, repr(shown), repr(hidden))
    problem = Problem.model_construct(
        problem_id=hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20],
        family=family.name, variant=text, difficulty=difficulty, split=plan.split, title=family.title,
        description=description, signature=family.signature, entry_point=family.entry_point, kind="program",
        comparison="exact", shown=shown, cases=hidden, reference_solution=source,
        input_data=hidden[0].args, expected_output=hidden[0].expected,
    )  # fmt: skip
    return problem, fingerprint(family, variant, run)


def draw_cases(
    family: Family, variant: Variant, run: Callable[..., Any], rng: random.Random, count: int, size: int,
    taken: set[str], strata: tuple[str, ...], hints: Hints,
) -> tuple[Case, ...]:  # fmt: skip
    """Up to `count` cases whose arguments are not in `taken` (which grows), no answer on more than half of `count`.

    An answer may come twice, and more often only once that leaves too few cases: varied answers tell programs apart.
    """
    cases: list[Case] = []
    tally: Counter[str] = Counter()
    most, often = 2, (count + 1) // 2
    for attempt in range(count * ATTEMPTS):
        if len(cases) == count:
            break
        if attempt >= 2 * count and attempt % count == 0:
            most += 1
        args = family.sample(variant, rng, strata[attempt % len(strata)], size)
        if family.accepts_any:
            args = hints.sprinkled(args, rng)
        packed = values.encode(args)
        if packed in taken:
            continue
        expected = _text(run(*args))
        if tally[expected] >= min(most, often) and count > 1:
            continue
        _agree(family, variant, args, packed, expected)
        taken.add(packed)
        tally[expected] += 1
        cases.append(Case.model_construct(args=packed, expected=expected))
    return tuple(cases)


def _text(value: Any) -> str:
    """`values.encode`, with a short cut for the most frequent type."""
    return repr(value) if type(value) is int else values.encode(value)


def _agree(family: Family, variant: Variant, args: list[Any], packed: str, printed: str) -> None:
    interpreted = _text(family.solve(variant, *args))
    if interpreted != printed:
        chosen = {axis: option.words for axis, option in variant.items()}
        raise AxiomError(
            f"family {family.name}: on {packed} the interpreter says {interpreted} and the printed function {printed} "
            f"for {chosen}; one of the two is wrong"
        )


def fingerprint(family: Family, variant: Variant, run: Callable[..., Any]) -> str:
    """Hash of the behaviour on the common probe set: the calls and their results."""
    digest = hashlib.sha256(f"{family.parameters}".encode())
    for packed, args in probes(family, variant):
        digest.update(packed.encode() + _text(run(*args)).encode())
    return digest.hexdigest()[:32]


def probes(family: Family, variant: Variant) -> Sequence[tuple[str, list[Any]]]:
    """The probe set: the same stream for every variant, so that equal input languages meet equal inputs.

    References do not change their arguments, so a set that suits every variant is drawn once.
    """
    if isinstance(family.sample, Independent):
        return _kept_probes(family)
    return _drawn_probes(family, variant)


@functools.cache
def _kept_probes(family: Family) -> Sequence[tuple[str, list[Any]]]:
    return _drawn_probes(family, {})


def _drawn_probes(family: Family, variant: Variant) -> Sequence[tuple[str, list[Any]]]:
    rng = seeds.stream(0, "probes", family.parameters)
    drawn = (family.sample(variant, rng, STRATA[index % len(STRATA)], 8) for index in range(PROBES))
    return [(values.encode(args), args) for args in drawn]
