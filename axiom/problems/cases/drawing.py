"""Cases of a problem: drawn by stratum, answered by the interpreter and the printed function alike, then sharpened."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any

from pydantic import TypeAdapter

from axiom import values
from axiom.errors import AxiomError
from axiom.problems.cases.inputs import CONSTANTS_SHARE, Hints, one_language
from axiom.problems.cases.schema import Mutants
from axiom.problems.family import Family
from axiom.problems.space import Variant
from axiom.records import Case

ATTEMPTS = 5
"""Draws for each case wanted before a variant counts as too monotonous to test."""

PATIENT = 40
"""The same for a second hidden set, which a variant with calls to spare never fails to give."""

SPARE = 6
"""Calls drawn and not chosen that are tried before further ones."""

FURTHER = 4
"""Further draws at most, for each that may kill no mutant in a row."""


LIKELY_TO_KILL = (
    "zero",
    "negative",
    "big",
    "single",
    "repeated",
    "typical",
    "zero",
    "negative",
    "single",
    "big",
    "typical",
    "long",
)
"""Strata of the further draws, those first in which wrong programs show most often."""


@dataclass(slots=True, eq=False)
class _Drawn:
    """A call and its answer.

    `first`: of its stratum; `kills`: it killed a mutant; `spare`: drawn and not chosen.
    """

    packed: str
    expected: str
    args: list[Any]
    value: Any
    stratum: str
    first: bool = False
    kills: bool = False
    spare: bool = False

    def spared(self, new: "_Drawn") -> bool:
        """Whether `new` may take its place: it kills nothing, and its stratum does not go without."""
        return not self.kills and (not self.first or self.stratum == new.stratum)


@dataclass
class _Choice:
    """The calls chosen so far, no answer on more than `often` of them, and calls drawn but not chosen."""

    count: int
    often: int
    chosen: list[_Drawn]
    spare: list[_Drawn]
    tally: dict[str, int]

    @property
    def full(self) -> bool:
        return len(self.chosen) >= self.count

    def offer(self, one: _Drawn, most: int) -> None:
        """Choose a call unless its answer has been chosen `most` times."""
        times = self.tally.get(one.expected, 0)
        if times < most:
            self.tally[one.expected] = times + 1
            self.chosen.append(one)
        else:
            self.spare.append(one)

    def fill(self) -> None:
        """Choose among the spare ones, letting answers come more often, step by step."""
        for most in range(3, self.often + 1):
            if self.full:
                return
            waiting, self.spare = self.spare, []
            for one in waiting:
                self.offer(one, 0 if self.full else most)

    def place_for(self, new: _Drawn) -> int | None:
        """Place of a call that tells nothing and may go for `new`, so that the answers stay varied; None without."""
        free = [place for place, one in enumerate(self.chosen) if one.spared(new)]
        same = [place for place in free if self.chosen[place].expected == new.expected]
        if not free or (not same and self.tally.get(new.expected, 0) >= self.often):
            return None
        return (same or free)[-1]

    def replace(self, place: int, new: _Drawn) -> None:
        """Put a call in the place of another."""
        new.first, new.kills = self.chosen[place].first, True
        self.tally[self.chosen[place].expected] -= 1
        self.tally[new.expected] = self.tally.get(new.expected, 0) + 1
        self.chosen[place] = new


class Drawing:
    """Calls of one problem as they are drawn. No call in `taken` is drawn, and every call drawn is put there."""

    def __init__(
        self,
        family: Family,
        variant: Variant,
        source: str,
        run: Callable[..., Any],
        rng: random.Random,
        size: int,
        taken: set[str],
    ) -> None:
        self.family, self.variant, self.source, self.run = family, variant, source, run
        self.rng, self.size, self.taken = rng, size, taken
        self.scarce = False  # whether new calls or varied answers were hard to find
        blind = family.accepts_any and family.language is one_language  # else the sampler knows the boundaries
        self._hints = Hints(source) if blind else None

    def cases(
        self, count: int, strata: tuple[str, ...], sharpened: bool = False, attempts: int = ATTEMPTS
    ) -> tuple[Case, ...]:
        """Up to `count` cases, no answer on more than half of them, from at most `attempts` draws for each.

        An answer may come twice, and more often only once that leaves too few cases: varied answers tell programs
        apart. If `sharpened`, calls that kill further mutants take the place of some that kill none.
        """
        choice = _Choice(count, max(1, (count + 1) // 2), [], [], {})
        met: set[str] = set()
        easy = count + count // 4
        for attempt in range(count * attempts):
            if attempt == easy:
                choice.fill()
                self.scarce = self.scarce or not choice.full
            if choice.full:
                break
            stratum = strata[attempt % len(strata)]
            one = self._draw(stratum)
            if one is not None:
                choice.offer(one, min(2, choice.often) if attempt < easy else choice.often)
                one.first = stratum not in met
                met.add(stratum)
        if sharpened and choice.full:
            self._sharpen(choice)
        for one in choice.chosen:
            self._check(one)
        return _CASES.validate_python([{"args": one.packed, "expected": one.expected} for one in choice.chosen])

    def _draw(self, stratum: str, constants: float = CONSTANTS_SHARE) -> _Drawn | None:
        """A call of `stratum` with the printed function's answer, or None if the call is taken."""
        args = self.family.sample(self.variant, self.rng, stratum, self.size)
        if self._hints is not None:
            args = self._hints.with_constants(args, self.rng, constants)
        key = packed(args)
        if key in self.taken:
            return None
        self.taken.add(key)
        value = self.run(*args)
        return _Drawn(key, text(value), args, value, stratum)

    def _check(self, one: _Drawn) -> None:
        """Raise AxiomError when the interpreter and the printed function disagree: one of the two is wrong."""
        interpreted = text(self.family.solve(self.variant, *one.args))
        if interpreted != one.expected:
            chosen = {axis: option.words for axis, option in self.variant.items()}
            raise AxiomError(
                f"family {self.family.name}: on {one.packed} the interpreter says {interpreted} and the printed "
                f"function {one.expected} for {chosen}; one of the two is wrong"
            )

    def _sharpen(self, choice: _Choice) -> None:
        """Choose calls that kill more mutants, among the spare ones and further draws."""
        first = choice.chosen[0]
        mutants = Mutants(self.source, self.family.entry_point, self.run, first.args[0], first.value)
        order = sorted(choice.chosen, key=_slowness)
        for place in mutants.killed_by_all([(one.args, one.value) for one in order]):
            order[place].kills = True
        since = 0
        for new in self._further(choice.spare) if mutants else ():
            since += not new.spare
            spot = choice.place_for(new)
            if spot is not None and mutants.killed_by(new.args, new.value):
                since = 0
                choice.replace(spot, new)
            if since == self.family.patience or not mutants:
                return

    def _further(self, spare: list[_Drawn]) -> Iterator[_Drawn]:
        """Some of the calls already drawn, and new ones."""
        for one in spare[:SPARE]:
            one.spare = True
            yield one
        for attempt in range(FURTHER * self.family.patience):
            new = self._draw(LIKELY_TO_KILL[attempt % len(LIKELY_TO_KILL)], constants=1.0)
            if new is not None:
                yield new


def _slowness(one: _Drawn) -> int:
    """How far a call is from being quick to answer and still killing much."""
    return abs(len(one.packed) - SHORT)


_CASES = TypeAdapter(tuple[Case, ...])
"""All cases at once: half the time of one after the other."""

SHORT = 20
"""Characters of a call that is quick to answer and still kills much: such calls come first."""


def packed(args: list[Any]) -> str:
    """`values.encode`, with a short cut for the most frequent type."""
    return f"[{encode_basestring(args[0])}]" if len(args) == 1 and type(args[0]) is str else values.encode(args)


def text(value: Any) -> str:
    """`values.encode`, with a short cut for the most frequent type."""
    return repr(value) if type(value) is int else values.encode(value)
