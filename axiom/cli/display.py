"""Live progress in the terminal: a bar for the current stage, a line for each that is done."""

import time
from types import TracebackType

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress as Bars, TextColumn, TimeElapsedColumn
from rich.table import Table

from axiom.progress import Progress
from axiom.visible import visible

PLAIN_EVERY_SECONDS = 10.0


class Display:
    """Listens to progress. On a terminal it draws a bar; into a pipe it prints a line now and then."""

    def __init__(self, console: Console, iterations: int) -> None:
        self._console, self._iterations = console, iterations
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bars.add_task("starting", total=None, rate="")
        self._stage: tuple[int, str] | None = None
        self._printed = time.monotonic()

    def __enter__(self) -> "Display":
        self._bars.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.__exit__(kind, error, trace)

    def __call__(self, progress: Progress) -> None:
        """Show one step."""
        if progress.note:
            self._line(progress)
            return
        if self._stage != (progress.iteration, progress.stage):
            self._stage = (progress.iteration, progress.stage)
            self._bars.reset(self._task)
        self._bars.update(
            self._task,
            description=self._title(progress),
            total=progress.total,
            completed=progress.done,
            rate=_rate(progress),
        )
        if not self._console.is_terminal and time.monotonic() - self._printed > PLAIN_EVERY_SECONDS:
            self._printed = time.monotonic()
            self._console.print(
                f"{self._title(progress)}: {progress.done}/{progress.total} {progress.unit} {_rate(progress)}",
                highlight=False,
            )

    def _line(self, progress: Progress) -> None:
        self._printed = time.monotonic()
        style = "dim" if progress.reused or progress.stage not in ("done", "stop") else "bold"
        self._console.print(
            f"{self._title(progress)}: {progress.note}", style=style, highlight=False, markup=False, soft_wrap=True
        )

    def _title(self, progress: Progress) -> str:
        return f"iteration {progress.iteration}/{self._iterations} · {progress.stage}"


def _rate(progress: Progress) -> str:
    parts = []
    if progress.rate is not None:
        parts.append(f"{progress.rate:,.0f} tokens/s")
    if progress.solved is not None:
        parts.append(f"solved {progress.solved}/{progress.problems}")
    return " · ".join(parts)


def as_table(title: str, header: list[str], rows: list[list[str]]) -> Table:
    """A rich table, first column left, the others right."""
    table = Table(
        title=escape(visible(title)),
        title_justify="left",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for number, name in enumerate(header):
        table.add_column(escape(visible(name)), justify="left" if number == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(escape(visible(cell)) for cell in row))
    return table
