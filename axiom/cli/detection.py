"""`axiom detect`, `control`, `bench detector` and `verifier`: phases of curves, and how far to trust them."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from axiom.cli import tables
from axiom.cli.app import app, bench_app, console, say
from axiom.cli.outputs import check_file, check_folder
from axiom.cli.run import Root
from axiom.cli.tables import AsJson
from axiom.experiment import DEFAULT_ROOT, Experiment, iteration_folder
from axiom.records import Evaluation

if TYPE_CHECKING:
    from axiom.bench.detector import Trial
    from axiom.grokking import Curve, Phases
    from axiom.report.study import Table as Rows

Out = Annotated[Path | None, typer.Option(help="Draw the chart into this file: .png, .svg, .html or .json.")]


@app.command()
def detect(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|NAME",
            help="CSV, TSV, JSON, JSONL or npz with iteration, step or epoch, train_accuracy (train_acc ...), "
            "val_accuracy or test_accuracy [, train_n, val_n], as fractions or percent; or an experiment's name.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print every figure as JSON.")] = False,
    out: Out = None,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Classify an accuracy curve: does it grok, when did it memorise, when did it generalise?

    For an experiment, every split, family and difficulty is classified.

    Example: axiom detect curve.csv --json
    """
    from axiom import grokking

    if out is not None:
        check_folder("--out", out.absolute().parent)
        check_file("--out", out, (".png", ".svg", ".html", ".json"))
    if not grokking.is_table(source):
        _detect_slices(root, source, as_json, out)
        return
    read = grokking.read_curve(Path(source))
    grokking.check_curve(read)
    found = grokking.detect(read)
    if out is not None:
        from axiom.report import curves as curve_charts

        curve_charts.save(curve_charts.phases(read, found, Path(source).stem), out)
    if as_json:
        online = [event.model_dump() for event in grokking.alarms(read)]
        by_original_rule = grokking.naive(read)
        rules = {"naive": None if by_original_rule is None else float(read.iteration[by_original_rule])}
        print(json.dumps(dataclasses.asdict(found) | {"online": online, "rules": rules}, indent=1))
    else:
        console.print(found.sentence(), highlight=False, soft_wrap=True)


def _detect_slices(root: str, name: str, as_json: bool, out: Path | None) -> None:
    from axiom import grokking

    experiment = Experiment.open(root, name)
    curves = _slices(experiment)
    found = {part: grokking.detect(curve, experiment.config.detection) for part, curve in curves.items()}
    if out is not None:
        from axiom.report import curves as curve_charts

        panels = {part: (curves[part], phases) for part, phases in found.items()}
        curve_charts.save(curve_charts.gallery(panels, "iteration"), out)
    bounds = grokking.from_nothing(_evaluations(experiment), experiment.config.evaluation.confidence)
    if as_json:
        figures = {part: dataclasses.asdict(phases) for part, phases in found.items()}
        for part, bound in bounds.items():
            figures.setdefault(part, {})["from_nothing"] = dataclasses.asdict(bound)
        print(json.dumps(figures, indent=1))
        return
    written: tables.Columns = {
        "slice": "{0[0]}",
        "kind": "{0[1].kind}",
        "memorised": lambda row: _figure(row[1].t_memorise),
        "generalised": lambda row: _generalised(row[1]),
        "delay": lambda row: _figure(row[1].delay_ratio),
    }
    tables.show(console, "", *tables.columns(found.items(), written))
    for part, bound in bounds.items():
        say(bound.sentence(part))


def _slices(experiment: Experiment) -> "dict[str, Curve]":
    from axiom import grokking

    metrics = experiment.metrics()
    return grokking.slices(metrics) | grokking.unsolved(_evaluations(experiment))


def _evaluations(experiment: Experiment) -> dict[int, list[Evaluation]]:
    return {
        number: experiment.stages.read(iteration_folder(number), "evaluation", Evaluation)
        for number in experiment.iterations("evaluation")
    }


def _generalised(phases: "Phases") -> str:
    ends = f" [{phases.t_generalise_low:.1f}, {phases.t_generalise_high:.1f}]" if phases.t_generalise else ""
    return _figure(phases.t_generalise) + ends


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


