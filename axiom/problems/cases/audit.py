"""What the hidden cases let through: planted wrong programs that must fail, planted valid forms that must pass.

Cheats are the best constant, a table of the shown cases, and mutants of the reference solution, one edit each:
comparison, constant, operator or operands changed, a branch or a condition dropped. A mutant that answers
like the reference on `PROBED` fresh inputs as well is the same function and no cheat; it is not counted.
"""

import itertools
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from axiom import seeds, values
from axiom.problems.cases.bounded import bounded, restart
from axiom.problems.cases.building import size_at
from axiom.problems.cases.inputs import STRATA, Quick
from axiom.problems.cases.mutation import edits, wrapped
from axiom.problems.measured import MEASURED, Measured
from axiom.problems.registry import family_named
from axiom.problems.space import parsed
from axiom.problems.splits.bulk import generate
from axiom.records import Case, Problem

AUDITED = 4
"""Problems of each family that an experiment audits: about a second."""

UNLIKELY = 0.01
"""Chance below which a rate counts as lower than usual."""

PROBED = 150
"""Fresh inputs on which a mutant must differ somewhere to count as a cheat."""

Run = Callable[[str, str, Sequence[Case]], bool]
"""Code, entry point and cases to whether every case passes."""


@dataclass(frozen=True)
class Rates:
    """One family's audit. `survivors` names what should have failed, `refused` what should have passed."""

    family: str
    problems: int
    constants: int
    tables: int
    mutants: int
    rejected: int
    valid_forms: int
    accepted: int
    survivors: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def planted(self) -> int:
        """Cheats of every kind."""
        return self.constants + self.tables + self.mutants

    @property
    def rejection(self) -> float:
        """Share of the planted cheats that the hidden cases reject."""
        return self.rejected / max(1, self.planted)

    @property
    def acceptance(self) -> float:
        """Share of the planted valid forms that they accept."""
        return self.accepted / max(1, self.valid_forms)

    def row(self) -> dict[str, Any]:
        """The rates as a JSON-able row."""
        usual = MEASURED.get(self.family)
        return {
            "family": self.family,
            "problems": self.problems,
            "cheats": self.planted,
            "rejection": self.rejection,
            "usual": usual.rejected / usual.cheats if usual else None,
            "valid_forms": self.valid_forms,
            "acceptance": self.acceptance,
        }


def audit_rates(splits: Mapping[str, Sequence[Problem]], each: int = AUDITED) -> list[dict[str, Any]]:
    """One row for each family: how many cheats the hidden cases of these problems reject, how many valid forms pass.

    `each` problems of a family are audited, spread over its problems in train, val and test. Trusted code alone runs,
    in this process: our reference solutions and our edits of them.
    """
    families: dict[str, list[Problem]] = {}
    for split in ("train", "val", "test"):
        for problem in splits.get(split, ()):
            if problem.kind == "program":
                families.setdefault(problem.family, []).append(problem)
    return [audit_problems(name, _spread(families[name], each)).row() for name in sorted(families)]


