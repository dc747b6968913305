"""`axiom study`, `compare` and `bench study`: what runs of several arms say about a hypothesis."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from axiom.cli import tables
from axiom.cli.app import app, bench_app, console, errors, say
from axiom.cli.complete import studies
from axiom.cli.outputs import check_folder
from axiom.cli.run import Dry, Quiet, Root
from axiom.cli.tables import AsJson
from axiom.cli.workflow import interruptible, load_flow, start_server
from axiom.commands import suggest
from axiom.config import find_preset
from axiom.config.presets import SHIPPED
from axiom.errors import ConfigError, DataError
from axiom.experiment import DEFAULT_ROOT, Experiment, experiment_names
from axiom.folders import Folder, whole
from axiom.progress import Progress, listen

if TYPE_CHECKING:
    from axiom.report.study import Origin, Table as Rows
    from axiom.study import Comparison, Study, StudyConfig
    from axiom.study.transfer import Gain

MOST_BESIDE = 64
OF_THE_FILE = "a study file sets its own"


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
        if not submit:
            raise ConfigError("--submit '' names no work pool; `prefect work-pool ls` lists them")
        _submit(path, root, submit, quiet, as_json)
        return
    Folder(root).check_writable()
    with interruptible("the same command"), listen(_silent if quiet or as_json else _line):
        results = _study_flow(beside)(path=str(path), root=root, shard=part - 1, shards=parts, parallel=beside)
    if as_json:
        tables.as_json(results)
    for result in results if not as_json and not quiet else ():
        console.print(f"[bold]{result['name']}[/]: {result['phases']}", highlight=False)
        if result["ledger"]:
            console.print(f"[bold red]{result['name']}[/]: no verdict, {result['ledger']}", highlight=False)
    if quiet or as_json:
        return
    following = suggest("compare", str(path), root=root)
    say(f"{len(results)} runs done; next: {following}")


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
        say(line)


def _study_flow(beside: int) -> Callable[..., Any]:
    """The study's flow. Runs beside each other that are given no server need none, nor does their study."""
    alone = beside != 1 and not os.environ.get("PREFECT_API_URL")
    if not alone:
        start_server()
    return load_flow("axiom.flows.study", "without_server" if alone else "study")


def _line(progress: Progress) -> None:
    """A line for each run and each round that is done."""
    if progress.note and progress.stage in ("study", "done", "stop", "pause", "warning"):
        head = f"iteration {progress.iteration} · " if progress.stage in ("done", "stop", "pause") else ""
        say(f"{head}{progress.note}", "dim")


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
    out: Annotated[
        Path | None, typer.Option(help="Folder for the page and the charts; by default artifacts/compare-NAME.")
    ] = None,
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
    from axiom.study import Reading, Study, check_arms, paragraphs, transfer

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
    shown = _shown(study, found)
    _draw(study, found, shown, folder, refused, command)
    if as_json:
        print((folder / "figures.json").read_text(encoding="utf-8"))
    else:
        tables.show(
            console, *(("Conditions", *shown.conditions) if shown.conditions else ("Arms", *reports.arm_rows(arms)))
        )
        if shown.gains:
            tables.show(console, "Transfer", *transfer.table(shown.gains))
        if len(arms) <= reports.MOST_SIDE_BY_SIDE:
            tables.show(console, "Ledger: sums over rounds, means over runs", *reports.ledger_rows(arms))
        alone = [] if study.config and study.config.grid else paragraphs(found)  # of a grid the table has their figures
        for sentence in (*shown.swept, *alone, *shown.transferred):
            console.print(f"\n{sentence}", highlight=False, markup=False)
        say(f"\nreport and charts: {folder}/report.html")
    if refused is not None:
        raise refused


@dataclasses.dataclass(frozen=True)
class _Shown:
    """What a study shows beside its comparisons.

    `conditions` is the table of a study with variants or a grid and `swept` what it says, `gains` the transfer matrix
    of a study whose conditions train other families and `transferred` what that says.
    """

    conditions: "Rows | None"
    swept: list[str]
    gains: "list[Gain]"
    transferred: list[str]


def _shown(study: "Study", found: "Sequence[Comparison]") -> _Shown:
    from axiom.study import sweep, transfer

    config, conditions, swept = study.config, None, list[str]()
    if config is not None and (config.grid or config.variants):
        rows = sweep.rows(config, study.arms, found)
        conditions, swept = sweep.table(config, rows), [] if study.left_out else sweep.sentences(config, rows)
    about = config is not None and transfer.is_about_families(config)
    gains = transfer.matrix(study.arms, study.reading.confidence) if about else []
    return _Shown(conditions, swept, gains, [transfer.sentence(gains, study.reading.confidence)] if gains else [])


def _draw(
    study: "Study",
    found: "Sequence[Comparison]",
    shown: _Shown,
    folder: Path,
    refused: DataError | None,
    command: str,
) -> None:
    import polars as pl

    from axiom.report import curves as curve_charts, study as report, study_charts as charts, sweep_charts
    from axiom.study import sweep, transfer

    arms, reading, gains = study.arms, study.reading, shown.gains
    worded = {report.arm_in_words(name): runs for name, runs in arms.items()}
    boxes = [report.in_words(comparison) for comparison in found]
    made = charts.all_of(worded, boxes, reading.clock, reading.split, reading.confidence)
    if shown.conditions and study.config:
        made = sweep_charts.charts(study.config, sweep.rows(study.config, arms, found)) | made
    if gains:
        made = {"transfer": sweep_charts.transfer_map(gains)} | made
    for name, chart in made.items():
        curve_charts.save(chart, folder / f"{name}.svg")
    why = None if refused is None else str(refused)
    folded = boxes if why is None and not (study.config and study.config.grid) else []
    sentences = [*shown.swept, *([why] if why else ()), *shown.transferred]
    matrix = transfer.table(gains) if gains else None
    text = report.page(
        study.name, worded, sentences, made, shown.conditions, matrix, folded, _origin(study, folder, command)
    )
    for name, content in (("report.html", text), ("figures.json", report.figures(arms, found, why))):
        with whole(folder / name) as file:
            file.write_text(content, encoding="utf-8")
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

    Both are as `axiom study` starts them: runs in turn have a Prefect server, which is a part of their time, and runs
    beside each other have one only where PREFECT_API_URL names it.

    Example: axiom bench study h1-modular --parallel 2
    """
    from axiom.bench.study import measure

    beside = _beside(parallel)
    with interruptible("the same command"), listen(_silent if as_json else _line):
        found = measure(path, beside, in_turn, _study_flow(beside))
    if as_json:
        tables.as_json(found)
        return
    written: tables.Columns = {
        "way": "{0.way}",
        "runs": "{0.runs}",
        "in all": "{0.seconds:.0f} s",
        "a run": lambda row: f"{row.seconds / row.runs:.1f} s",
        "cores in use": "{0.cores:.0%}",
        "GPU in use": lambda row: "none" if row.gpu is None else f"{row.gpu:.0%}",
    }
    tables.show(console, f"Runs of {path}", *tables.columns(found, written))
    each = [row.seconds / row.runs for row in found]
    console.print(f"beside each other the study is {each[1] / each[0]:.1f} times as fast as in turn", highlight=False)
    starts = ", ".join(f"{median(row.sampled):.1f} s {row.way}" for row in found if row.sampled)
    console.print(f"from a run's start to its first sampling, median: {starts or 'not seen'}", highlight=False)
