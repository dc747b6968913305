"""`axiom run`, `resume`, `fork`, `status`, `list`: start experiments and see their progress."""

from typing import Annotated, Any

import typer
from rich.markup import escape

from axiom.cli.app import app, console
from axiom.cli.workflow import check_surroundings, interruptible, load_flow
from axiom.commands import DEFAULT_ROOT, suggest

Root = Annotated[
    str, typer.Option("--root", envvar="AXIOM_ROOT", help="Folder or fsspec URL that holds the experiments.")
]
Name = Annotated[str, typer.Argument(help="Name of an experiment; `axiom list` shows them.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change one setting; may be given several times."),
]

PRESET = "A TOML file, or the name of a preset that `axiom presets` lists; without one, the original experiment."


@app.command()
def run(
    preset: Annotated[str | None, typer.Argument(help=PRESET)] = None,
    overrides: Overrides = None,
    experiment: Annotated[str | None, typer.Option(help="Name of the experiment and of its folder.")] = None,
    train_size: Annotated[int | None, typer.Option(help="Number of training problems.")] = None,
    val_size: Annotated[int | None, typer.Option(help="Number of validation problems.")] = None,
    test_size: Annotated[int | None, typer.Option(help="Number of test problems.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Number of iterations.")] = None,
    eval_every: Annotated[int | None, typer.Option(help="Iterations between evaluations.")] = None,
    seed: Annotated[int | None, typer.Option(help="Root seed of every random stream.")] = None,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Run an experiment; a second call with the same config continues it where it stopped.

    Example: axiom run quickstart --iterations 6 --set sampling.temperature=1.0
    """
    from axiom.config import load_config

    named = {
        "name": experiment,
        "problems.train_size": train_size,
        "problems.val_size": val_size,
        "problems.test_size": test_size,
        "iterations": iterations,
        "evaluation.every": eval_every,
        "seed": seed,
    }
    _start(load_config(preset, overrides or (), **named), root)


@app.command()
def resume(
    name: Name,
    iterations: Annotated[
        int | None,
        typer.Option(help="Iterations in all; a higher number extends the run."),
    ] = None,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Continue an experiment from its first stage that is not done."""
    from axiom.config import override
    from axiom.experiment import Experiment

    _start(override(Experiment.open(root, name).config, iterations=iterations), root)


@app.command()
def fork(
    name: Name,
    at: Annotated[int, typer.Option(min=1, help="First iteration with the new settings; those before it are shared.")],
    experiment: Annotated[str, typer.Option(help="Name of the new experiment.")],
    overrides: Overrides = None,
    iterations: Annotated[int | None, typer.Option(help="Iterations in all.")] = None,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Start a counterfactual: share an experiment's first iterations, then continue with other settings.

    Example: axiom fork quickstart --at 3 --experiment no-replay --set replay.rounds=0
    """
    from axiom.config import override
    from axiom.experiment import Experiment
    from axiom.experiment.fork import fork as make_fork

    parent = Experiment.open(root, name)
    config = override(parent.config, overrides or (), name=experiment, iterations=iterations)
    check_surroundings()
    _start(make_fork(parent, config, at).config, root)


def _start(config: Any, root: str) -> None:
    from axiom.cli.display import Display
    from axiom.experiment.gate import admit
    from axiom.progress import listen

    admit(root, config)
    console.print(f"experiment [bold]{config.name}[/]: starting Prefect", highlight=False)
    flow = load_flow("axiom.flows.experiment", "experiment")
    going_on = interruptible(f"`{suggest('resume', config.name, root=root)}`")
    with going_on, Display(console, config.iterations) as display, listen(display):
        result = flow(config=config, root=root)
    _summary(root, config.name, result["report"])


def _summary(root: str, name: str, report: str) -> None:
    from axiom.cli.display import as_table
    from axiom.experiment import Experiment
    from axiom.records import Metric
    from axiom.report.page import accuracy_rows, verdict

    experiment = Experiment.open(root, name)
    metrics = experiment.stages.read("", "metrics", Metric)
    confidence = f"{experiment.config.evaluation.confidence:.0%}"
    console.print(as_table(f"Greedy accuracy with {confidence} Wilson intervals", *accuracy_rows(metrics)))
    console.print(f"[bold]Phases:[/] {verdict(experiment, metrics).sentence()}", highlight=False)
    console.print(f"[bold]Report:[/] {escape(report)}", highlight=False, soft_wrap=True)
    look = suggest("inspect", name, "--iteration", "1", "--stage", "samples", root=root)
    console.print(f"Look inside: {look}", highlight=False, soft_wrap=True, markup=False)


@app.command()
def status(name: Name, root: Root = DEFAULT_ROOT) -> None:
    """Show an experiment's progress and its accuracies so far."""
    from axiom.cli.display import as_table
    from axiom.experiment import Experiment, iteration_folder
    from axiom.records import Metric
    from axiom.report.page import accuracy_rows, verdict

    experiment = Experiment.open(root, name)
    done = experiment.finished()
    console.print(
        f"[bold]{name}[/]: {max(0, len(done) - 1)} of {experiment.config.iterations} iterations done", highlight=False
    )
    for number in sorted({*experiment.iterations()} - {*done}):
        files = experiment.folder.join(iteration_folder(number)).names()
        stages = [file.removesuffix(".manifest.json") for file in files if file.endswith(".manifest.json")]
        console.print(f"iteration {number}: done so far: {', '.join(stages) or 'nothing'}", highlight=False)
    if experiment.folder.exists("metrics.parquet"):
        metrics = experiment.stages.read("", "metrics", Metric)
        console.print(as_table("Greedy accuracy", *accuracy_rows(metrics)))
        console.print(verdict(experiment, metrics).sentence(), highlight=False)
    if experiment.is_locked():
        console.print("It is running now.", highlight=False)
    elif len(done) <= experiment.config.iterations:
        console.print(
            f"continue it with: {suggest('resume', name, root=root)}", highlight=False, soft_wrap=True, markup=False
        )


@app.command("list")
def list_experiments(root: Root = DEFAULT_ROOT) -> None:
    """List the experiments under the root folder."""
    from axiom.cli.display import as_table
    from axiom.errors import UserError
    from axiom.experiment import Experiment, experiment_names

    rows = []
    for name in experiment_names(root):
        try:
            experiment = Experiment.open(root, name)
        except UserError as error:
            rows.append([name, "-", "-", "-", str(error)])
            continue
        done = len(experiment.finished())
        config = experiment.config
        model = config.model.path if config.model.kind == "language" else "modular"
        rows.append([name, config.arm, str(config.seed), f"{max(0, done - 1)}/{config.iterations}", model])
    if not rows:
        start = suggest("run", "quickstart", root=root)
        console.print(
            f"no experiments under {root!r} yet; start one with: {start}", highlight=False, soft_wrap=True, markup=False
        )
        return
    console.print(as_table(f"Experiments under {root}", ["name", "arm", "seed", "iterations", "model"], rows))
