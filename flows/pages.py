"""What the Prefect UI shows of an experiment: progress, chart and table of the run, and a page of each iteration.

A flow run's Artifacts tab leaves out its subflows'. The run has what covers all of it, each one artifact that is
replaced in place, and a list with links to its iterations; each iteration's own run has the page of it.
"""

import base64
import json
import re
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from prefect.artifacts import Artifact, create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

from axiom.evaluation import GREEDY, pooled_greedy
from axiom.experiment import Experiment, iteration_folder
from axiom.flows.iteration_page import commands, page
from axiom.records import Metric
from axiom.report.data import accuracy_rows
from axiom.report.render import svg

TABLE_ROWS = 200
"""Latest iterations in the table; the report has all of them."""
CURVE_SECONDS = 10.0
"""The curve is drawn at most so often: a drawing takes a quarter of a second, which short rounds would feel."""


class Pages:
    """The artifacts of one run of an experiment."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment, self._iterations = experiment, experiment.config.iterations
        self._key = slug(experiment.config.name)
        self._made: dict[str, UUID] = {}
        self._curve: tuple[Sequence[Metric], str] | None = None
        self._drawn = -CURVE_SECONDS
        self._runs: dict[int, str] = {}
        self._lines: dict[int, str] = {}

    def began(self, iteration: int, flow_run: str) -> None:
        """Note which flow run computes the iteration; one that was done before has none here."""
        self._runs[iteration] = flow_run

    def show(self, iteration: int, metrics: Sequence[Metric], sentence: str) -> None:
        """Bring every page up to `iteration`."""
        share = 100.0 * (iteration + 1) / (self._iterations + 1)
        self._put("progress", round(share, 1), f"iteration {iteration} of {self._iterations}: {sentence}")
        header, rows = accuracy_rows(metrics)
        table = json.dumps([dict(zip(header, row, strict=True)) for row in rows[-TABLE_ROWS:]])
        confidence = f"{self._experiment.config.evaluation.confidence:.0%}"
        self._put("accuracy", table, f"Greedy accuracy with {confidence} Wilson intervals")
        self._curve = metrics, sentence
        if time.monotonic() - self._drawn >= CURVE_SECONDS or iteration == self._iterations:
            self._draw()
        now = [row for row in metrics if row.iteration == iteration and row.name == GREEDY]
        own = self._page_of(iteration, sentence) if iteration in self._runs else None
        self._lines[iteration] = _line(iteration, now, own)
        newest = sorted(self._lines.items(), reverse=True)[:TABLE_ROWS]
        self._put("iterations", "\n".join(line for _, line in newest), "Iterations, each with a page of its own")

    def _page_of(self, iteration: int, sentence: str) -> UUID:
        experiment = self._experiment
        own = experiment.stages.read(iteration_folder(iteration), "metrics", Metric)
        made = ArtifactCreate(
            key=f"{self._key}-iteration-{iteration:04d}",
            type="markdown",
            description=f"Iteration {iteration} of {experiment.config.name}",
            data=page(experiment, iteration, own, sentence),
            flow_run_id=UUID(self._runs[iteration]),
        )
        with get_client(sync_client=True) as client:
            return client.create_artifact(made).id

    def finish(self, report: str) -> None:
        """Say where the report lies, and draw the curve to its end."""
        self._draw()
        text = f"Report: [{report}]({as_link(report)})\n\n{commands(self._experiment, None)}"
        create_markdown_artifact(text, key=f"{self._key}-report", description="The report of the experiment")

    def _draw(self) -> None:
        """Bring the curve up to what was shown last, if it is not."""
        if self._curve is not None:
            metrics, sentence = self._curve
            self._put("curve", as_image(chart(metrics)), f"Accuracy by iteration. {sentence}")
            self._curve, self._drawn = None, time.monotonic()

    def _put(self, name: str, value: Any, description: str) -> None:
        if name in self._made:
            with get_client(sync_client=True) as client:
                client.update_artifact(self._made[name], ArtifactUpdate(data=value, description=description))
            return
        kind = {"accuracy": "table", "curve": "image", "iterations": "markdown"}.get(name, name)
        made = Artifact(type=kind, key=f"{self._key}-{name}", description=description, data=value)
        self._made[name] = made.create().id  # type: ignore[union-attr]


def _line(iteration: int, now: Sequence[Metric], own: UUID | None) -> str:
    """An iteration in the list, with a link to its page where it has one: the tab of a run cannot be linked to."""
    figures = ", ".join(f"{row.split} {row.value:.0%}" for row in now) or "not evaluated"
    title = f"iteration {iteration}"
    return f"- {f'[{title}](/artifacts/artifact/{own})' if own else f'{title} (reused)'}: {figures}"


def slug(name: str) -> str:
    """An artifact's key: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def as_link(path: str) -> str:
    """A path or URL of a store as a link."""
    return f"file://{path}" if path.startswith("/") else path


def chart(metrics: Sequence[Metric]) -> str:
    """Pooled greedy accuracy of each split by iteration, as SVG small enough for a database row; and the level."""
    from axiom.report import charts

    pooled = pooled_greedy(metrics)
    splits = dict.fromkeys(row.split for row in pooled)
    shown = [row for split in splits for row in thinned([row for row in pooled if row.split == split])]
    return svg(charts.accuracy([*shown, *(row for row in metrics if row.name == "level")]))


def thinned(rows: Sequence[Metric], most: int = 150) -> list[Metric]:
    """At most about `most` rows, evenly spread, the first and the last among them."""
    step = max(1, len(rows) // most)
    return [row for place, row in enumerate(rows) if place == 0 or (len(rows) - 1 - place) % step == 0]


def as_image(svg: str) -> str:
    """An SVG as an address that a browser shows as a picture, scripts off."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
