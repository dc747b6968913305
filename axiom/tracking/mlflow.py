"""MLflow: a server named by `tracking.uri` or MLFLOW_TRACKING_URI, else a database under the root, which needs none."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from axiom.config import flat
from axiom.content import alone
from axiom.tracking import Ending, Subject
from axiom.visible import visible_json

NEEDS = "mlflow"

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # MLflow's seven take minutes, in which the run would stand still
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
LONGEST = 500
"""Characters of a parameter that MLflow keeps."""
TOGETHER = 100
"""Parameters in one request."""
STATUS: dict[Ending, str] = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}


class Open:
    """A run of the experiment `tracking.project`; its id is noted, so that a resumed run goes on with it."""

    def __init__(self, subject: Subject) -> None:
        for variable, value in SETTINGS.items():
            os.environ.setdefault(variable, value)
        from mlflow.tracking import MlflowClient

        uri = subject.uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{subject.root / '.mlflow.db'}"
        # Of runs that begin at once under one root, one makes the database and the experiment; the others find them.
        with alone(subject.root / ".mlflow.lock"):
            self._client = MlflowClient(tracking_uri=uri)
            self._run = self._known(subject) or self._begin(subject)
        self._client.update_run(self._run, status="RUNNING")
        self.last = self._newest()

    def _known(self, subject: Subject) -> str | None:
        """The id of the run that was begun before; None if this server has none of it, or in another experiment."""
        from mlflow.exceptions import MlflowException

        known = subject.known.get("run_id")
        if not known:
            return None
        try:
            info = self._client.get_run(str(known)).info
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        there = self._client.get_experiment(info.experiment_id).name == subject.project
        return str(known) if there and info.lifecycle_stage == "active" else None

    def _begin(self, subject: Subject) -> str:
        from mlflow.entities import Param

        found = self._client.get_experiment_by_name(subject.project)
        place = (subject.root / ".mlflow").as_uri()
        owner = found.experiment_id if found else self._client.create_experiment(subject.project, place)
        tags = {"mlflow.runName": subject.name, "axiom.name": subject.name}
        if subject.parent:
            tags |= {"axiom.forked_from": subject.parent, "axiom.forked_at": str(subject.at)}
        run = str(self._client.create_run(owner, tags=tags, run_name=subject.name).info.run_id)
        params = [Param(key, _text(value)) for key, value in flat(subject.config, empty=True).items()]
        for start in range(0, len(params), TOGETHER):
            self._client.log_batch(run, params=params[start : start + TOGETHER])
        return run

    def _newest(self) -> int:
        """The last iteration that the server has: a run that was killed may not have noted it."""
        history = self._client.get_metric_history(self._run, "wall_seconds")
        return max((row.step for row in history), default=-1)

    def note(self) -> dict[str, Any]:
        """The run's id."""
        return {"run_id": self._run}

    def scalars(self, iteration: int, values: Mapping[str, float]) -> None:
        """Metrics with the iteration as the step. `wall_seconds` comes last: what has it has all."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)  # noqa: TID251 (a date for people)
        ordered = sorted(values.items(), key=lambda one: one[0] == "wall_seconds")
        rows = [Metric(name, value, now, iteration) for name, value in ordered]
        for start in range(0, len(rows), 1000):
            self._client.log_batch(self._run, metrics=rows[start : start + 1000])

    def samples(self, iteration: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """A JSON file for each iteration."""
        if rows:
            text = visible_json(json.dumps(list(rows), indent=1))
            self._client.log_text(self._run, text, f"samples/{iteration:04d}.json")

    def finish(self, report: Path | None, ending: Ending) -> None:
        """The report as an artifact, and the run's end."""
        if report is not None:
            self._client.log_artifact(self._run, str(report))
        self._client.set_terminated(self._run, STATUS[ending])


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
