"""Where else a run's curves and samples go: TensorBoard, MLflow, Weights & Biases, trackio; one file for each.

A tracker is a class `Open` with the methods of `Tracker`, and `NEEDS`, the module that must be installed for it, or
None. Its file's name is its name in `[tracking] to`. Nothing here changes what a run computes, and a tracker that fails
never stops one.
"""

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from axiom.config import ExperimentConfig
from axiom.errors import ConfigError
from axiom.progress import Progress, doing, report

Ending = Literal["finished", "failed", "stopped"]
"""How a run ends: after its last iteration or a pause, by an error, or because somebody stopped it."""


@dataclass(frozen=True)
class Subject:
    """The run that is tracked. `folder` is for the tracker's own files; `root` holds the runs beside it.

    `known` is what the tracker noted of the run before, `last` the last iteration that it was given, -1 for none. A
    tracker whose run is gone, or that writes elsewhere now, begins another with all of the history.
    `parent` and `at` are those of a fork.
    """

    name: str
    config: Mapping[str, Any]
    project: str
    uri: str
    folder: Path
    root: Path
    known: Mapping[str, Any] = field(default_factory=dict)
    last: int = -1
    parent: str | None = None
    at: int = 0


class Tracker(Protocol):
    """One run at one tracker. Iterations come in order, each once."""

    last: int
    """The last iteration that it has."""

    def note(self) -> dict[str, Any]:
        """What it needs to go on with the same run later; JSON."""

    def scalars(self, iteration: int, values: Mapping[str, float]) -> None:
        """Figures of an iteration, by name: `greedy_accuracy/val`."""

    def samples(self, iteration: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Some samples of an iteration with prompt, program and verdict; the keys are the same in every row."""

    def finish(self, report: Path | None, ending: Ending) -> None:
        """The run has ended; with its report, if it was written to a local disk."""


def check(config: ExperimentConfig) -> None:
    """Raise ConfigError for a tracker whose package is not installed."""
    for name in config.tracking.to:
        needs = importlib.import_module(f"{__name__}.{name}").NEEDS
        if needs is not None and importlib.util.find_spec(needs) is None:
            raise ConfigError(
                f"tracking.to = [{name!r}] needs the package {needs}; "
                f"`pip install 'axiom-rl[tracking-{name}]'`, or leave it out"
            )


class Guarded:
    """A tracker that may fail: it says so once, and is given nothing more."""

    def __init__(self, name: str, subject: Subject) -> None:
        self.name = name
        self._tracker: Tracker | None = None
        doing(f"starting {name}")
        self._tracker = self._tried(lambda: importlib.import_module(f"axiom.tracking.{name}").Open(subject))

    @property
    def last(self) -> int | None:
        """The last iteration that it has; None for one that has failed."""
        return None if self._tracker is None else self._tracker.last

    def note(self) -> dict[str, Any]:
        """As the tracker's; empty for one that has failed."""
        return self._tried(lambda: self._tracker.note() if self._tracker else {}) or {}

    def give(self, iteration: int, values: Mapping[str, float], rows: Sequence[Mapping[str, Any]]) -> None:
        """An iteration's figures and samples."""

        def given() -> None:
            if self._tracker is not None:
                doing(f"writing to {self.name}")
                self._tracker.scalars(iteration, values)
                self._tracker.samples(iteration, rows)
                self._tracker.last = iteration

        self._tried(given)

    def finish(self, path: Path | None, ending: Ending) -> None:
        """The run has ended."""
        self._tried(lambda: self._tracker.finish(path, ending) if self._tracker else None)

    def _tried(self, call: Any) -> Any:
        try:
            return call()
        except Exception as error:  # noqa: BLE001 (whatever a service or its library raises, the run goes on)
            self._tracker = None
            why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            note = f"tracking with {self.name} failed ({why}); the run goes on without it"
            report(Progress(0, "warning", 1, 1, "", note=note))
            return None
