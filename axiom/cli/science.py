"""`axiom detect`, `control`, `study`, `compare`, `bench detector`: phases, and what runs say about hypotheses."""

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from axiom.cli import tables
from axiom.cli.app import app, bench_app, console, errors
from axiom.cli.complete import studies
from axiom.cli.outputs import check_file, check_folder
from axiom.cli.run import Dry, Quiet, Root
from axiom.cli.tables import AsJson
from axiom.cli.workflow import interruptible, load_flow
from axiom.commands import suggest
from axiom.config import find_preset
from axiom.config.presets import SHIPPED
from axiom.errors import ConfigError, DataError
from axiom.experiment import DEFAULT_ROOT
from axiom.progress import Progress, listen

if TYPE_CHECKING:
    from axiom.bench.detector import Trial
    from axiom.experiment import Experiment
    from axiom.grokking import Curve
    from axiom.records import Evaluation
    from axiom.report.study import Origin, Table as Rows
    from axiom.study import Comparison, Study, StudyConfig
    from axiom.study.transfer import Gain

MOST_BESIDE = 64
OF_THE_FILE = "a study file sets its own"
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
    from axiom.experiment import Experiment

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
    rows = []
    for part, phases in found.items():
        interval = f" [{phases.t_generalise_low:.1f}, {phases.t_generalise_high:.1f}]" if phases.t_generalise else ""
        generalised = _figure(phases.t_generalise) + interval
        rows.append([part, phases.kind, _figure(phases.t_memorise), generalised, _figure(phases.delay_ratio)])
    tables.show(console, "", ["slice", "kind", "memorised", "generalised", "delay"], rows)
    for part, bound in bounds.items():
        console.print(bound.sentence(part), highlight=False, soft_wrap=True, markup=False)


def _slices(experiment: "Experiment") -> "dict[str, Curve]":
    from axiom import grokking

    metrics = experiment.metrics()
    return grokking.slices(metrics) | grokking.unsolved(_evaluations(experiment))


def _evaluations(experiment: "Experiment") -> "dict[int, list[Evaluation]]":
    from axiom.experiment import iteration_folder
    from axiom.records import Evaluation

    return {
        number: experiment.stages.read(iteration_folder(number), "evaluation", Evaluation)
        for number in experiment.iterations("evaluation")
    }


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
    rows = [
        [
            one.control.name,
            "as expected" if one.as_expected else "wrong",
            one.phases.kind,
            "yes" if one.control.groks else "no",
            f"{one.seconds:.1f}",
            str(one.control.steps),
            one.control.description,
        ]
        for one in outcomes
    ]
    if as_json:
        names = ("control", "phases", "seconds", "as_expected")
        tables.as_json([{name: getattr(one, name) for name in names} for one in outcomes])
    else:
        tables.show(console, "", ["control", "verdict", "detector", "should grok", "seconds", "steps", "recipe"], rows)
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


