"""TensorBoard: event files in the run's own folder. `tensorboard --logdir artifacts` shows all runs under a root."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from axiom.tracking import Ending, Subject
from axiom.visible import visible

NEEDS = "tensorboard"


class Open:
    """Writes to `tracking/tensorboard`; what a killed run wrote beyond `last` is dropped."""

    def __init__(self, subject: Subject) -> None:
        from torch.utils.tensorboard import SummaryWriter

        place = subject.folder / "tensorboard"
        begun = subject.last >= 0 and place.exists()
        self.last = subject.last if begun else -1
        self._writer = SummaryWriter(str(place), purge_step=subject.last + 1 if begun else None)
        if not begun:
            self._writer.add_text("config", _as_code(json.dumps(subject.config, indent=1)))
            if subject.parent:
                self._writer.add_text("forked from", f"{subject.parent} at iteration {subject.at}")

    def note(self) -> dict[str, Any]:
        """Nothing: the files are the run."""
        return {}

    def scalars(self, iteration: int, values: Mapping[str, float]) -> None:
        """Scalars with the iteration as the step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, iteration)

    def samples(self, iteration: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Text, each field as code: a model's text is not read as markdown."""
        if rows:
            self._writer.add_text("samples", _as_code(json.dumps(list(rows), indent=1)), iteration)
        self._writer.flush()

    def finish(self, report: Path | None, ending: Ending) -> None:
        """The path of the report as text."""
        if report is not None:
            self._writer.add_text("report", _as_code(str(report)))
        self._writer.close()


def _as_code(text: str) -> str:
    """A block of code in markdown, by indenting, which no text inside can end."""
    return "\n".join(f"    {line}" for line in visible(text).splitlines())
