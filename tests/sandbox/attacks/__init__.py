"""Hostile, broken and odd programs, one file for each group.

What stands before a file's first program begins each of them. A program begins with `#> outcome | what it tries`; its
only acceptable outcome is the one named. Unless a line `#: [[args, expected], ...]` follows, it is asked for
`f(x) -> x + 1` on five integers.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from axiom.records import Case, Outcome
from axiom.values import encode
from axiom.verification import Candidate

_SECONDS = {"time": 0.1, "sleeping": 0.1, "exhaustion": 0.2}
HERE = Path(__file__).parent
CASES = tuple(Case(args=encode([x]), expected=encode(x + 1)) for x in (0, 1, 5, -3, 1000003))


@dataclass(frozen=True)
class Attack:
    """One program of one group."""

    group: str
    title: str
    outcome: Outcome
    code: str
    cases: tuple[Case, ...]

    @property
    def candidate(self) -> Candidate:
        """As the verifier takes it, with little CPU time and memory, so that programs which spend all cost little."""
        seconds, memory = _SECONDS.get(self.group, 2.0), 64 if self.group in {"memory", "shared"} else 512
        return Candidate(f"{self.group}: {self.title}", self.code, "f", self.cases, timeout_s=seconds, memory_mb=memory)


def load(path: Path) -> list[Attack]:
    """The programs of one file."""
    attacks = []
    shared, *blocks = path.read_text().split("#> ")
    for block in blocks:
        head, _, code = block.partition("\n")
        outcome, title = (part.strip() for part in head.split("|"))
        cases = CASES
        if code.startswith("#: "):
            line, _, code = code.removeprefix("#: ").partition("\n")
            cases = tuple(Case(args=encode(args), expected=encode(want)) for args, want in json.loads(line))
        attacks.append(Attack(path.stem, title, Outcome(outcome), shared + code, cases))
    return attacks


GROUPS = {path.stem: load(path) for path in sorted(HERE.glob("*.txt"))}
