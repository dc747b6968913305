"""The typer apps, and how an error becomes an exit code: 2 for the user's mistake, 1 for a machine's."""

import importlib
import sys

import typer
from rich.console import Console
from rich.markup import escape

from axiom.errors import InfrastructureError, StorageError, UserError

app = typer.Typer(
    name="axiom", no_args_is_help=True, pretty_exceptions_enable=False,
    help="Controlled experiments on verified self-improvement of code models.",
)  # fmt: skip
bench_app = typer.Typer(no_args_is_help=True, help="Measure on this machine, beside what a user would use instead.")
problems_app = typer.Typer(help="Print, write, list and audit procedural problems.")
app.add_typer(bench_app, name="bench")
app.add_typer(problems_app, name="problems")

console = Console(emoji=False)  # an id like 2:train:... is none
errors = Console(stderr=True, soft_wrap=True)

COMMAND_MODULES: tuple[str, ...] = (
    "run", "inspect", "verify", "problems", "science", "doctor", "setup", "pipeline", "models",
)  # fmt: skip
"""Modules of this package that register commands, in the order of `axiom --help`."""


def main() -> None:
    """Entry point of `axiom`."""
    for name in COMMAND_MODULES:
        importlib.import_module(f"axiom.cli.{name}")
    try:
        app()
    except (UserError, StorageError) as error:
        errors.print("[bold red]error:[/]", escape(str(error)), highlight=False)
        sys.exit(2)
    except InfrastructureError as error:
        errors.print("[bold red]failed:[/]", escape(str(error)), highlight=False)
        sys.exit(1)
