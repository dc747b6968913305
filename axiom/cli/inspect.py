"""`axiom inspect` and `axiom report`: look into an experiment's artifacts."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from axiom.cli import tables
from axiom.cli.app import app, console, say
from axiom.cli.outputs import check_file, check_folder
from axiom.cli.run import Name, Root
from axiom.cli.tables import AsJson
from axiom.commands import suggest
from axiom.errors import DataError
from axiom.experiment import DEFAULT_ROOT, Experiment, iteration_folder
from axiom.experiment.tables import OF_AN_ITERATION, OF_THE_RUN, lazy
from axiom.records import Problem
from axiom.sampling.prompts import fenced, question
from axiom.visible import visible

if TYPE_CHECKING:
    import polars as pl


COSTS = ("optimizer_step", "trained_tokens", "generated_tokens", "wall_seconds")
"""Columns of metrics that come last: they are the same in many rows."""
AS_TABLES = ("metrics", "events", "losses", "evaluation", "history", "verdicts", "eval_verdicts", "passed_over")
"""Tables of figures; the rows of others hold programs and long texts, and each is printed by itself."""
TABLES = (*OF_AN_ITERATION, *OF_THE_RUN, "problems")


@app.command()
def inspect(
    name: Name,
    iteration: Annotated[int | None, typer.Option(help="Iteration to show; without one, all of them.")] = None,
    stage: Annotated[
        str, typer.Option(help=f"Table to show: {', '.join(TABLES)}, or a split's problems: train, val, test, ...")
    ] = "",
    where: Annotated[
        str | None,
        typer.Option(help="Rows to show, as SQL: \"outcome = 'passed'\". Samples have their verdicts' columns too."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Number of rows to show at most.")] = 10,
    as_json: AsJson = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Print rows of a table. Samples come with problem, program, verdict and the case that failed.

    Example: axiom inspect quickstart --iteration 2 --where "outcome = 'wrong_answer' AND family = 'rpn'"
    """
    from axiom.experiment.judged import VERDICTS

    experiment = Experiment.open(root, name)
    if iteration is not None:
        _check_begun(experiment, iteration)
    table = stage or ("metrics" if iteration is None else _first_table(experiment, iteration))
    shown, count = _first(experiment, table, iteration, where, limit)
    if as_json:
        tables.as_json(shown.to_dicts())
        return
    of = "" if iteration is None else f", iteration {iteration}"
    say(f"{table} of {name}{of}: {count} rows")
    if table in VERDICTS:
        for row in shown.iter_rows(named=True):
            _print_sample(row, experiment.problems_by_id.get(row["problem_id"]))
    elif table not in AS_TABLES:
        for row in shown.iter_rows(named=True):
            _print_row(row)
    else:
        costs = [name for name in COSTS if name in shown.columns]
        shown = shown.select([name for name in shown.columns if name not in costs] + costs)
        cells = [[_cell(value) for value in row] for row in shown.iter_rows()]
        tables.show(console, "", shown.columns, cells)
    if count > limit:
        console.print(f"... {count - limit} more; --limit shows them", style="dim")


def _check_begun(experiment: Experiment, iteration: int) -> None:
    begun = experiment.iterations()
    if iteration not in begun:
        name = experiment.config.name
        has = f"iterations {begun[0]} to {begun[-1]}" if begun else "none yet"
        raise DataError(f"{name} has no iteration {iteration}, it has {has}")


def _first_table(experiment: Experiment, iteration: int) -> str:
    """The samples of an iteration; of one that only evaluates, those of its evaluation."""
    there = experiment.folder.join(iteration_folder(iteration))
    drawn = there.exists("samples.parquet") or not there.exists("eval_samples.parquet")
    return "samples" if drawn else "eval_samples"


