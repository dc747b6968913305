"""Weights & Biases: offline unless WANDB_MODE or a key says otherwise; `wandb sync` sends an offline run later."""

import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from axiom.tracking import Ending, Subject

NEEDS = "wandb"

LONGEST_SECONDS = 30.0
"""To wait for a server when a run begins, and for what is left to send when it ends."""


class Open:
    """A run whose id is noted: a resumed one goes on with it. Offline, each start writes a folder of the same id."""

    def __init__(self, subject: Subject) -> None:
        import wandb

        online = os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
        self._place = [online, subject.uri, subject.project]
        known = subject.known.get("id") if subject.known.get("place", self._place) == self._place else None
        self.last = subject.last if known else -1
        self._id = str(known or secrets.token_hex(4))
        subject.folder.mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(console="off", silent=True, init_timeout=LONGEST_SECONDS)
        settings.finish_timeout = LONGEST_SECONDS
        if subject.uri:
            settings.base_url = subject.uri
        self._run = wandb.init(
            project=subject.project,
            name=subject.name,
            id=self._id,
            resume="allow" if known and online == "online" else None,
            dir=str(subject.folder),
            config=dict(subject.config),
            notes=f"forked from {subject.parent} at iteration {subject.at}" if subject.parent else None,
            mode=online,  # type: ignore[arg-type]
            settings=settings,
        )
        self._run.define_metric("iteration")
        self._run.define_metric("*", step_metric="iteration")

    def note(self) -> dict[str, Any]:
        """The run's id, and where it is."""
        return {"id": self._id, "place": self._place}

    def scalars(self, iteration: int, values: Mapping[str, float]) -> None:
        """Figures with the iteration as the step."""
        self._run.log({"iteration": iteration, **values}, step=iteration)

    def samples(self, iteration: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """A table for each iteration."""
        import wandb

        if rows:
            columns: list[str | int] = [*rows[0]]
            table = wandb.Table(columns=columns, data=[[str(row[str(name)]) for name in columns] for row in rows])
            self._run.log({"samples": table}, step=iteration)

    def finish(self, report: Path | None, ending: Ending) -> None:
        """The report as a file of the run, and the run's end."""
        if report is not None:
            self._run.save(shutil.copy(report, self._run.dir), base_path=self._run.dir, policy="now")
        self._run.finish(exit_code=0 if ending == "finished" else 1)