def _spread(problems: Sequence[Problem], count: int) -> list[Problem]:
    """At most `count` problems, evenly spaced from the first to the last."""
    count = min(count, len(problems))
    return [problems[place * len(problems) // count] for place in range(count)]


def below_usual(rows: Iterable[Mapping[str, Any]], usual: Mapping[str, Measured] = MEASURED) -> Iterator[str]:
    """A sentence for each family whose hidden cases reject fewer cheats than they usually do, by `usual`.

    A rate is below the usual one if Fisher's exact test says so: chance gives such a difference in less than one of a
    hundred audits.
    """
    for row in rows:
        known = usual.get(row["family"])
        if known is not None and _odds(row, known) < UNLIKELY:
            yield (
                f"the hidden cases of {row['family']} reject {row['rejection']:.1%} of {row['cheats']} planted wrong "
                f"programs, below the family's usual {known.rejected / known.cheats:.1%}; raise [problems] hidden_cases"
            )


def _odds(row: Mapping[str, Any], usual: Measured) -> float:
    """The chance of so low a rate if these hidden cases rejected cheats as often as the family's do."""
    from scipy.stats import fisher_exact  # half a second to import, which a run without planted programs need not wait

    rejected = round(row["rejection"] * row["cheats"])
    table = [[rejected, row["cheats"] - rejected], [usual.rejected, usual.cheats - usual.rejected]]
    return float(fisher_exact(table, alternative="less").pvalue)


def audit(family: str, problems: int, seed: int, run: Run | None = None) -> Rates:
    """`audit_problems` on new problems of `family`, over its whole range of difficulty."""
    made = list(generate(family, family_named(family).difficulties, problems, seed))
    return audit_problems(family, made, run)


def audit_problems(family: str, problems: Sequence[Problem], run: Run | None = None) -> Rates:
    """Plant cheats and valid forms in problems of `family`.

    `run` judges a program; without it, programs run in this process.
    """
    judge = run or passes
    counts: Counter[str] = Counter()
    survivors, refused = [], []
    for problem in problems:
        for kind, code in cheats(problem):
            counts[kind] += 1
            if judge(code, problem.entry_point, problem.cases):
                survivors.append(f"{kind} {problem.problem_id}:\n{code}")
            else:
                counts["rejected"] += 1
        for name, code in valid_forms(problem):
            counts["forms"] += 1
            if judge(code, problem.entry_point, problem.cases):
                counts["accepted"] += 1
            else:
                refused.append(f"{name} {problem.problem_id}")
    return Rates(
        family,
        len(problems),
        counts["constant"],
        counts["table"],
        counts["mutant"],
        counts["rejected"],
        counts["forms"],
        counts["accepted"],
        tuple(survivors),
        tuple(refused),
    )


def cheats(problem: Problem) -> Iterator[tuple[str, str]]:
    """Kind and code of every planted cheat of a problem."""
    head = f"def {problem.entry_point}(*args):\n"
    best, _ = Counter(case.expected for case in problem.cases).most_common(1)[0]
    yield "constant", f"{head}    return {values.decode(best)!r}\n"
    table = {repr(tuple(values.decode(case.args))): values.decode(case.expected) for case in problem.shown}
    yield "table", f"{head}    return {table!r}.get(repr(args), {values.decode(best)!r})\n"
    for code in mutants(problem):
        yield "mutant", code


def mutants(problem: Problem) -> Iterator[str]:
    """Every edit and every wrapper of the reference solution that answers some fresh input differently."""
    source, entry_point = problem.reference_solution, problem.entry_point
    run = bounded(source, entry_point)
    known = [(packed, result(run, packed)) for packed in fresh_inputs(problem)]
    for code in itertools.chain(edits(source), wrapped(source, entry_point)):
        if not answers(code, entry_point, known):
            yield code


_FORMS = {
    "reference": "{source}",
    "helper function": "{inner}\n\ndef {name}(*args):\n    return {call}\n",
    "nested function": "def {name}(*args):\n{indented}\n    return {call}\n",
    "imports": "import math\nfrom collections import Counter, defaultdict\nimport re, itertools, functools\n\n{source}",
    "typing imports": "from typing import Any, List, Optional\n\n{source}",
    "main guard": "{source}\n\nif __name__ == '__main__':\n    raise SystemExit('the guard must not run')\n",
    "class": "{inner}\n\nclass Solution:\n    def {name}(self, *args):\n        return {call}\n\n\n"
    "def {name}(*args):\n    return Solution().{name}(*args)\n",
    "docstring": '"""A module."""\n\n{inner}\n\ndef {name}(*args):\n    """What it does."""\n    return {call}\n',
    "type hints": "{inner}\n\ndef {name}(*args: object) -> object:\n    result: object = {call}\n    return result\n",
    "lambda": "{inner}\n\n{name} = lambda *args: {call}\n",
    "recursion": "{inner}\n\ndef {name}(*args, depth=3):\n    if depth:\n"
    "        return {name}(*args, depth=depth - 1)\n    return {call}\n",
    "generator": "{inner}\n\ndef {name}(*args):\n    def one():\n        yield {call}\n    return next(one())\n",
}
"""Shapes of a solution; `inner` is it under the name that `call` has."""


def valid_forms(problem: Problem) -> Iterator[tuple[str, str]]:
    """Name and code of the same solution in other shapes, each of which must pass."""
    name, source = problem.entry_point, problem.reference_solution
    inner = re.sub(rf"\b{name}\b", "inner_solution", source)
    parts = {"name": name, "source": source, "inner": inner, "indented": textwrap.indent(inner, "    ")}
    for form, code in _FORMS.items():
        yield form, code.format(**parts, call="inner_solution(*args)")


def fresh_inputs(problem: Problem) -> Iterator[str]:
    """`PROBED` encoded argument lists of a procedural problem, none from its own cases' streams."""
    family = family_named(problem.family)
    variant = family.space.variant(parsed(problem.variant))
    rng = Quick(seeds.derive(0, "audit mutants", problem.problem_id))
    for index in range(PROBED):
        stratum = STRATA[index % len(STRATA)]
        yield values.encode(family.sample(variant, rng, stratum, size_at(problem.difficulty)))


def passes(code: str, entry_point: str, cases: Sequence[Case]) -> bool:
    """Whether edited *trusted* code passes every case, in this process."""
    return answers(code, entry_point, [(case.args, case.expected) for case in cases])


def answers(code: str, entry_point: str, known: Sequence[tuple[str, str]]) -> bool:
    """Whether edited *trusted* code gives every known result, in this process."""
    try:
        run = bounded(code, entry_point, printed=False)
    except Exception:  # noqa: BLE001 (an edited program may break in any way; that is what is being asked)
        return False
    return all(result(run, packed) == expected for packed, expected in known)


def result(run: Callable[..., Any], packed: str) -> str:
    """The encoded result, or the name of what was raised."""
    restart()
    try:
        return values.encode(run(*values.decode(packed)))
    except Exception as error:  # noqa: BLE001 (as above)
        return type(error).__name__