@app.command()
def study(
    path: Annotated[
        Path,
        typer.Argument(
            help="A TOML file with name, preset, arms and seeds; or the name of a study.", autocompletion=studies
        ),
    ],
    shard: Annotated[
        str, typer.Option(help="I/N: run shard I of N of the seeds, so that several workers can split a study.")
    ] = "1/1",
    parallel: Annotated[
        str,
        typer.Option(help="Runs beside each other on this machine, each in a process of its own: a number, or auto."),
    ] = "1",
    submit: Annotated[
        str | None,
        typer.Option(
            metavar="POOL",
            help="Run nothing here: give each missing run to this Prefect work pool, whose workers take them.",
        ),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Run nothing; print the power for differences of several sizes.")
    ] = False,
    pilot: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="With --plan: a study with finished runs, or a folder that `axiom compare` wrote, from which the "
            "scatter of pairs is estimated.",
        ),
    ] = None,
    dry_run: Dry = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Run every arm over every seed; a second call continues where the first stopped.

    Example: axiom study h1-modular --shard 2/4
    """
    from axiom.folders import Folder
    from axiom.study import load_study, plan as runs_of

    if submit is not None and (shard, parallel) != ("1/1", "1"):
        raise ConfigError("--submit leaves it to the workers which runs go on where; leave out --shard and --parallel")
    config = load_study(path)
    for seed in {0, config.seeds - 1}:
        runs_of(config, seed)
    if plan or pilot:
        _show_plan(config, pilot, root, as_json)
        return
    part, parts = _shard(shard)
    beside = _beside(parallel)
    if dry_run:
        from axiom.cli.plan import show_study

        show_study(
            [one for seed in range(part - 1, config.seeds, parts) for one in runs_of(config, seed)], root, as_json
        )
        return
    if submit is not None:
        _submit(path, root, submit, quiet, as_json)
        return
    Folder(root).check_writable()
    flow = _study_flow(beside)
    with interruptible("the same command"), listen(_silent if quiet or as_json else _line):
        results = flow(path=str(path), root=root, shard=part - 1, shards=parts, parallel=beside)
    if as_json:
        tables.as_json(results)
    for result in results if not as_json and not quiet else ():
        console.print(f"[bold]{result['name']}[/]: {result['phases']}", highlight=False)
        if result["ledger"]:
            console.print(f"[bold red]{result['name']}[/]: no verdict, {result['ledger']}", highlight=False)
    if quiet or as_json:
        return
    following = suggest("compare", str(path), root=root)
    console.print(
        f"{len(results)} runs of {config.seeds} seeds done; next: {following}",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def _submit(path: Path, root: str, pool: str, quiet: bool, as_json: bool) -> None:
    """Submit what is missing of a study and print how each run stands that is not done; as JSON each run."""
    module = "axiom.flows.submit"
    with interruptible("the same command"):
        standing, page = load_flow(module, "submit")(str(path), root, pool)
    if as_json:
        tables.as_json([dataclasses.asdict(one) for one in standing])
    if quiet or as_json:
        return
    root = load_flow(module, "shared")(root)
    lines = [f"{one.run}: {one.state}{one.why and f'. {one.why}'}" for one in standing if one.state != "Done"]
    lines += [load_flow(module, "summary")(standing), f"Runs, their logs and pages: {page}"]
    lines.append(f"Start workers, on any machine that has {root}: prefect worker start --pool {pool} --limit 1")
    again = suggest("study", str(path), "--submit", pool, root=root)
    lines.append(f"The same command again shows how they stand and submits what was lost: {again}")
    lines.append(f"When all are done: {suggest('compare', str(path), root=root)}")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _study_flow(beside: int) -> Callable[..., Any]:
    """The study's flow. Runs beside each other that are given no server need none, nor does their study."""
    alone = beside != 1 and not os.environ.get("PREFECT_API_URL")
    return load_flow("axiom.flows.study", "without_server" if alone else "study")


def _line(progress: Progress) -> None:
    """A line for each run and each round that is done."""
    if progress.note and progress.stage in ("study", "done", "stop", "warning"):
        head = f"iteration {progress.iteration} · " if progress.stage in ("done", "stop") else ""
        console.print(f"{head}{progress.note}", style="dim", highlight=False, markup=False, soft_wrap=True)


def _silent(progress: Progress) -> None:
    """Warnings alone."""
    if progress.stage == "warning":
        errors.print(progress.note, style="yellow", highlight=False, markup=False)


def _beside(text: str) -> int:
    """Runs beside each other; 0 for as many as the machine holds."""
    if text == "auto":
        return 0
    if not text.isdecimal() or not 1 <= int(text) <= MOST_BESIDE:
        raise ConfigError(f"--parallel {text!r} is not a number of runs from 1 to {MOST_BESIDE}; or write auto")
    return int(text)


def _show_plan(config: "StudyConfig", pilot: Path | None, root: str, as_json: bool) -> None:
    from axiom.study import power

    if not config.comparisons:
        console.print(
            f"The study has {config.count()}. Its conditions are measured on other problems, so their times are not "
            f"compared and no test sets the number of seeds; the intervals of its transfer matrix need two at least.",
            highlight=False,
            soft_wrap=True,
        )
        return
    noise = None
    if pilot is not None and find_preset(pilot).suffix == ".toml":
        noise = power.differences(_pilot_runs(pilot, root))
    elif pilot is not None:
        noise = power.read_figures(pilot)
    plans = power.plans(config, noise)
    if as_json:
        tables.as_json({"study": config.count(), "comparisons": config.comparisons, "plans": plans})
        return
    if noise is not None:
        planned = {plan.other for plan in plans} | {"expert_iteration"}
        for arm in (arm for arm in config.groups if arm not in planned):
            why = "has fewer than two pairs or pairs that are all alike" if arm in noise else "has no such arm"
            console.print(f"No power for {arm}: the pilot {why}.", highlight=False, soft_wrap=True)
    for plan in plans:
        title = f"Power to find that {plan.other} differs from expert_iteration; differences in {plan.unit}"
        tables.show(console, title, *power.rows(plan))
    console.print(
        f"The study has {config.count()}. The level of each test is {plan.alpha:.4g}, that of Holm's first step over "
        f"{config.comparisons} comparison{'s' if config.comparisons > 1 else ''}; fewer than {plan.fewest} seeds "
        f"cannot reach it.",
        highlight=False,
        soft_wrap=True,
    )


