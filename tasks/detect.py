"""All metrics so far to phases and events."""

from typing import Any

from axiom.evaluation import GREEDY
from axiom.grokking import Curve, alarms, detect, events
from axiom.records import Event, Metric, with_interval
from axiom.runtime import Runtime
from axiom.store import write_parquet
from tasks.stage import retried


def detect_phases(run: Runtime, *, iteration: int) -> dict[str, Any]:
    """`metrics.parquet` and `events.parquet` of the experiment; returns the verdict so far.

    A plain call with a task's retries: its task runs would add more to Prefect's database than they tell.
    """
    return retried(lambda: _detect(run, iteration))


def _detect(run: Runtime, iteration: int) -> dict[str, Any]:
    metrics = run.metrics(iteration)
    curve = Curve.from_metrics(metrics, name=GREEDY)
    phases = detect(curve, run.config.detection)
    online = alarms(curve, run.config.detection)
    raised = [event for event in online if event.iteration == iteration]
    write_parquet(run.experiment.folder, "metrics", metrics, Metric)
    seen = sorted([*events(phases), *online], key=lambda event: event.iteration)
    write_parquet(run.experiment.folder, "events", seen, Event)
    return {
        "iteration": iteration, "kind": phases.kind, "sentence": phases.sentence(),
        "evaluations_without_gain": _without_gain(metrics), "line": _line(metrics, iteration),
        "alarms": [event.model_dump() for event in raised],
    }  # fmt: skip


def _without_gain(metrics: list[Metric]) -> int:
    values = [
        row.value for row in metrics if (row.name, row.split, row.family, row.difficulty) == (GREEDY, "val", None, None)
    ]
    return len(values) - 1 - values.index(max(values)) if values else 0


def _line(metrics: list[Metric], iteration: int) -> str:
    now = [row for row in metrics if row.iteration == iteration and row.family is None and row.difficulty is None]
    parts = [f"{r.split} {with_interval(r)}" for r in now if r.name == GREEDY]
    parts += [f"{r.name} {r.value:g}" for r in now if r.name in ("solved", "gold")]
    return ", ".join(parts) or "not evaluated"
