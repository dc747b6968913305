"""What the Prefect UI shows of an experiment: progress, table, chart, phase, and where the files lie.

A flow run's Artifacts tab leaves out its subflows', so the parent writes them all. What covers the whole run (progress,
table, chart) is one artifact that is replaced in place; each iteration adds one short page of its own.
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
from prefect.client.schemas.actions import ArtifactUpdate

from axiom.evaluation import GREEDY
from axiom.experiment import DEFAULT_ROOT, Experiment, iteration_folder
from axiom.records import Metric
from axiom.report.page import accuracy_rows
from axiom.report.render import svg

TABLE_ROWS = 200
"""Latest iterations in the table; the report has all of them."""
CURVE_SECONDS = 10.0
"""The curve is drawn at most so often: a drawing takes a quarter of a second, which short rounds would feel."""
OPENING = "No browser follows a web page's link to a file: copy the link's address, or run where the store is:"


class Pages:
    """The artifacts of one run of an experiment."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment, self._iterations = experiment, experiment.config.iterations
        self._key = slug(experiment.config.name)
        self._made: dict[str, UUID] = {}
        self._curve: tuple[Sequence[Metric], str] | None = None
        self._drawn = -CURVE_SECONDS

    def show(self, iteration: int, metrics: Sequence[Metric], sentence: str, reused: bool) -> None:
        """Bring every page up to `iteration`; a reused iteration has its own page from the run that computed it."""
        share = 100.0 * (iteration + 1) / (self._iterations + 1)
        self._put("progress", round(share, 1), f"iteration {iteration} of {self._iterations}: {sentence}")
        header, rows = accuracy_rows(metrics)
        table = json.dumps([dict(zip(header, row, strict=True)) for row in rows[-TABLE_ROWS:]])
        confidence = f"{self._experiment.config.evaluation.confidence:.0%}"
        self._put("accuracy", table, f"Greedy accuracy with {confidence} Wilson intervals")
        self._curve = metrics, sentence
        if time.monotonic() - self._drawn >= CURVE_SECONDS or iteration == self._iterations:
            self._draw()
        if not reused:
            now = [row for row in rows if row[0] == str(iteration)]
            text = page(self._experiment, iteration, header, now, sentence)
            create_markdown_artifact(text, key=f"{self._key}-iteration", description=f"Iteration {iteration}")

    def finish(self, report: str) -> None:
        """Say where the report lies, and draw the curve to its end."""
        self._draw()
        text = f"Report: [{report}]({as_link(report)})\n\n{_commands(self._experiment, None)}"
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
        kind = {"accuracy": "table", "curve": "image"}.get(name, name)
        made = Artifact(type=kind, key=f"{self._key}-{name}", description=description, data=value)
        self._made[name] = made.create().id  # type: ignore[union-attr]


def slug(name: str) -> str:
    """An artifact's key: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def page(
    experiment: Experiment, iteration: int, header: Sequence[str], rows: Sequence[Sequence[str]], sentence: str
) -> str:
    """One iteration as markdown: accuracies with intervals, the phase so far, the files and how to open them."""
    lines = [f"**{experiment.config.name}, iteration {iteration}**: {sentence}", ""]
    if rows:
        lines += [" | ".join(header), " | ".join("---" for _ in header), *(" | ".join(row) for row in rows), ""]
    folder = experiment.folder.join(iteration_folder(iteration))
    files = [name for name in folder.names() if name.endswith(".parquet")]
    lines += [f"- [{name}]({as_link(folder.at(name))})" for name in files]
    return "\n".join([*lines, "", _commands(experiment, iteration)])


def _commands(experiment: Experiment, iteration: int | None) -> str:
    """How to open the files; the root last, since a long line is cut off."""
    name, root = experiment.config.name, "" if experiment.root == DEFAULT_ROOT else f" --root {experiment.root}"
    stage = "eval_samples" if iteration == 0 else "samples"
    inspect = f"axiom inspect {name} --iteration {1 if iteration is None else iteration} --stage {stage}{root}"
    return f"{OPENING}\n\n```\n{inspect}\naxiom report {name}{root}\n```"


def as_link(path: str) -> str:
    """A path or URL of a store as a link."""
    return f"file://{path}" if path.startswith("/") else path


def chart(metrics: Sequence[Metric]) -> str:
    """Pooled greedy accuracy of each split by iteration, as SVG small enough for a database row; and the level."""
    from axiom.report import charts

    pooled = [row for row in metrics if row.pooled and row.name == GREEDY]
    splits = dict.fromkeys(row.split for row in pooled)
    shown = [row for split in splits for row in thinned([row for row in pooled if row.split == split])]
    return svg(charts.accuracy([*shown, *(row for row in metrics if row.name == "level")]))


def thinned(rows: Sequence[Metric], most: int = 150) -> list[Metric]:
    """At most about `most` rows, evenly spread, the last among them."""
    step = max(1, len(rows) // most)
    return [row for place, row in enumerate(rows) if (len(rows) - 1 - place) % step == 0]


def as_image(svg: str) -> str:
    """An SVG as an address that a browser shows as a picture, scripts off."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
