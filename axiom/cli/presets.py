"""`axiom presets`: list and copy the presets, studies and server files that come with axiom."""

import shutil
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from axiom.cli import tables
from axiom.cli.app import app, console, say
from axiom.cli.outputs import check_folder
from axiom.cli.tables import AsJson
from axiom.config.presets import presets
from axiom.errors import ConfigError

presets_app = typer.Typer(help="List and copy the presets, studies and server files that come with axiom.")
app.add_typer(presets_app, name="presets")


@presets_app.callback(invoke_without_command=True)
def list_presets(context: typer.Context, as_json: AsJson = False) -> None:
    """List the presets, studies and server files that come with axiom. `axiom run NAME` runs a preset.

    Example: axiom presets copy quickstart --to my-presets
    """
    if context.invoked_subcommand is not None:
        return
    if as_json:
        tables.as_json([vars(one) | {"file": str(one.file)} for one in presets()])
    else:
        for one in presets():
            line = f"{one.name:24}{one.kind:12}{one.summary}"
            if console.is_terminal:
                line = textwrap.fill(line, console.width, subsequent_indent=" " * 36, break_on_hyphens=False)
            say(line)


@presets_app.command()
def copy(
    names: Annotated[list[str], typer.Argument(help="Names as `axiom presets` lists them.")],
    to: Annotated[Path, typer.Option(help="Folder for the copies; it is made if needed.")] = Path(),
) -> None:
    """Copy presets, studies or server files into a folder, to change them there. A file that exists is kept.

    Example: axiom presets copy prefect.toml axiom-server.service --to /srv/axiom
    """
    known = {one.name: one.file for one in presets()}
    for name in names:
        if name not in known:
            raise ConfigError(f"no preset {name!r} comes with axiom; choose from {', '.join(known)}")
        if (to / known[name].name).exists():
            raise ConfigError(f"{str(to / known[name].name)!r} exists already; name another folder with --to")
    check_folder("--to", to)
    for file in map(known.__getitem__, names):
        say(str(shutil.copyfile(file, to / file.name)))
