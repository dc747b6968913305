"""`axiom view`: look at every sample of a run in a browser."""

import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from axiom.cli.app import app, errors, say
from axiom.cli.outputs import filled
from axiom.cli.run import Root
from axiom.errors import ConfigError, UserError
from axiom.experiment import DEFAULT_ROOT, Experiment, experiment_names
from axiom.view import PORT
from axiom.visible import visible


@app.command()
def view(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Experiments to show; without a name, all of them.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write the pages into this new folder, which opens without a server, and end.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")] = PORT,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser as well.")] = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Browse every sample with its prompt, program, verdict and audit, of any number of runs, also while they run.

    Example: axiom view quickstart
    """
    from axiom.view.export import export as write
    from axiom.view.samples import Run
    from axiom.view.server import serve

    opened = {name: Experiment.open(root, name) for name in names} if names else _all(root)
    runs = {name: Run(experiment) for name, experiment in opened.items()}
    if export is not None:
        with filled("--export", export):
            write(runs, export)
        say(str(export / "index.html"))
        return

    def look() -> None:
        for name in () if names else experiment_names(root, known=runs):
            with suppress(UserError):  # damaged, or deleted meanwhile
                runs[name] = Run(Experiment.open(root, name))

    def ready(address: str) -> None:
        say(f"{address}  (Ctrl-C ends it)")
        if open_browser:
            webbrowser.open(address)

    try:
        serve(runs, port, ready, look)
    except OSError as error:
        raise ConfigError(
            f"port {port} of this machine cannot be used ({error.strerror}); name another with --port, or 0"
        ) from None


def _all(root: str) -> dict[str, Experiment]:
    """Every experiment under the root by its name; one that is damaged is told and left out."""
    names, opened = experiment_names(root), dict[str, "Experiment"]()
    for name in names:
        try:
            opened[name] = Experiment.open(root, name)
        except UserError as error:
            errors.print(visible(f"{name} is left out: {error}"), highlight=False, markup=False)
    if not opened:
        what = "experiment that can be opened" if names else "experiments"
        raise ConfigError(f"no {what} under {root!r} yet; start one with `axiom run quickstart`")
    return opened
