"""Counts the behaviourally distinct variants of families and what their hidden cases reject: `axiom.problems.measured`.

`python -m axiom.problems.splits.counting [FAMILY...]` prints the rows for that file.
"""

import itertools
import sys

from axiom.config import ProblemsConfig
from axiom.problems.cases.audit import AUDITED, audit
from axiom.problems.cases.building import Plan, build, fingerprint
from axiom.problems.family import Family
from axiom.problems.measured import Measured
from axiom.problems.registry import GENERATORS, family_named
from axiom.problems.splits.variants import candidates

MOST_TRIED = 4_000
"""Combinations tried at most, in random order with the difficulties in turn."""

MOST_OF_DEFAULT = 24_000
"""The same for the families of the default experiment, of which thousands of problems are asked for."""

BUILT = 100
"""Distinct variants of which it is tried whether a problem can be made."""


def distinct(family: Family) -> tuple[int, int]:
    """Combinations tried, and how many distinct variants among them can be made problems of.

    The latter is the number of different fingerprints, times the share of a sample that can be made a problem.
    """
    first: dict[str, dict[str, str]] = {}
    tried = 0
    most = MOST_OF_DEFAULT if family.name in ProblemsConfig().families else MOST_TRIED
    for names in itertools.islice(candidates(family, family.difficulties, 5), most):
        tried += 1
        first.setdefault(fingerprint(family, family.reference(names)), names)
    sample = list(first.values())[:: max(1, len(first) // BUILT)]
    made = sum(build(family, names, Plan("train", 5)) is not None for names in sample)
    return tried, len(first) * made // len(sample)


def measure(family: Family) -> Measured:
    """All figures of a family; a minute or two."""
    rate = audit(family.name, AUDITED, 21)
    return Measured(family.variants, *distinct(family), rate.planted, rate.rejected)


if __name__ == "__main__":
    for name in sys.argv[1:] or GENERATORS:
        print(f'    "{name}": {measure(family_named(name))},', flush=True)