@app.command()
def control(
    out: Annotated[Path, typer.Option(help="Folder for the charts (PNG, SVG and HTML).")] = Path("artifacts/control"),
    seed: Annotated[int, typer.Option(min=0, help="Root of the split and the network's first weights.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Run the controls: two modular-addition recipes that grok, two that cannot.

    Exits with 1 if the detector misses a jump or reports one that is not there.
    """
    from axiom.bench import control as controls
    from axiom.report import curves as curve_charts

    check_folder("--out", out)
    outcomes = controls.run(seed=seed)
    if as_json:
        names = ("control", "phases", "seconds", "as_expected")
        tables.as_json([{name: getattr(one, name) for name in names} for one in outcomes])
    else:
        written: tables.Columns = {
            "control": "{0.control.name}",
            "verdict": lambda one: "as expected" if one.as_expected else "wrong",
            "detector": "{0.phases.kind}",
            "should grok": lambda one: "yes" if one.control.groks else "no",
            "seconds": "{0.seconds:.1f}",
            "steps": "{0.control.steps}",
            "recipe": "{0.control.description}",
        }
        tables.show(console, "", *tables.columns(outcomes, written))
        for one in outcomes:
            console.print(f"[bold]{one.control.name}[/]: {one.phases.sentence()}", highlight=False)
    panels = {f"{o.control.name}: {o.control.description}": (o.curve, o.phases) for o in outcomes}
    chart = curve_charts.gallery(panels, "optimizer step")
    for suffix in ("png", "svg", "html"):
        curve_charts.save(chart, out / f"control.{suffix}")
    if not as_json:
        console.print(f"charts: {out}/control.png, .svg, .html", markup=False)
    if not all(outcome.as_expected for outcome in outcomes):
        raise typer.Exit(1)


@bench_app.command("detector")
def bench_detector(
    curves: Annotated[int, typer.Option(min=1, help="Simulated curves of each family at each length.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Root of the simulation.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Calibrate the detector on simulated curves, beside the original rule and the literature's."""
    from axiom.bench import detector

    trials = detector.simulate(curves, seed=seed, workers=workers)
    if as_json:
        tables.as_json({rule: detector.figures(trials, rule) for rule in detector.RULES} | {"trials": trials})
        return
    tables.show(console, "Share of curves in which each rule sees a lasting jump", *_by_family(trials))
    rows = []
    for rule in detector.RULES:
        for length in (*detector.LENGTHS, None):
            chosen = [t for t in trials if length in (None, t.evaluations)]
            figures = detector.figures(chosen, rule)
            covered = "-" if figures.coverage != figures.coverage else f"{figures.coverage:.1%}"
            alarms = f"{figures.false_alarms:.2%} of {figures.null}"
            found = f"{figures.detections:.1%} of {figures.real}"
            rows.append([rule, str(length or "all"), alarms, found, f"{figures.timing_error:.2f}", covered])
    header = ["rule", "length", "false alarms", "detections", "timing error", "covered"]
    tables.show(console, "All families; the timing error is in evaluations, 95 % intervals", header, rows)
    console.print(detector.online_sentence(trials), highlight=False)


def _by_family(trials: "list[Trial]") -> "Rows":
    from axiom.bench import detector

    table = []
    for family in detector.FAMILIES:
        for length in detector.LENGTHS:
            rows = [t for t in trials if (t.family, t.evaluations) == (family, length)]
            fired = [f"{sum(t.times[rule] is not None for t in rows) / len(rows):.0%}" for rule in detector.RULES]
            kind = next(iter(detector.kinds(rows)))
            jumps = "yes" if rows[0].jump is not None else "no"
            online = f"{sum(t.alarm for t in rows) / len(rows):.0%}"
            table.append([family, str(length), jumps, *fired, online, kind])
    header = ["curves", "length", "jump", "naive", "lit.", "axiom", "online", "kind"]
    return header, table


@bench_app.command("verifier")
def bench_verifier(
    problems: Annotated[int, typer.Option(min=1, max=164, help="Problems of each source.")] = 164,
    curves: Annotated[int, typer.Option(min=1, help="Simulated jumps of each kind.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Root of every choice.")] = 0,
    as_json: AsJson = False,
) -> None:
    """H2: verifier error and detector precision on procedural problems beside HumanEval."""
    from axiom.bench import verifier

    found = verifier.sources(problems, seed)
    if not as_json:
        written: tables.Columns = {
            "source": "{0.source}",
            "problems": "{0.problems}",
            "cases each": "{0.cases:.1f}",
            "wrong programs": "{0.wrong}",
            "accepted": "{0.accepted}",
            "error": "{0.error:.2%}",
            "95 %": "{0.interval[0]:.2%} to {0.interval[1]:.2%}",
        }
        tables.show(console, "Verifier error", *tables.columns(found, written))
    sizes = (("procedural", 1000), ("procedural", 200), ("HumanEval", verifier.HUMANEVAL_SIZE))
    wrong = {row.source: row.error for row in found}
    detected = [verifier.detecting(source, size, wrong[source], curves, seed=seed) for source, size in sizes]
    if as_json:
        tables.as_json({"verifier": found, "detector": detected})
        return
    figures: tables.Columns = {
        "source": "{0.source}",
        "problems an evaluation": "{0.n}",
        "error": "{0.error:.2%}",
        "detections": "{0.detections:.1%}",
        "timing error": "{0.timing_error:.3f}",
        "interval": "{0.interval_width:.2f}",
    }
    tables.show(console, "Detector on simulated jumps", *tables.columns(detected, figures))
