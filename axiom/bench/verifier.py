"""H2: do procedural problems with generated hidden cases give a cleaner signal than hand-written ones with their tests?

Two figures for each source of problems. *Verifier error*: of the wrong programs that lie one edit away from a correct
one, how many do the problem's own tests accept? Wrong means: another answer on some of `PROBED` fresh inputs. For
procedural problems these come from the family's generator, for HumanEval from recombining its own arguments, so that
they keep their types and ranges. *Detector precision*: what that error and the number of problems do to the
detection and timing of a jump, on simulated curves.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np

from axiom import seeds, values
from axiom.bench.curves import FAMILIES, TRAIN_N, Truth, sampled
from axiom.config import DetectionConfig, SandboxConfig
from axiom.evaluation import wilson_interval
from axiom.grokking import Curve, detect
from axiom.problems import GENERATORS, generate
from axiom.problems.benchmarks.humaneval import humaneval_problems
from axiom.problems.cases import audit
from axiom.problems.cases.bounded import bounded
from axiom.problems.cases.mutation import edits
from axiom.records import Case, Outcome, Problem
from axiom.verification import Candidate, Verifier

PROBED = 100
MOST_EDITS = 12
"""Edits tried of one solution."""
CPU_SECONDS = 0.25
"""An edit that loops for ever is wrong; it need not be waited for."""
HUMANEVAL_SIZE = 164
JUMPS = ("grokking", "partial_grokking")


@dataclass(frozen=True)
class Verifying:
    """How a source's tests judge wrong programs. `cases` is the mean number of calls that decide about a problem."""

    source: str
    problems: int
    cases: float
    wrong: int
    accepted: int

    @property
    def error(self) -> float:
        """Share of wrong programs that the tests accept."""
        return self.accepted / max(1, self.wrong)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of `error`. Edits of one problem are alike, so it is somewhat too narrow."""
        return wilson_interval(self.accepted, self.wrong)


@dataclass(frozen=True)
class Detecting:
    """What the detector makes of jumps that are measured on `n` problems with a verifier of this error."""

    source: str
    n: int
    error: float
    detections: float
    timing_error: float
    interval_width: float


def procedural_problems(count: int, seed: int) -> list[Problem]:
    """`count` problems of every family in turn, over its difficulties."""
    each = -(-count // len(GENERATORS))
    made = (generate(name, family.difficulties, each, seed) for name, family in GENERATORS.items())
    rows = list(chain.from_iterable(made))
    seeds.stream(seed, "bench verifier", "procedural").shuffle(rows)
    return rows[:count]


def hand_written_problems(count: int, seed: int) -> list[Problem]:
    """`count` of HumanEval's problems, drawn without regard to their order."""
    rows = list(humaneval_problems())
    seeds.stream(seed, "bench verifier", "humaneval").shuffle(rows)
    return rows[:count]


def verifying(source: str, problems: Iterable[Problem], verifier: Verifier) -> Verifying:
    """Judge edits of every reference solution in the sandbox: on fresh inputs for the truth, and on the tests."""
    chosen = list(problems)
    passed = {found.candidate_id for found in verifier.verify(_candidates(chosen)) if found.outcome is Outcome.PASSED}
    edited = [f"{problem.problem_id}:{number}" for problem in chosen for number, _ in _edits(problem)]
    wrong = [name for name in edited if f"{name}:fresh" not in passed]
    accepted = sum(f"{name}:tests" in passed for name in wrong)
    return Verifying(source, len(chosen), float(np.mean([len(p.cases) for p in chosen])), len(wrong), accepted)


def _candidates(problems: Iterable[Problem]) -> Iterator[Candidate]:
    for problem in problems:
        fresh = tuple(Case(args=packed, expected=result) for packed, result in _known(problem))
        for number, code in _edits(problem) if fresh else ():
            for purpose, cases in (("fresh", fresh), ("tests", problem.cases)):
                name = f"{problem.problem_id}:{number}:{purpose}"
                yield Candidate(name, code, problem.entry_point, cases, problem.comparison)


def _edits(problem: Problem) -> Iterator[tuple[int, str]]:
    return enumerate(islice(edits(problem.reference_solution), MOST_EDITS))


def _known(problem: Problem) -> Iterator[tuple[str, str]]:
    """Fresh inputs and what the reference answers; inputs it rejects are no inputs."""
    run = bounded(
        problem.reference_solution, problem.entry_point, printed=False
    )  # some hand-written ones never end on new input
    fresh = _recombined(problem) if problem.family == "humaneval" else audit.fresh_inputs(problem)
    for packed in islice(fresh, PROBED):
        result = audit.result(run, packed)
        if not result[:1].isupper():  # the name of what was raised; encoded values begin otherwise
            yield packed, result


def _recombined(problem: Problem) -> Iterator[str]:
    """Arguments made of pieces of the problem's own: lists and strings cut and joined, numbers exchanged."""
    rng = seeds.stream(0, "bench verifier", problem.problem_id)
    known = [values.decode(case.args) for case in problem.cases]
    for _ in range(PROBED):
        first, second = rng.choice(known), rng.choice(known)
        yield values.encode([_mixed(a, b, rng) for a, b in zip(first, second, strict=False)])


def _mixed(first: Any, second: Any, rng: random.Random) -> Any:
    if type(first) is not type(second):
        return first
    if isinstance(first, (list, str)):
        return first[: rng.randint(0, len(first))] + second[rng.randint(0, len(second)) :]
    return rng.choice((first, second))


def detecting(source: str, n: int, error: float, curves: int, evaluations: int = 50, seed: int = 0) -> Detecting:
    """Simulate jumps seen through a verifier that passes a share `error` of the wrong answers."""
    found, errors, widths = 0, [], []
    for family in JUMPS:
        for index in range(curves):
            rng = np.random.default_rng(seeds.derive(seed, "bench verifier", family, index))
            truth = FAMILIES[family](rng, evaluations)
            phases = detect(_seen(truth, n, error, rng), DetectionConfig())
            if phases.kind == "grokking" and phases.t_generalise is not None and truth.jump is not None:
                found += 1
                errors.append(abs(phases.t_generalise - truth.jump))
                widths.append((phases.t_generalise_high or 0.0) - (phases.t_generalise_low or 0.0))
    total = curves * len(JUMPS)
    return Detecting(source, n, error, found / total, float(np.median(errors)), float(np.median(widths)))


def _seen(truth: Truth, n: int, error: float, rng: np.random.Generator) -> Curve:
    dispersion = rng.uniform(1.0, 3.0)
    train = sampled(truth.train + error * (1 - truth.train), TRAIN_N, dispersion, rng)
    val = sampled(truth.val + error * (1 - truth.val), n, dispersion, rng)
    return Curve.of(np.arange(float(len(train))), train, val, TRAIN_N, n)


def sources(count: int, seed: int = 0) -> list[Verifying]:
    """Verifier error of `count` procedural problems and as many of HumanEval's."""
    with Verifier(SandboxConfig(cpu_seconds=CPU_SECONDS)) as verifier:
        return [
            verifying("procedural", procedural_problems(count, seed), verifier),
            verifying("HumanEval", hand_written_problems(count, seed), verifier),
        ]
