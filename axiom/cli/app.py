"""The typer apps, and how an error becomes an exit code: 2 for the user's mistake, 1 for a machine's."""

import sys
from typing import Annotated, Any, NoReturn

import typer
from rich.markup import escape

from axiom.cli.terminal import Output, forget_output, settle_streams
from axiom.ending import INTERRUPTED
from axiom.environment import imported, settle
from axiom.errors import UserError, classified
from axiom.visible import visible

app = typer.Typer(
    name="axiom",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Controlled experiments on verified self-improvement of code models.",
)
bench_app = typer.Typer(no_args_is_help=True, help="Benchmark axiom against the usual alternatives on this machine.")
problems_app = typer.Typer(help="Print, write, list, split and audit procedural problems.")


def _print_version(asked: bool) -> None:
    if asked:
        import axiom

        print(f"axiom {axiom.__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """Controlled experiments on verified self-improvement of code models."""


app.add_typer(bench_app, name="bench")
app.add_typer(problems_app, name="problems")

console = Output(emoji=False)  # an id like 2:train:... is none
errors = Output(stderr=True, soft_wrap=True)


def say(text: str, style: str | None = None) -> None:
    """Print a text as it is: brackets are no markup, and no line is broken that somebody may copy."""
    console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)


COMMAND_MODULES: tuple[str, ...] = (
    "run",
    "listing",
    "housekeeping",
    "presets",
    "inspect",
    "view",
    "verify",
    "problems",
    "detection",
    "studies",
    "doctor",
    "setup",
    "pipeline",
    "models",
)
"""Modules of this package that register commands, in the order of `axiom --help`."""


def main() -> None:
    """Entry point of `axiom`."""
    try:
        settle_streams()
        imported(*(f"axiom.cli.{name}" for name in COMMAND_MODULES))
        if moved := settle():
            errors.print(escape(moved), highlight=False)
        left = app(prog_name="axiom", standalone_mode=False)
        sys.stdout.flush()  # a full disk under it is told here
        sys.exit(left if isinstance(left, int) else 0)
    except _UsageError as error:
        if type(error).__name__ != "NoArgsIsHelpError":  # that one has printed the help already
            _end("error", _misuse(error), 2)
        sys.exit(2)
    except typer.Abort:
        sys.exit("aborted")
    except KeyboardInterrupt:
        errors.print("interrupted", highlight=False)
        sys.exit(INTERRUPTED)
    except Exception as error:
        found = classified(error)
        if found is None:
            raise
        forget_output()
        _end("error" if found.exit_status == UserError.exit_status else "failed", str(found), found.exit_status)


def _end(label: str, sentence: str, status: int) -> NoReturn:
    errors.print(f"[bold red]{label}:[/]", escape(visible(sentence)), highlight=False)
    sys.exit(status)


_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""What typer raises for options it cannot read; newer versions bundle the class and give it no address."""


def _misuse(error: Any) -> str:
    """One sentence: what was given, what is wrong with it, and where to look."""
    where = error.ctx.command_path if error.ctx else "axiom"
    given = _given(getattr(error, "param", None))
    says = error.message if given else error.format_message()
    says = f"{given}: {says[:1].lower()}{says[1:]}" if given else says
    return f"{' '.join(says.split()).rstrip('.')}; `{where} --help` says what is possible"


def _given(parameter: Any) -> str:
    """An option as it stands on the command line, with its value; empty for one that does not stand there."""
    for place in range(len(sys.argv) - 1, 0, -1):
        name, equals, value = sys.argv[place].partition("=")
        if parameter is not None and name in parameter.opts:
            return f"{name} {value if equals else ''.join(sys.argv[place + 1 : place + 2])}".strip()
    return ""
