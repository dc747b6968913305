"""`axiom delete` and `axiom prune`: free the disk that experiments take."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Annotated

import typer

from axiom.cli.app import app, console, say
from axiom.cli.complete import experiments
from axiom.cli.run import Root
from axiom.commands import DEFAULT_ROOT
from axiom.errors import ConfigError, DataError, UserError
from axiom.experiment import Experiment, experiment_names, iteration_folder, no_such
from axiom.folders import Folder

Names = Annotated[
    list[str],
    typer.Argument(help="Names of experiments; `axiom list` shows them.", autocompletion=experiments),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Dry = Annotated[bool, typer.Option("--dry-run", help="Delete nothing; print what would be deleted, and its size.")]


@app.command()
def delete(names: Names, yes: Yes = False, dry_run: Dry = False, root: Root = DEFAULT_ROOT) -> None:
    """Delete experiments with all their files. Forks of them stay whole, as they have copies of what they share.

    A run that is going on is refused, and so is one whose schedule a yoked run replays.

    Example: axiom delete mine no-replay
    """
    known = experiment_names(root)
    for name in names:
        if name not in known:
            raise no_such(root, name)
    _check_replayed(names, known, root)
    places = {name: Folder(root).join(name) for name in dict.fromkeys(names)}
    with ExitStack() as held:
        for name in places:
            _hold(held, root, name)
        size = sum(place.size() for place in places.values())
        _ask(f"Delete {', '.join(places)} with {_mebibytes(size)}?", yes, dry_run)
        for place in places.values():
            place.remove_all()
    say(f"deleted {', '.join(places)}: {_mebibytes(size)}")


@app.command()
def prune(
    names: Names,
    every: Annotated[
        int, typer.Option(min=0, help="Keep the adapter of every N-th iteration as well; 0 keeps the last alone.")
    ] = 0,
    yes: Yes = False,
    dry_run: Dry = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Delete the adapters of earlier iterations. Tables, metrics and reports stay.

    What needs such an adapter later, a fork at that iteration for instance, trains it again from the gold, which stays.

    Example: axiom prune mine --every 10
    """
    found = [Experiment.open(root, name) for name in dict.fromkeys(names)]
    with ExitStack() as held:
        for experiment in found:
            held.enter_context(experiment.locked())
        spare = [(experiment, number) for experiment in found for number in _spare(experiment, every)]
        size = sum(_adapter_bytes(experiment, number) for experiment, number in spare)
        if not spare:
            console.print("nothing to prune", highlight=False)
            return
        owners = sorted({experiment.config.name for experiment, _ in spare})
        what = f"{len(spare)} adapter{'s' if len(spare) > 1 else ''} of {', '.join(owners)}"
        _ask(f"Delete {what} with {_mebibytes(size)}?", yes, dry_run)
        for experiment, number in spare:
            experiment.stages.prune("adapter", iteration_folder(number), "adapter/")
    say(f"pruned {what}: {_mebibytes(size)}")


def _check_replayed(names: Sequence[str], known: Sequence[str], root: str) -> None:
    for other in set(known) - set(names):
        try:
            yoke = Experiment.open(root, other).config.yoke
        except UserError:  # a damaged record needs nobody
            continue
        if yoke in names:
            raise ConfigError(
                f"experiment {yoke!r} cannot be deleted: {other!r} replays its schedule; name both to delete both"
            )


def _hold(held: ExitStack, root: str, name: str) -> None:
    """Hold the lock of an experiment; one with a damaged record has nobody to write it."""
    try:
        experiment = Experiment.open(root, name)
    except DataError:
        return
    held.enter_context(experiment.locked())


def _spare(experiment: Experiment, every: int) -> list[int]:
    """Iterations whose adapter may go: not the one in force at the end, and none that is asked to stay."""
    done = experiment.finished()
    manifest = experiment.stages.manifest("iteration", iteration_folder(done[-1])) if done else None
    if manifest is None:
        return []
    last = manifest.info["after"]["adapter"]
    in_force = last["info"]["adapter_folder"] if last else None
    return [
        number
        for number in done
        if iteration_folder(number) != in_force
        and not (every and number % every == 0)
        and _adapter_bytes(experiment, number)
    ]


def _adapter_bytes(experiment: Experiment, number: int) -> int:
    manifest = experiment.stages.manifest("adapter", iteration_folder(number))
    files = manifest.files.items() if manifest else ()
    gone = manifest.pruned if manifest else ()
    return sum(entry.size for name, entry in files if name.startswith("adapter/") and name not in gone)


def _ask(question: str, yes: bool, dry_run: bool) -> None:
    if dry_run:
        say(f"would d{question[1:-1]}")
        raise typer.Exit()
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"{question[:-1]} is asked for, and nobody can answer here; give --yes")
    typer.confirm(question, abort=True)


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
