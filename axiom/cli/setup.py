"""`axiom setup` and `axiom pause`: prepare a Prefect server, and stop a run between two iterations."""

import importlib
from typing import Annotated

import typer

from axiom.cli.app import app, console, say
from axiom.cli.run import Name, Root
from axiom.commands import DEFAULT_ROOT, suggest
from axiom.errors import ConfigError
from axiom.experiment import PAUSE, Experiment
from axiom.models import devices


@app.command()
def setup(
    gpus: Annotated[
        int | None, typer.Option(min=0, help="GPU slots of this host; by default one for each of its GPUs.")
    ] = None,
    notify: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TYPE/NAME",
            help="Notification block that receives failures, crashes and transitions; may be given several times.",
        ),
    ] = None,
    deploy: Annotated[bool, typer.Option(help="Create the deployments of prefect.yaml as well.")] = True,
) -> None:
    """Prepare the Prefect server at PREFECT_API_URL: pools, GPU slots, automations, deployments. Repeatable.

    Example: axiom setup --gpus 1 --notify custom-webhook/ops
    """
    # By name, as the flows are started: the library itself stays free of Prefect.
    prepare = importlib.import_module("axiom.flows.setup").prepare
    for line in prepare(_gpus() if gpus is None else gpus, notify or (), deploy):
        console.print(line, highlight=False, soft_wrap=True)


def _gpus() -> int:
    return len(devices())


@app.command()
def pause(name: Name, root: Root = DEFAULT_ROOT) -> None:
    """Stop a running experiment after its current iteration; `axiom resume` or Resume in the UI continues it."""
    experiment = Experiment.open(root, name)
    if not experiment.is_locked():
        look = suggest("status", name, root=root)
        raise ConfigError(f"experiment {name!r} is not running; `{look}` shows its progress")
    experiment.folder.write_bytes(PAUSE, b"")
    again = suggest("resume", name, root=root)
    say(f"{name} stops after its current iteration; continue it with: {again}")
