"""`axiom run`, `resume`, `fork`: start experiments and follow them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from axiom.cli import tables
from axiom.cli.app import app, console, errors, say
from axiom.cli.complete import experiments, presets
from axiom.cli.tables import AsJson
from axiom.cli.workflow import check_surroundings, interruptible, load_flow, start_server
from axiom.commands import DEFAULT_ROOT, suggest
from axiom.config import load_config, override
from axiom.experiment import Experiment
from axiom.experiment.folder import RECORD
from axiom.progress import doing, listen
from axiom.records import Metric, with_interval

Root = Annotated[
    str, typer.Option("--root", envvar="AXIOM_ROOT", help="Folder or fsspec URL that holds the experiments.")
]
Name = Annotated[
    str,
    typer.Argument(
        help="Name of an experiment; `axiom list` shows them.", show_default=False, autocompletion=experiments
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change one setting; may be given several times."),
]

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings alone.")]
Dry = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Run nothing; print the settings, what would be computed and reused, and the time and memory to expect.",
    ),
]


@dataclass(frozen=True)
class Shown:
    """What a command that runs an experiment prints."""

    quiet: bool = False
    json: bool = False
    dry: bool = False


PRESET = "A TOML file, or the name of a preset that `axiom presets` lists; without one, the original experiment."


@app.command()
def run(
    preset: Annotated[str | None, typer.Argument(help=PRESET, autocompletion=presets)] = None,
    overrides: Overrides = None,
    experiment: Annotated[str | None, typer.Option(help="Name of the experiment and of its folder.")] = None,
    train_size: Annotated[int | None, typer.Option(help="Number of training problems.")] = None,
    val_size: Annotated[int | None, typer.Option(help="Number of validation problems.")] = None,
    test_size: Annotated[int | None, typer.Option(help="Number of test problems.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Number of iterations.")] = None,
    eval_every: Annotated[int | None, typer.Option(help="Iterations between evaluations.")] = None,
    seed: Annotated[int | None, typer.Option(help="Root seed of every random stream.")] = None,
    dry_run: Dry = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Run an experiment; a second call with the same config continues it where it stopped.

    Example: axiom run quickstart --iterations 6 --set sampling.temperature=1.0
    """
    named = {
        "name": experiment,
        "problems.train_size": train_size,
        "problems.val_size": val_size,
        "problems.test_size": test_size,
        "iterations": iterations,
        "evaluation.every": eval_every,
        "seed": seed,
    }
    _start(load_config(preset, overrides or (), **named), root, Shown(quiet, as_json, dry_run))


@app.command()
def resume(
    name: Name,
    iterations: Annotated[
        int | None,
        typer.Option(help="Iterations in all; a higher number extends the run."),
    ] = None,
    dry_run: Dry = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Continue an experiment from its first stage that is not done.

    Example: axiom resume quickstart --iterations 20
    """
    _start(override(Experiment.open(root, name).config, iterations=iterations), root, Shown(quiet, as_json, dry_run))


@app.command()
def fork(
    name: Name,
    at: Annotated[int, typer.Option(min=1, help="First iteration with the new settings; those before it are shared.")],
    experiment: Annotated[str, typer.Option(help="Name of the new experiment.")],
    overrides: Overrides = None,
    iterations: Annotated[int | None, typer.Option(help="Iterations in all.")] = None,
    dry_run: Dry = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Start a counterfactual: share an experiment's first iterations, then continue with other settings.

    Example: axiom fork quickstart --at 3 --experiment no-replay --set replay.rounds=0
    """
    from axiom.experiment.fork import check, fork as make_fork

    parent = Experiment.open(root, name)
    config = override(parent.config, overrides or (), name=experiment, iterations=iterations)
    if dry_run:
        from axiom.cli.plan import show_plan

        show_plan(check(parent, config, at).config, root, as_json, shared=at)
        return
    check_surroundings()
    with interruptible("the same command", lambda: False):
        child = make_fork(parent, config, at)
    _start(child.config, root, Shown(quiet, as_json))


def _start(config: Any, root: str, how: Shown) -> None:
    from axiom.cli.display import Display
    from axiom.experiment.gate import admit
    from axiom.experiment.naming import settled

    config = settled(config, root, datetime.now(UTC))
    if how.dry:
        from axiom.cli.plan import show_plan

        show_plan(config, root, how.json)
        return
    out = errors if how.json else console

    def written() -> bool:  # a store elsewhere is not asked on the way out
        return "://" in root or (Path(root) / config.name / RECORD).exists()

    going_on = interruptible(f"`{suggest('resume', config.name, root=root)}`", written)
    with going_on, Display(out, config.iterations, how.quiet) as display, listen(display):
        doing("checking the settings and the model")
        admitted = admit(root, config, start_server)
        if not how.quiet:
            out.print(f"experiment [bold]{config.name}[/]", highlight=False, soft_wrap=True)
        doing("starting Prefect")
        flow = load_flow("axiom.flows.experiment", "experiment", *admitted.libraries())
        result = flow(config=config, root=root)
    if how.json or not how.quiet:
        _conclude(root, config.name, result, how.json)


def _conclude(root: str, name: str, result: dict[str, Any], as_json: bool) -> None:
    """What came of a run: each split at the beginning, in the middle and at the end, and the phases."""
    from axiom.evaluation import pooled_greedy

    experiment = Experiment.open(root, name)
    metrics = experiment.metrics()
    if as_json:
        pooled = pooled_greedy(metrics)
        tables.as_json(result | {"accuracy": pooled})
        return
    confidence = f"{experiment.config.evaluation.confidence:.0%}"
    tables.show(console, f"Greedy accuracy with {confidence} Wilson intervals", *closing(metrics))
    console.print(f"[bold]Phases:[/] {escape(result['phases'])}", highlight=False)
    console.print(f"[bold]Report:[/] {escape(result['report'])}", highlight=False, soft_wrap=True)
    look = suggest("inspect", name, "--iteration", "1" if experiment.last_done() else "0", root=root)
    say(f"Look inside: {look}")


def closing(metrics: Sequence[Metric]) -> tuple[list[str], list[list[str]]]:
    """A split a row, and the first, the middle and the last evaluation a column."""
    from axiom.evaluation import pooled_greedy

    pooled = pooled_greedy(metrics)
    cells = {(row.split, row.iteration): with_interval(row) for row in pooled}
    measured = sorted({row.iteration for row in pooled})
    shown = sorted({measured[0], measured[len(measured) // 2], measured[-1]}) if measured else []
    splits = dict.fromkeys(row.split or "" for row in pooled)
    rows = [[split, *(cells.get((split, number), "-") for number in shown)] for split in splits]
    return ["split", *(f"iteration {number}" for number in shown)], rows
