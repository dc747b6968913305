"""`axiom bench pipeline`, `store` and `cost`: where a round's time goes, and what other rounds would take."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from axiom.cli import tables
from axiom.cli.app import bench_app, console
from axiom.cli.outputs import check_file
from axiom.cli.run import Overrides
from axiom.cli.tables import AsJson
from axiom.cli.workflow import load_flow, start_server
from axiom.config import load_config
from axiom.errors import ConfigError

if TYPE_CHECKING:
    from axiom.bench.store import Cost


@bench_app.command()
def pipeline(
    preset: Annotated[str, typer.Argument(help="A TOML file, or the name of a preset.")] = "quickstart",
    iterations: Annotated[int, typer.Option(min=1, help="Iterations to measure, after the base model's.")] = 2,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Measure where an iteration's wall time goes: sampling, verification, training, evaluation and the rest."""
    from axiom.bench.pipeline import measure

    config = load_config(preset, overrides or (), iterations=iterations)
    start_server()
    flow = load_flow("axiom.flows.experiment", "experiment")
    found, peak = measure(config, flow)
    if as_json:
        tables.as_json({"iterations": found, "peak_memory_mib": peak})
        return
    parts = list(found[0].seconds)
    rows = [[part, *(f"{row.seconds[part]:.2f} s {row.share(part):6.1%}" for row in found)] for part in parts] + [
        ["wall", *(f"{row.wall_seconds:.2f} s" for row in found)]
    ]
    tables.show(console, f"Wall time of {preset}", ["part", *(f"iteration {row.iteration}" for row in found)], rows)
    shares = ", ".join(f"{row.share('orchestration', 'storage'):.1%}" for row in found)
    console.print(f"orchestration and storage together: {shares} of an iteration", highlight=False)
    console.print(f"peak memory of all processes: {peak / 1024:.2f} GiB", highlight=False)


@bench_app.command("store")
def bench_store(
    least: Annotated[int, typer.Option("--from", min=100, help="Samples of the iteration, at first.")] = 10_000,
    most: Annotated[
        int, typer.Option("--to", min=100, help="Ten times as many at each step, up to so many.")
    ] = 1_000_000,
    draws: Annotated[int, typer.Option(min=1, help="Samples of each problem: of few there are many problems.")] = 100,
    folder: Annotated[
        Path | None, typer.Option(help="Folder for the samples, 2 GB of a million; it is emptied.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure seconds and memory of the stages behind sampling, reading tables in parts and whole.

    Example: axiom bench store --to 100000
    """
    from axiom.bench.store import measure

    if least > most:
        raise ConfigError(f"--from {least} is more than --to {most}; the first size is the smaller one")
    sizes = [least]
    while sizes[-1] * 10 <= most:
        sizes.append(sizes[-1] * 10)
    found = list(measure(sizes, folder, draws=draws))
    if as_json:
        tables.as_json(found)
        return
    for size in sizes:
        costs = {(row.stage, row.way): row for row in found if row.samples == size}
        rows = [
            [stage, *_figures(costs[stage, "parts"]), *_figures(costs[stage, "whole"])]
            for stage, way in costs
            if way == "parts"
        ]
        header = ["stage", "in parts", "CPU", "peak", "whole", "CPU", "peak"]
        tables.show(console, f"{size:,} samples, and as many of the evaluation", header, rows)


def _figures(cost: "Cost") -> list[str]:
    return [f"{cost.seconds:.1f} s", f"{cost.cpu_seconds:.1f} s", f"{cost.peak_mib:,.0f} MiB"]


@bench_app.command()
def cost(
    measure: Annotated[
        Path | None,
        typer.Option(help="Measure this machine's points, some ten minutes on two cores, and write them to this CSV."),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables of docs/scaling.md.")] = False,
) -> None:
    """Fit what each stage of a round costs to stored points, check it on others, and say what larger rounds take.

    Example: axiom bench cost --markdown
    """
    from axiom.bench import cost as costs
    from axiom.report.render import markdown_table

    if measure is not None:
        from axiom.bench import cost_points

        check_file("--measure", measure, (".csv",))
        cost_points.write(cost_points.measured(), measure)
        return
    lines = costs.fit(costs.read())
    for title, (header, rows) in (
        ("Lines and their held-out points", costs.fits(lines)),
        ("Seconds of a round", costs.forecasts(lines)),
    ):
        if markdown:
            print(markdown_table(header, rows), end="\n\n")
        else:
            tables.show(console, title, header, rows)