def _first(
    experiment: Experiment, table: str, iteration: int | None, where: str | None, limit: int
) -> "tuple[pl.DataFrame, int]":
    """The first rows that are wanted, and how many there are; samples with their verdicts."""
    import polars as pl

    from axiom.experiment.judged import VERDICTS, judged_lazily

    rows = counted = lazy(experiment.stages, table, iteration)
    if table in VERDICTS:
        rows = judged_lazily(experiment, table, iteration, limit if where is None else None)
    columns = ", ".join(rows.collect_schema().names())
    try:
        if where is not None:
            rows = counted = rows.sql(f"SELECT * FROM self WHERE {where}")
        shown = rows.head(limit).collect(engine="streaming")
        return shown, int(counted.select(pl.len()).collect(engine="streaming").item())
    except pl.exceptions.PolarsError as error:
        if where is None:
            raise
        why = str(error).partition("\n")[0].partition("Resolved plan")[0].partition(";")[0].strip()
        raise DataError(f"--where {where!r} does not work on the columns {columns}: {why}") from None


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _print_sample(row: Mapping[str, Any], problem: Problem | None) -> None:
    """A sample with what it answers and what became of it."""
    from rich.rule import Rule
    from rich.text import Text

    from axiom.experiment.judged import failing_case

    console.print(Rule(Text(visible(row["sample_id"])), style="dim", align="left"))
    if problem is not None:
        title = f"{problem.title} ({problem.family}, difficulty {problem.difficulty}, {problem.split})"
        console.print(Text(visible(title), "bold"), soft_wrap=True)
        console.print(Text(visible(question(problem))), soft_wrap=True)
    for name in ("sample_id", "problem_id", "token_count", "finish_reason", "temperature", "policy_version"):
        _field(name, row[name])
    if row["completion"].strip() != fenced(row["code"]).strip() or not row["code"]:
        _field("completion", row["completion"])
    if row["code"]:
        _code("code", row["code"])
    if row.get("outcome") is None:
        return
    style = "bold green" if row["outcome"] == "passed" else "bold red"
    audit = {True: ", and the second hidden cases", False: ", but not the second hidden cases", None: ""}
    passed = f"{row['cases_passed']} of {row['cases_total']} hidden cases{audit[row['audit_passed']]}"
    console.print(Text(row["outcome"], style), Text(f"{passed}, {row['cpu_ms']:.1f} ms"), soft_wrap=True)
    failed = failing_case(problem, row["detail"]) if problem is not None else None
    for name, text in (("should be", failed), ("detail", row["detail"])):
        if text:
            _field(name, text)


def _print_row(row: Mapping[str, Any]) -> None:
    from rich.rule import Rule
    from rich.text import Text

    code = {name: row[name] for name in ("code", "target", "reference_solution") if row.get(name)}
    title = Text(visible(str(row.get("sample_id") or row.get("problem_id") or "")))
    console.print(Rule(title, style="dim", align="left"))
    for name, value in row.items():
        if name not in code:
            _field(name, value)
    for name, text in code.items():
        _code(name, text)


def _field(name: str, value: Any) -> None:
    from rich.text import Text

    console.print(Text(name, "bold"), Text(visible(str(value))), soft_wrap=True)  # a model may write [/b]


def _code(name: str, text: str) -> None:
    from rich.syntax import Syntax

    console.print(f"[bold]{name}[/]")
    console.print(Syntax(visible(text), "python", background_color="default", word_wrap=True))


@app.command()
def report(name: Name, root: Root = DEFAULT_ROOT) -> None:
    """Rewrite an experiment's HTML report and print its path.

    Example: axiom report quickstart
    """
    from axiom.report.page import write

    experiment = Experiment.open(root, name)
    if not experiment.folder.exists("metrics.parquet"):
        raise DataError(f"experiment {name!r} has no metrics yet; `{suggest('resume', name, root=root)}` continues it")
    experiment.folder.check_writable()
    say(write(experiment))


@app.command()
def plot(
    name: Name,
    out: Annotated[Path, typer.Option(help="File to write: .png, .svg, .json or .html.")],
    chart: Annotated[str, typer.Option(help="Which chart: accuracy, gold, outcomes or families.")] = "accuracy",
    root: Root = DEFAULT_ROOT,
) -> None:
    """Draw one chart of an experiment into a file.

    Example: axiom plot quickstart --chart families --out families.svg
    """
    from axiom.report import charts, curves

    known: dict[str, Any] = {
        "accuracy": charts.accuracy,
        "gold": charts.gold,
        "outcomes": charts.outcomes,
        "families": charts.families,
    }
    if chart not in known:
        raise DataError(f"no chart {chart!r}; choose one of {', '.join(known)}")
    experiment = Experiment.open(root, name)
    check_folder("--out", out.absolute().parent)
    check_file("--out", out, (".png", ".svg", ".json", ".html"))
    metrics = experiment.metrics()
    bands = {"confidence": experiment.config.evaluation.confidence} if chart == "accuracy" else {}
    curves.save(known[chart](metrics, **bands), out)
    say(str(out))
