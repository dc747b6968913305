"""All metrics so far to phases and events."""

from typing import Any

from axiom.evaluation import GREEDY, pooled_greedy
from axiom.experiment import iteration_folder
from axiom.experiment.running import Runtime
from axiom.grokking import Curve
from axiom.records import Event, Metric, with_interval
from axiom.store import write_parquet, write_table
from axiom.tasks.stage import retried


def detect_phases(run: Runtime, *, iteration: int, whole: bool = False, write: bool = True) -> dict[str, Any]:
    """`metrics.parquet` and `events.parquet` of the experiment; returns the verdict so far.

    With `whole` the verdict is on every evaluation, else the newest hundredth of them may be left out of the phases.
    Without `write` the two tables stay as they are.
    A plain call with a task's retries: its task runs would add more to Prefect's database than they tell.
    """
    return retried(lambda: _detect(run, iteration, whole, write))


def _detect(run: Runtime, iteration: int, whole: bool, write: bool) -> dict[str, Any]:
    metrics, watch = run.headlines(iteration), run.watch
    watch.read(Curve.from_metrics(metrics, name=GREEDY), whole)
    raised = [event for event in watch.alarm.events if event.iteration == iteration]
    if write:
        write_table(run.experiment.folder, "metrics", run.metrics(iteration))
        write_parquet(run.experiment.folder, "events", watch.events(), Event)
    return {
        "iteration": iteration,
        "kind": watch.phases.kind,
        "sentence": watch.phases.sentence(),
        "evaluations_without_gain": _without_gain(metrics),
        "parts": _parts(run.experiment.stages.read(iteration_folder(iteration), "metrics", Metric)),
        "alarms": [event.model_dump() for event in raised],
    }


def _without_gain(metrics: list[Metric]) -> int:
    values = [row.value for row in pooled_greedy(metrics, "val")]
    return len(values) - 1 - values.index(max(values)) if values else 0


def _parts(metrics: list[Metric]) -> list[tuple[str, str]]:
    """An iteration's figures, from its own metrics: each short, and with its interval; the first matter most."""
    now = [row for row in metrics if row.pooled]
    measured = [(f"{r.split} {r.value:.0%}", f"{r.split} {with_interval(r)}") for r in now if r.name == GREEDY]
    counts = [f"{r.name} {r.value:g}" for r in now if r.name in ("level", "solved", "gold")]
    parts = [*measured[:3], *((text, text) for text in counts), *measured[3:]]
    return parts or [("not evaluated", "not evaluated")]
