"""Live progress in the terminal: a bar for the run, one for the stage at work, and a line for each iteration."""

import threading
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress as Bars, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from axiom.progress import Progress
from axiom.visible import one_line, visible

QUIET_SECONDS = 5.0
"""Into a pipe or a file, a line says what is at work after so long without one."""
TOLD = ("done", "stop", "engine", "queue", "server", "pause", "study", "warning")
"""Progress whose note is a line. Stages have the bar alone: their lines would bury those of the iterations."""
STYLES = {"done": "bold", "stop": "bold", "warning": "yellow"}


class Display:
    """Listens to progress. On a terminal it draws two bars; into a pipe it prints a line now and then.

    When `quiet`, warnings alone are printed.
    """

    def __init__(self, console: Console, iterations: int, quiet: bool = False) -> None:
        self._console, self._iterations, self._quiet = console, iterations, quiet
        drawn = console.is_terminal and not quiet
        self._bars = Bars(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[counted]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not drawn,
        )
        self._run = self._bars.add_task("run", total=iterations + 1, counted="")
        self._stage = self._bars.add_task("starting", total=None, counted="")
        self._at: tuple[int, str, str] = (0, "", "")
        self._now, self._since, self._printed = "starting", time.monotonic(), time.monotonic()
        self._ended = threading.Event()
        self._speaks = not drawn and not quiet
        self._speaker = threading.Thread(target=self._speak, name="progress", daemon=True)

    def __enter__(self) -> "Display":
        self._bars.__enter__()
        if self._speaks:
            self._speaker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._bars.__exit__(kind, error, trace)
        if self._speaks:
            self._speaker.join()

    def __call__(self, progress: Progress) -> None:
        """Show one step."""
        if progress.note and progress.stage in TOLD:
            self._line(progress)
        elif not progress.note:
            self._work(progress)

    def _work(self, progress: Progress) -> None:
        """Draw what is at work; a new stage begins its own count and clock."""
        at = (progress.iteration, progress.stage, progress.doing)
        if at != self._at:
            self._at, self._since = at, time.monotonic()
            self._bars.reset(self._stage)
        title, counted = progress.doing or progress.stage, _counted(progress)
        # A total of None, which rich draws as a bar that moves, until there is something to count.
        self._bars.update(
            self._stage,
            description=title,
            total=progress.total if progress.done else None,
            completed=progress.done,
            counted=counted,
        )
        if progress.stage:
            self._bars.update(self._run, description=self._title(progress.iteration))
        self._now = f"{title}{': ' * bool(counted)}{counted}"

    def _line(self, progress: Progress) -> None:
        if self._quiet and progress.stage != "warning":
            return
        if progress.stage == "done":
            self._bars.update(self._run, completed=progress.iteration + 1, counted=_left(progress))
            text = f"{self._title(progress.iteration)}  {fitted(progress, self._room(progress.iteration))}"
        else:
            text = progress.note
        self._print(text, STYLES.get(progress.stage, "dim"), wrap=progress.stage != "done")

    def _room(self, iteration: int) -> int | None:
        """Columns for the figures of an iteration; a pipe or a file takes all of them."""
        return self._console.width - len(self._title(iteration)) - 2 if self._console.is_terminal else None

    def _title(self, iteration: int) -> str:
        last = str(self._iterations)
        return f"iteration {iteration:>{len(last)}}/{last}"

    def _print(self, text: str, style: str, wrap: bool) -> None:
        self._printed = time.monotonic()
        shown = Text(visible(text), style, no_wrap=not wrap and self._console.is_terminal, overflow="ellipsis")
        self._console.print(shown, soft_wrap=not self._console.is_terminal)

    def _speak(self) -> None:
        while not self._ended.wait(0.2):
            if time.monotonic() - self._printed >= QUIET_SECONDS:
                self._print(f"{self._now} ({duration(time.monotonic() - self._since)})", "dim", wrap=True)


def fitted(progress: Progress, room: int | None) -> str:
    """The figures of an iteration in one line of `room` columns: intervals give way, the last first, then figures."""
    clock = [text for text in (_took(progress), _left(progress)) if text]
    short, whole = ([one_line(part[kind]) for part in progress.parts] for kind in (0, 1))
    fewer = [whole[:most] + short[most:] for most in range(len(whole), -1, -1)]
    for parts in (*fewer, *(short[:most] for most in range(len(short) - 1, -1, -1))):
        line = "  ".join([*parts, *clock])
        if room is None or len(line) <= room:
            return line
    return ""


def _took(progress: Progress) -> str:
    return "reused" if progress.reused else "" if progress.seconds is None else duration(progress.seconds)


def _left(progress: Progress) -> str:
    return f"{duration(progress.left)} left" if progress.left else ""


def duration(seconds: float) -> str:
    """A time as a person says it: 0.4 s, 12 s, 3 min, 2.5 h."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _counted(progress: Progress) -> str:
    if not progress.stage or not progress.total:
        return ""
    if not progress.done:
        return f"0/{progress.total}, waiting for the first"
    parts = [f"{progress.done}/{progress.total}"]
    if progress.rate is not None:
        parts.append(f"{progress.rate:,.0f} tokens/s")
    if progress.solved is not None:
        parts.append(f"solved {progress.solved}/{progress.problems}")
    return " · ".join(parts)