def _pilot_runs(path: Path, root: str) -> list[tuple[str, int, float, float]]:
    """Arm, seed, time and horizon of the runs of a study that are finished."""
    from axiom.experiment import Experiment, experiment_names
    from axiom.study import load_study, read

    study, found = load_study(path), []
    names = {name: one.label for name, one in study.condition_of_run().items()}
    for name in sorted(set(study.runs()) & set(experiment_names(root))):
        try:
            run = read(Experiment.open(root, name), study.reading())
        except DataError:  # still running
            continue
        found.append((names[name], run.seed, run.time, run.horizon))
    return found


def _shard(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise ConfigError(f"--shard {text!r} must be I/N with 1 <= I <= N, such as 2/4")
    return int(part), int(parts)


@app.command()
def compare(
    names: Annotated[
        list[str],
        typer.Argument(
            help="A study, by file or name; the names of finished runs of two arms or more; or runs and forks of them."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for the page and the charts.")] = None,
    split: Annotated[
        str | None, typer.Option(help=f"Split on which generalisation is measured (val); {OF_THE_FILE}.")
    ] = None,
    level: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help=f"Accuracy from which a run counts as generalised (0.9); {OF_THE_FILE}."),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(
            min=0.5, max=0.999, help=f"Confidence of intervals; tests decide at 1 minus it (0.95); {OF_THE_FILE}."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print every figure as JSON instead of text; the page is written as well.")
    ] = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Compare arms over paired seeds: survival analysis, paired test, power, and a verdict in words.

    Forks are compared with the runs they come from, paired by what they share. Of a study some of whose runs are not
    finished the page shows the others and compares nothing.

    Example: axiom compare h1-modular --out artifacts/h1
    """
    from axiom.report import study as reports
    from axiom.study import Reading, Study, check_arms, transfer

    given = {"split": split, "level": level, "confidence": confidence}
    chosen_here: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if len(names) == 1 and find_preset(names[0]).suffix == ".toml":
        for name, value in chosen_here.items():
            raise ConfigError(
                f"--{name} {value} cannot be given with a study file, which sets it; change it in {names[0]}"
            )
        study = Study.load(names[0], root, partly=True)
    else:
        study = Study(names[0], tuple(names), Reading(**chosen_here), root)
    arms = study.arms
    check_arms(arms)
    command = suggest("compare", *names, *(f"--{name}={value}" for name, value in chosen_here.items()), root=root)
    folder = out or Path("artifacts") / f"compare-{study.name}"
    check_folder("--out", folder)
    found, refused = [], None
    try:
        found = study.compare()
    except DataError as error:  # too few pairs for a verdict, but not for the charts
        refused = error
    _draw(study, found, folder, refused, command)
    if as_json:
        print((folder / "figures.json").read_text(encoding="utf-8"))
    else:
        swept = _swept(study, found)
        tables.show(console, *(("Conditions", *swept[0]) if swept else ("Arms", *reports.arm_rows(arms))))
        gains = _gains(study)
        if gains:
            tables.show(console, "Transfer", *transfer.table(gains))
        if len(arms) <= reports.MOST_SIDE_BY_SIDE:
            tables.show(console, "Ledger: sums over rounds, means over runs", *reports.ledger_rows(arms))
        for sentence in (*(swept[1] if swept else ()), *_paragraphs(study, found), *_transferred(study, gains)):
            console.print(f"\n{sentence}", highlight=False, markup=False)
        console.print(f"\nreport and charts: {folder}/report.html", highlight=False, markup=False, soft_wrap=True)
    if refused is not None:
        raise refused


def _swept(study: "Study", found: "Sequence[Comparison]") -> "tuple[Rows, list[str]] | None":
    """The table of a study with variants or a grid, and what it says where all of its runs are there."""
    from axiom.study import sweep

    config = study.config
    if config is None or not (config.grid or config.variants):
        return None
    rows = sweep.rows(config, study.arms, found)
    return sweep.table(config, rows), [] if study.left_out else sweep.sentences(config, rows)


def _gains(study: "Study") -> "list[Gain]":
    """The transfer matrix of a study whose conditions train other families; nothing of any other."""
    from axiom.study import transfer

    config = study.config
    if config is None or not transfer.is_about_families(config):
        return []
    return transfer.matrix(study.arms, config.confidence)


def _transferred(study: "Study", gains: "list[Gain]") -> list[str]:
    from axiom.study import transfer

    return [transfer.sentence(gains, study.reading.confidence)] if gains else []


def _paragraphs(study: "Study", found: "Sequence[Comparison]") -> list[str]:
    """What each comparison says; of a grid the table has their figures."""
    from axiom.study import paragraphs

    return paragraphs(found) if not (study.config and study.config.grid) else []


def _draw(study: "Study", found: "Sequence[Comparison]", folder: Path, refused: DataError | None, command: str) -> None:
    import polars as pl

    from axiom.folders import whole
    from axiom.report import curves as curve_charts, study as report, study_charts as charts, sweep_charts
    from axiom.study import sweep, transfer

    arms, reading = study.arms, study.reading
    worded = {report.arm_in_words(name): runs for name, runs in arms.items()}
    boxes = [report.in_words(comparison) for comparison in found]
    made = charts.all_of(worded, boxes, reading.clock, reading.split, reading.confidence)
    swept = _swept(study, found)
    if swept and study.config:
        made = sweep_charts.charts(study.config, sweep.rows(study.config, arms, found)) | made
    gains = _gains(study)
    if gains:
        made = {"transfer": sweep_charts.transfer_map(gains)} | made
    for name, chart in made.items():
        curve_charts.save(chart, folder / f"{name}.svg")
    why = None if refused is None else str(refused)
    folded = boxes if why is None and not (study.config and study.config.grid) else []
    sentences = [*(swept[1] if swept else ()), *([why] if why else ()), *_transferred(study, gains)]
    matrix = transfer.table(gains) if gains else None
    with whole(folder / "report.html") as file:
        text = report.page(
            study.name, worded, sentences, made, swept and swept[0], matrix, folded, _origin(study, folder, command)
        )
        file.write_text(text, encoding="utf-8")
    with whole(folder / "figures.json") as file:
        file.write_text(report.figures(arms, found, why), encoding="utf-8")
    with whole(folder / "metrics.parquet") as file:
        study.measurements().write_parquet(file, compression="zstd")
    if gains:
        with whole(folder / "gains.parquet") as file:
            pl.DataFrame(transfer.by_run(study.arms)).write_parquet(file, compression="zstd")


def _origin(study: "Study", folder: Path, command: str) -> "Origin":
    """The plan, the command and the runs behind a study's page; paths as seen from where the command ran."""
    from axiom.report.study import origin

    config = study.config
    plan = config.model_dump(mode="json", exclude_defaults=True) if config else dataclasses.asdict(study.reading)
    if config:
        preset = Path(config.preset)
        plan["preset"] = preset.stem if preset.parent == SHIPPED else os.path.relpath(preset)
    names = [run.name for runs in study.arms.values() for run in runs]
    return origin(study.root, names, folder, command, plan)


@bench_app.command("study")
def bench_study(
    path: Annotated[Path, typer.Argument(help="A study's TOML file, or the name of a study.")] = Path("h1-modular"),
    parallel: Annotated[str, typer.Option(help="Runs beside each other: a number, or auto.")] = "auto",
    in_turn: Annotated[int, typer.Option(min=1, help="Seeds whose runs go on in turn, to compare with.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Time a study's runs beside each other against runs in turn, and say how busy the machine was.

    Example: axiom bench study h1-modular --parallel 2
    """
    from axiom.bench.study import measure

    beside = _beside(parallel)
    flow = _study_flow(beside)
    with interruptible("the same command"), listen(_silent if as_json else _line):
        found = measure(path, beside, in_turn, flow)
    if as_json:
        tables.as_json(found)
        return
    rows = [
        [
            row.way,
            str(row.runs),
            f"{row.seconds:.0f} s",
            f"{row.seconds / row.runs:.1f} s",
            f"{row.cores:.0%}",
            "none" if row.gpu is None else f"{row.gpu:.0%}",
        ]
        for row in found
    ]
    header = ["way", "runs", "in all", "a run", "cores in use", "GPU in use"]
    tables.show(console, f"Runs of {path}", header, rows)
    each = [row.seconds / row.runs for row in found]
    console.print(f"beside each other the study is {each[1] / each[0]:.1f} times as fast as in turn", highlight=False)


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
    rows = [
        [
            row.source,
            str(row.problems),
            f"{row.cases:.1f}",
            str(row.wrong),
            str(row.accepted),
            f"{row.error:.2%}",
            f"{row.interval[0]:.2%} to {row.interval[1]:.2%}",
        ]
        for row in found
    ]
    header = ["source", "problems", "cases each", "wrong programs", "accepted", "error", "95 %"]
    if not as_json:
        tables.show(console, "Verifier error", header, rows)
    sizes = (("procedural", 1000), ("procedural", 200), ("HumanEval", verifier.HUMANEVAL_SIZE))
    wrong = {row.source: row.error for row in found}
    detected = [verifier.detecting(source, size, wrong[source], curves, seed=seed) for source, size in sizes]
    if as_json:
        tables.as_json({"verifier": found, "detector": detected})
        return
    rows = [
        [
            source,
            str(size),
            f"{seen.error:.2%}",
            f"{seen.detections:.1%}",
            f"{seen.timing_error:.3f}",
            f"{seen.interval_width:.2f}",
        ]
        for (source, size), seen in zip(sizes, detected, strict=True)
    ]
    header = ["source", "problems an evaluation", "error", "detections", "timing error", "interval"]
    tables.show(console, "Detector on simulated jumps", header, rows)
