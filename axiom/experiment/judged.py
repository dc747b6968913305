"""Samples beside their problems and verdicts: what a person looks at together."""

import re
from typing import TYPE_CHECKING

from axiom import values
from axiom.errors import DataError
from axiom.experiment.folder import Experiment
from axiom.experiment.tables import lazy
from axiom.records import Case, Problem

if TYPE_CHECKING:
    import polars as pl

VERDICTS = {"samples": "verdicts", "eval_samples": "eval_verdicts"}
"""The table that has the verdicts of each table of samples."""
OF_THE_PROBLEM = ("problem_id", "split", "family", "difficulty", "title")
_CASE = re.compile(r"case (\d+)\b")


def judged(experiment: Experiment, table: str, iteration: int | None = None) -> "pl.DataFrame":
    """The rows of `samples` or `eval_samples` with the columns of their verdicts, and of their problems some.

    What is not there yet is null. Raises as `Experiment.frame` where there are no samples.
    """
    return judged_lazily(experiment, table, iteration).collect()


def judged_lazily(
    experiment: Experiment, table: str, iteration: int | None = None, most: int | None = None
) -> "pl.LazyFrame":
    """The same as a query that has not been run; with `most`, of the first rows alone."""
    rows = lazy(experiment.stages, table, iteration)
    rows = rows if most is None else rows.head(most)
    keys = [name for name in ("in_iteration", "sample_id") if name in rows.collect_schema().names()]
    for other, on, kept in ((VERDICTS[table], keys, None), ("problems", ["problem_id"], OF_THE_PROBLEM)):
        try:
            found = lazy(experiment.stages, other, iteration if kept is None else None)
        except DataError:
            continue
        found = found if kept is None else found.select(kept).unique("problem_id")
        rows = rows.join(found, on=on, how="left", maintain_order="left")
    return rows


def drawn(experiment: Experiment, iteration: int) -> "pl.DataFrame | None":
    """The training samples of an iteration with their verdicts, else those of its evaluation; None without any."""
    for table in VERDICTS:
        try:
            rows = judged(experiment, table, iteration)
        except DataError:
            continue
        if rows.height and "outcome" in rows.columns:
            return rows
    return None


def failing(problem: Problem, detail: str) -> Case | None:
    """The hidden case that a verdict's detail names, of a problem that asks for an answer its only one; else None."""
    if problem.kind == "answer":
        return problem.cases[0] if detail and problem.cases else None
    found = _CASE.match(detail)
    return problem.cases[int(found[1])] if found and int(found[1]) < len(problem.cases) else None


def failing_case(problem: Problem, detail: str) -> str | None:
    """The hidden call at which a program failed first, and what it should give; None where no single case is named.

    Of a problem that asks for an answer it is the right one.
    """
    case = failing(problem, detail)
    if case is None:
        return None
    if problem.kind == "answer":
        return repr(values.decode(case.expected))
    arguments = ", ".join(map(repr, values.decode(case.args)))
    return f"{problem.entry_point}({arguments}) -> {values.decode(case.expected)!r}"
