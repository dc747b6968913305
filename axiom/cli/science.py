"""`axiom detect`, `control`, `bench detector`: phases of any curve, and whether the detector can be trusted."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from axiom.cli.app import app, bench_app, console

if TYPE_CHECKING:
    from axiom.bench.detector import Trial

Out = Annotated[Path | None, typer.Option(help="Draw the chart into this file: .png, .svg, .html or .json.")]


@app.command()
def detect(
    curve: Annotated[Path, typer.Argument(help="CSV: iteration, train_accuracy, val_accuracy [, train_n, val_n].")],
    as_json: Annotated[bool, typer.Option("--json", help="Print every figure as JSON.")] = False,
    out: Out = None,
) -> None:
    """Say what kind of curve this is, and when it memorised and generalised.

    Example: axiom detect curve.csv --json
    """
    from axiom import grokking

    read = grokking.read_csv(curve)
    grokking.check_curve(read)
    found = grokking.detect(read)
    if out is not None:
        from axiom import curve_charts

        curve_charts.save(curve_charts.phases(read, found, curve.stem), out)
    if as_json:
        online = [event.model_dump() for event in grokking.alarms(read)]
        by_original_rule = grokking.naive(read)
        rules = {"naive": None if by_original_rule is None else float(read.iteration[by_original_rule])}
        print(json.dumps(dataclasses.asdict(found) | {"online": online, "rules": rules}, indent=1))
    else:
        console.print(found.sentence(), highlight=False, soft_wrap=True)


@app.command()
def control(
    out: Annotated[Path, typer.Option(help="Folder for the charts (PNG, SVG and HTML).")] = Path("artifacts/control"),
    seed: Annotated[int, typer.Option(min=0, help="Root of the split and the network's first weights.")] = 0,
) -> None:
    """Train modular addition so that it groks, and twice so that it cannot; show what the detector says.

    Exits with 1 when the detector misses a jump or sees one where there is none.
    """
    from axiom import control as controls
    from axiom import curve_charts

    table = Table("control", "recipe", "steps", "seconds", "should grok", "it", "verdict")
    outcomes = controls.run(seed=seed)
    for outcome in outcomes:
        mark = "[green]as it should[/]" if outcome.as_expected else "[bold red]wrong[/]"
        table.add_row(
            outcome.control.name, outcome.control.description, str(outcome.control.steps), f"{outcome.seconds:.1f}",
            "yes" if outcome.control.groks else "no", outcome.phases.kind, mark,
        )  # fmt: skip
    console.print(table)
    for outcome in outcomes:
        console.print(f"[bold]{outcome.control.name}[/]: {outcome.phases.sentence()}", highlight=False)
    panels = {f"{o.control.name}: {o.control.description}": (o.curve, o.phases) for o in outcomes}
    chart = curve_charts.gallery(panels, "optimizer step")
    for suffix in ("png", "svg", "html"):
        curve_charts.save(chart, out / f"control.{suffix}")
    console.print(f"charts: {out}/control.png, .svg, .html")
    if not all(outcome.as_expected for outcome in outcomes):
        raise typer.Exit(1)


@bench_app.command("detector")
def bench_detector(
    curves: Annotated[int, typer.Option(min=1, help="Simulated curves of each family at each length.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Root of the simulation.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Calibrate the detector on curves whose truth is known, beside the original rule and the literature's."""
    from axiom.bench import detector

    trials = detector.simulate(curves, seed=seed, workers=workers)
    console.print(_by_family(trials))
    table = Table("rule", "evaluations", "false alarms", "detections", "timing error", "95 % intervals cover")
    for rule in detector.RULES:
        for length in (*detector.LENGTHS, None):
            chosen = [t for t in trials if length in (None, t.evaluations)]
            figures = detector.figures(chosen, rule)
            table.add_row(
                rule, str(length or "all"), f"{figures.false_alarms:.2%} of {figures.null}",
                f"{figures.detections:.1%} of {figures.real}", f"{figures.timing_error:.2f}",
                "-" if figures.coverage != figures.coverage else f"{figures.coverage:.1%}",
            )  # fmt: skip
    console.print(table)
    console.print(detector.online_sentence(trials), highlight=False)


def _by_family(trials: "list[Trial]") -> Table:
    from axiom.bench import detector

    table = Table("family", "evaluations", "true jump", *detector.RULES, "online", "kinds of curve axiom sees")
    for family in detector.FAMILIES:
        for length in detector.LENGTHS:
            rows = [t for t in trials if (t.family, t.evaluations) == (family, length)]
            fired = [f"{sum(t.times[rule] is not None for t in rows) / len(rows):.1%}" for rule in detector.RULES]
            kinds = ", ".join(f"{kind} {count}" for kind, count in detector.kinds(rows).items())
            jumps = "yes" if rows[0].jump is not None else "no"
            online = f"{sum(t.alarm for t in rows) / len(rows):.1%}"
            table.add_row(family, str(length), jumps, *fired, online, kinds)
    return table
