"""`axiom inspect` and `axiom report`: look into an experiment's artifacts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from axiom.cli.app import app, console
from axiom.cli.run import Name, Root
from axiom.errors import DataError
from axiom.experiment import DEFAULT_ROOT
from axiom.experiment.tables import OF_AN_ITERATION, OF_THE_RUN
from axiom.visible import visible

TABLES = (*OF_AN_ITERATION, *OF_THE_RUN, "problems")


@app.command()
def inspect(
    name: Name,
    iteration: Annotated[int | None, typer.Option(help="Iteration to show; without one, all of them.")] = None,
    stage: Annotated[
        str, typer.Option(help=f"Table to show: {', '.join(TABLES)}, or a split's problems: train, val, test, ...")
    ] = "",
    where: Annotated[str | None, typer.Option(help="Rows to show, as SQL: \"outcome = 'passed'\".")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Number of rows to show at most.")] = 10,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Print rows of a table of an experiment, with code highlighted.

    Example: axiom inspect quickstart --iteration 2 --stage verdicts --where "outcome = 'timeout'"
    """
    import polars as pl

    from axiom.experiment import Experiment

    experiment = Experiment.open(root, name)
    table = stage or ("metrics" if iteration is None else "samples")
    rows = experiment.frame(table, iteration)
    if where is not None:
        try:
            rows = rows.sql(f"SELECT * FROM self WHERE {where}")
        except pl.exceptions.PolarsError as error:
            raise DataError(
                f"--where {where!r} does not work on the columns {', '.join(rows.columns)}: {error}"
            ) from None
    of = "" if iteration is None else f", iteration {iteration}"
    console.print(f"{table} of {name}{of}: {rows.height} rows", highlight=False, markup=False, soft_wrap=True)
    for row in rows.head(limit).iter_rows(named=True):
        _print_row(row)
    if rows.height > limit:
        console.print(f"... {rows.height - limit} more; --limit shows them", style="dim")


def _print_row(row: Mapping[str, Any]) -> None:
    from rich.rule import Rule
    from rich.syntax import Syntax
    from rich.text import Text

    code = {name: row[name] for name in ("code", "target", "reference_solution") if row.get(name)}
    title = Text(visible(str(row.get("sample_id") or row.get("problem_id") or "")))
    console.print(Rule(title, style="dim", align="left"))
    for name, value in row.items():
        if name not in code:
            console.print(Text(name, "bold"), Text(visible(str(value))), soft_wrap=True)  # a model may write [/b]
    for name, text in code.items():
        console.print(f"[bold]{name}[/]")
        console.print(Syntax(visible(text), "python", background_color="default", word_wrap=True))


@app.command()
def report(name: Name, root: Root = DEFAULT_ROOT) -> None:
    """Rewrite an experiment's HTML report and print its path."""
    from axiom.experiment import Experiment
    from axiom.report.page import write

    experiment = Experiment.open(root, name)
    if not experiment.folder.exists("metrics.parquet"):
        raise DataError(f"experiment {name!r} has no metrics yet; `axiom resume {name}` continues it")
    experiment.folder.check_writable()
    console.print(write(experiment), highlight=False, markup=False, soft_wrap=True)


@app.command()
def plot(
    name: Name,
    out: Annotated[Path, typer.Option(help="File to write: .png, .svg, .json or .html.")],
    chart: Annotated[str, typer.Option(help="Which chart: accuracy, gold, outcomes or families.")] = "accuracy",
    root: Root = DEFAULT_ROOT,
) -> None:
    """Draw one chart of an experiment into a file."""
    from axiom.cli.outputs import check_file, check_folder
    from axiom.experiment import Experiment
    from axiom.records import Metric
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
    metrics = experiment.stages.read("", "metrics", Metric)
    bands = {"confidence": experiment.config.evaluation.confidence} if chart == "accuracy" else {}
    curves.save(known[chart](metrics, **bands), out)
    console.print(str(out), highlight=False, markup=False, soft_wrap=True)
