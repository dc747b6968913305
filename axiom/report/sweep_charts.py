"""A grid of a study to charts: maps of two numeric axes, and curves over one."""
# ruff: noqa: TID253  (imported only where a chart is drawn)

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from axiom.evaluation import wilson_interval
from axiom.report.study_charts import PALETTE
from axiom.study.conditions import short
from axiom.study.config import UNITS, StudyConfig
from axiom.study.sweep import DATA_SIZE, Row, beside, numeric_axes
from axiom.study.transfer import Gain

CELL = 58
"""Width and height of one cell of a map, in pixels."""
MOST_MAPS = 12
ACCURACY = "final accuracy"


def charts(study: StudyConfig, rows: Sequence[Row]) -> dict[str, alt.TopLevelMixin]:
    """Maps of time and of final accuracy over the two largest numeric axes; else, and for data sizes, curves."""
    axes = numeric_axes(study)
    made: dict[str, alt.TopLevelMixin] = {}
    if len(axes) > 1:
        made = {
            "map_time": time_map(study, rows, axes[0], axes[1]),
            "map_accuracy": accuracy_map(study, rows, axes[0], axes[1]),
        }
    over = [key for key in axes if key in DATA_SIZE or len(axes) == 1]
    return made | {f"over_{short(key)}": curve(study, rows, key) for key in over}


def time_map(study: StudyConfig, rows: Sequence[Row], across: str, up: str) -> alt.TopLevelMixin:
    """Median time to generalise; white where no run did, the horizon's colour where fewer than half did."""
    cells = [
        _place(row, across, up, study)
        | {
            "value": min(row.time.value, row.horizon) if row.generalised else None,
            "text": f"{_median(row)} ({row.generalised}/{row.runs})" if row.generalised else "never",
        }
        for row in rows
    ]
    longest = max(row.horizon for row in rows)
    unit = UNITS[study.clock]
    title = f"Median {unit} to generalise (runs that did); white: never"
    return _maps(cells, across, up, title, unit, alt.Scale(scheme="viridis", domain=[0, longest], reverse=True))


def _median(row: Row) -> str:
    return f"{row.time.value:g}" if math.isfinite(row.time.value) else f"> {row.horizon:g}"


def accuracy_map(study: StudyConfig, rows: Sequence[Row], across: str, up: str) -> alt.TopLevelMixin:
    """Mean final accuracy over seeds."""
    cells = [
        _place(row, across, up, study) | {"value": row.accuracy.value, "text": f"{row.accuracy.value:.0%}"}
        for row in rows
    ]
    title = f"Mean final accuracy on {study.split}"
    return _maps(cells, across, up, title, ACCURACY, alt.Scale(scheme="viridis", domain=[0, 1]))


def _place(row: Row, across: str, up: str, study: StudyConfig) -> dict[str, Any]:
    cell = row.condition.cell
    return {"x": cell[across], "y": cell[up], "panel": beside(row.condition, (across, up), study)}


def _maps(
    cells: list[dict[str, Any]], across: str, up: str, title: str, legend: str, scale: alt.Scale
) -> alt.TopLevelMixin:
    """One map for each combination of what is beside the two axes; values of an axis are in order, evenly spaced."""
    panels = list(dict.fromkeys(cell["panel"] for cell in cells))[:MOST_MAPS]
    width, height = (CELL * len({cell[axis] for cell in cells}) for axis in ("x", "y"))
    dark = "datum.value != null && " + (
        "datum.value < 0.55" if legend == ACCURACY else f"datum.value > {scale.domain[1] * 0.45}"
    )
    schema = {"x": pl.Float64, "y": pl.Float64, "panel": pl.String, "value": pl.Float64, "text": pl.String}
    drawn = []
    for panel in panels:
        here = pl.DataFrame([cell for cell in cells if cell["panel"] == panel], schema=schema)
        base = alt.Chart(here, width=max(width, 2 * CELL), height=height, title=panel).encode(
            alt.X("x:O", title=titled(across), axis=alt.Axis(labelAngle=0)),
            alt.Y("y:O", title=titled(up), sort="descending"),
        )
        layers = []  # a layer without a mark would be an empty picture to assistive programs
        if here["value"].null_count():
            layers.append(base.transform_filter("datum.value == null").mark_rect(fill="white", stroke="#ddd"))
        if here["value"].count():
            colour = alt.Color("value:Q", title=legend, scale=scale)
            layers.append(base.transform_filter("datum.value != null").mark_rect(stroke="#ddd").encode(colour))
        ink = alt.condition(dark, alt.value("white"), alt.value("black"))
        drawn.append(alt.layer(*layers, base.mark_text(fontSize=10).encode(text="text:N", color=ink)))
    return alt.concat(*drawn, columns=3, title=title)


