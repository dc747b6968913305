"""What of a run goes to its trackers; what they were given already is in `tracking.json` beside its other files."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from axiom.evaluation import GREEDY
from axiom.experiment.folder import Experiment, iteration_folder
from axiom.experiment.judged import drawn
from axiom.records import Metric
from axiom.sampling.prompts import question
from axiom.tracking import Ending, Guarded, Subject

FILE = "tracking.json"
SAMPLES = 10
"""Samples of an iteration that a tracker is given."""
LONGEST = 4000
"""Characters of a text among them."""


class Tracking:
    """The trackers of a run. Each is given every iteration once, from the first: those that were shared or were done
    before it was set, too. As a context it ends them where the block fails or is stopped.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._noted = self._read()
        self._trackers = [Guarded(name, self._subject(name)) for name in dict.fromkeys(experiment.config.tracking.to)]

    def __enter__(self) -> "Tracking":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._end(None, "failed" if isinstance(error, Exception) else "stopped")

    def follow(self, iteration: int) -> None:
        """Give all that is new up to `iteration`."""
        for tracker in self._trackers:
            first = iteration + 1 if tracker.last is None else tracker.last + 1
            for number in range(first, iteration + 1):
                metrics = self._experiment.stages.read(iteration_folder(number), "metrics", Metric)
                tracker.give(number, scalars(metrics), samples(self._experiment, number))
            self._note(tracker)

    def finish(self, report: str) -> None:
        """The run has ended."""
        path = Path(report)
        self._end(path if self._experiment.folder.local and path.exists() else None, "finished")

    def _end(self, path: Path | None, ending: Ending) -> None:
        for tracker in self._trackers:
            tracker.finish(path, ending)

    def _subject(self, name: str) -> Subject:
        experiment, config = self._experiment, self._experiment.config
        noted = self._noted.get(name, {})
        # A store that is not on a disk has no place for a tracker's files: they stay where the run works.
        folder = Path(experiment.folder.path) if experiment.folder.local else Path("tracking") / config.name
        return Subject(
            name=config.name,
            config=config.model_dump(mode="json"),
            project=config.tracking.project,
            uri=config.tracking.uri,
            folder=folder.absolute() / "tracking",
            root=folder.absolute().parent,
            known=noted.get("known", {}),
            last=noted.get("last", -1),
            parent=experiment.forked_from,
            at=experiment.inherited,
        )

    def _read(self) -> dict[str, Any]:
        if not self._experiment.folder.exists(FILE):
            return {}
        try:
            found = json.loads(self._experiment.folder.read_bytes(FILE))
        except ValueError:  # damaged: the trackers begin runs of their own
            return {}
        return found if isinstance(found, dict) else {}

    def _note(self, tracker: Guarded) -> None:
        if tracker.last is not None:
            self._noted[tracker.name] = {"known": tracker.note(), "last": tracker.last}
            self._experiment.folder.write_bytes(FILE, json.dumps(self._noted, indent=1).encode())


def scalars(metrics: Sequence[Metric]) -> dict[str, float]:
    """An iteration's figures by name, pooled and by family, and what it had cost by then."""
    found: dict[str, float] = {}
    for row in metrics:
        if row.difficulty is None:
            name = "/".join(filter(None, (row.name, row.split, row.family)))
            found[name] = row.value
            if row.name == GREEDY and row.pooled and row.low is not None and row.high is not None:
                found |= {f"{name}/low": row.low, f"{name}/high": row.high}
    for name in ("optimizer_step", "trained_tokens", "generated_tokens", "wall_seconds"):
        found[name] = float(getattr(metrics[-1], name)) if metrics else 0.0
    return found


def samples(experiment: Experiment, iteration: int) -> list[dict[str, Any]]:
    """Some samples of an iteration, each of another problem."""
    rows = drawn(experiment, iteration)
    if rows is None:
        return []
    chosen = rows.unique("problem_id", keep="first", maintain_order=True).head(SAMPLES)
    return [_row(experiment, row) for row in chosen.iter_rows(named=True)]


def _row(experiment: Experiment, row: dict[str, Any]) -> dict[str, Any]:
    problem = experiment.problems_by_id[row["problem_id"]]
    texts = {"prompt": question(problem), "program": row["code"] or row["completion"], "detail": row["detail"]}
    kept = {name: row[name] for name in ("sample_id", "family", "difficulty", "outcome")}
    return kept | {name: text[:LONGEST] for name, text in texts.items()}