def titled(key: str) -> str:
    """A setting as the title of an axis."""
    return short(key).replace("_", " ")


def curve(study: StudyConfig, rows: Sequence[Row], key: str) -> alt.TopLevelMixin:
    """Share of runs that generalised, with Wilson intervals, and mean final accuracy over one axis."""
    points = []
    for row in rows:
        low, high = wilson_interval(row.generalised, row.runs, study.confidence)
        share = {"figure": "runs that generalised", "value": row.generalised / row.runs, "low": low, "high": high}
        ends = (
            (row.accuracy.low, row.accuracy.high) if row.accuracy.covers else (row.accuracy.value, row.accuracy.value)
        )
        final = {"figure": ACCURACY, "value": row.accuracy.value, "low": ends[0], "high": ends[1]}
        point = {"x": float(row.condition.cell[key]), "beside": beside(row.condition, key, study)}
        points += [point | share, point | final]
    named = any(point["beside"] for point in points)
    shown: dict[str, Any] = {"title": None, "legend": alt.Legend(labelLimit=300)}
    colour = [alt.Color("beside:N", scale=alt.Scale(range=list(PALETTE)), **shown)] if named else []
    dash = [alt.StrokeDash("beside:N", legend=None)] if named else []
    panels = []
    for figure in ("runs that generalised", ACCURACY):
        base = alt.Chart(pl.DataFrame([p for p in points if p["figure"] == figure]), width=320, height=180).encode(
            alt.X("x:Q", title=titled(key), scale=alt.Scale(zero=False)), *colour
        )
        line = base.mark_line(point=True).encode(
            alt.Y("value:Q", title=figure, axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])), *dash
        )
        panels.append(
            alt.layer(base.mark_rule(opacity=0.5).encode(alt.Y("low:Q", title=figure), alt.Y2("high:Q")), line)
        )
    intervals = f"{100 * study.confidence:.4g} % intervals over {rows[0].runs} seeds"
    return alt.hconcat(*panels, title=f"Over {titled(key)}: {intervals}")


def transfer_map(gains: Sequence[Gain]) -> alt.TopLevelMixin:
    """Gains of accuracy: conditions down, measured families across; a trained family has a star."""
    cells = pl.DataFrame(
        [
            {
                "condition": gain.condition,
                "family": gain.measured,
                "gain": gain.gain.value,
                "text": f"{gain.gain.value:+.2f}{' *' if gain.trained else ''}",
            }
            for gain in gains
        ]
    )
    base = alt.Chart(cells, width=alt.Step(2 * CELL), height=alt.Step(CELL)).encode(
        alt.X("family:N", title="measured", sort=None, axis=alt.Axis(labelAngle=0)),
        alt.Y("condition:N", title="trained on", sort=None),
    )
    colour = alt.Color("gain:Q", title="gain of accuracy", scale=alt.Scale(scheme="redblue", domain=[-1, 1]))
    ink = alt.condition("abs(datum.gain) > 0.6", alt.value("white"), alt.value("black"))
    text = base.mark_text(fontSize=11).encode(text="text:N", color=ink)
    return alt.layer(base.mark_rect(stroke="#ddd").encode(colour), text, title="What each family gained (*: trained)")
