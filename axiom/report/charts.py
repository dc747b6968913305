"""Metrics to Altair charts. Altair enters here and in the charts of curves and studies."""

from collections.abc import Sequence

import altair as alt
import polars as pl

from axiom.evaluation import GREEDY
from axiom.records import Event, LossStep, Metric, Outcome

alt.data_transformers.disable_max_rows()  # a run of hundreds of iterations has more than Altair's 5,000

SPLIT_COLOURS = {"train": "#4c78a8", "val": "#e45756", "test": "#54a24b"}
OTHER_COLOURS = ("#b279a2", "#f58518", "#72b7b2", "#9d755d", "#bab0ac")
OUTCOME_COLOURS = {
    "passed": "#54a24b",
    "wrong_answer": "#f2cf5b",
    "runtime_error": "#f58518",
    "syntax_error": "#e45756",
    "missing_function": "#b279a2",
    "timeout": "#4c78a8",
    "memory_limit": "#72b7b2",
    "output_limit": "#9d755d",
    "forbidden": "#333333",
}
ONLINE = ("alarm", "revoked")
"""Events that were raised while the curve grew; the verdict on all of it is what a chart shows."""
WIDTH, HEIGHT = 640, 300
MOST_POINTS = 60
"""Evaluations that are drawn as points on their line; more run into each other."""
MOST_LEVELS = 8
"""Changes of the level in the heading of a chart; more do not fit."""
MOST_STEPS = 2_000
"""Points of the loss: more cannot be distinguished, and a long run has hundreds of thousands of optimizer steps."""


def frame(metrics: Sequence[Metric]) -> pl.DataFrame:
    """Metrics as a table, one row each."""
    return pl.DataFrame(Metric.to_table(metrics))


def accuracy(
    metrics: Sequence[Metric], events: Sequence[Event] = (), x: str = "iteration", confidence: float = 0.95
) -> alt.LayerChart:
    """Greedy accuracy of each split with its interval as a band, and the detector's events as rules."""
    rows = frame(metrics).filter(
        (pl.col("name") == GREEDY) & pl.col("family").is_null() & pl.col("difficulty").is_null()
    )
    splits = rows["split"].unique(maintain_order=True).to_list()
    colour = alt.Color("split:N", title="split", scale=_split_scale(splits), sort=splits)
    base = alt.Chart(rows).encode(x=alt.X(f"{x}:Q", title=x.replace("_", " "), axis=_integer_axis(rows[x])))
    band = base.mark_area(opacity=0.15).encode(
        alt.Y("low:Q"), alt.Y2("high:Q"), alt.Color("split:N", scale=_split_scale(splits), sort=splits, legend=None)
    )
    line = base.mark_line(point=rows["iteration"].n_unique() <= MOST_POINTS, strokeWidth=2.5).encode(
        alt.Y("value:Q", title="greedy accuracy", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")),
        colour,
        tooltip=["split", "iteration", *(alt.Tooltip(f"{c}:Q", format=".3f") for c in ("value", "low", "high")), "n"],
    )
    layers: list[alt.Chart | alt.LayerChart | alt.FacetChart] = [*_level_bands(metrics, x), band, line]
    verdict = [event for event in events if event.kind not in ONLINE]
    if verdict and x == "iteration":
        layers.append(_event_rules(verdict))
    title = f"Accuracy per iteration, bands are {100 * confidence:.4g} % Wilson intervals"
    return _sized(alt.layer(*layers), title, metrics)


def levels(metrics: Sequence[Metric]) -> list[tuple[int, int, int]]:
    """The curriculum's levels as they were in force: the level, and its first and last iteration in a row."""
    found: list[tuple[int, int, int]] = []
    for row in sorted((row for row in metrics if row.name == "level"), key=lambda row: row.iteration):
        if found and found[-1][0] == row.value:
            found[-1] = (found[-1][0], found[-1][1], row.iteration)
        else:
            found.append((int(row.value), row.iteration, row.iteration))
    return found


def level_line(metrics: Sequence[Metric]) -> str:
    """The levels in words, for the heading of a chart; empty without levels."""
    parts = [f"{level} in {first}" + (f"-{last}" if last > first else "") for level, first, last in levels(metrics)]
    shown = parts if len(parts) <= MOST_LEVELS else [*parts[: MOST_LEVELS - 1], "...", parts[-1]]
    return f"Level of the curriculum by iteration: {', '.join(shown)}" if parts else ""


def _level_bands(metrics: Sequence[Metric], x: str = "iteration") -> list[alt.Chart]:
    """A band of grey for each time a level was in force, the darker the higher the level."""
    found = levels(metrics) if x == "iteration" else []
    if not found:
        return []
    rows = pl.DataFrame([{"level": level, "from": first - 0.5, "to": last + 0.5} for level, first, last in found])
    highest = max(level for level, _, _ in found)
    shade = alt.Opacity("level:Q", scale=alt.Scale(domain=[0, highest], range=[0, 0.25]), legend=None)
    encoded = alt.Chart(rows).encode(alt.X("from:Q", title=x), alt.X2("to:Q"), shade, tooltip=["level", "from", "to"])
    return [encoded.mark_rect(color="#888")]


def _event_rules(events: Sequence[Event]) -> alt.LayerChart | alt.FacetChart:
    marks = pl.DataFrame(
        [{"at": e.estimate if e.estimate is not None else float(e.iteration), "kind": e.kind} for e in events]
    )
    base = alt.Chart(marks).encode(x="at:Q")
    rule = base.mark_rule(strokeDash=[4, 4], color="#666")
    text = base.mark_text(align="left", dx=4, dy=-HEIGHT // 2 + 12, color="#444").encode(text="kind:N")
    return alt.layer(rule, text)


def gold(metrics: Sequence[Metric]) -> alt.LayerChart:
    """Training problems solved and programs trained on, per iteration."""
    labels = {"solved": "training problems solved", "gold": "programs trained on", "gold_fresh": "of them new"}
    rows = frame(metrics).filter(pl.col("name").is_in(labels)).with_columns(pl.col("name").replace(labels))
    chart = alt.Chart(rows).mark_line(point=True, strokeWidth=2.5)
    return _sized(
        alt.layer(
            *_level_bands(metrics),
            chart.encode(
                alt.X("iteration:Q", axis=_integer_axis(rows["iteration"])),
                alt.Y("value:Q", title="count"),
                alt.Color("name:N", title=None, scale=alt.Scale(range=list(OTHER_COLOURS))),
                tooltip=["name", "iteration", "value"],
            ),
        ),
        "Gold",
        metrics,
    )


def outcomes(metrics: Sequence[Metric]) -> alt.LayerChart:
    """What became of each iteration's training samples."""
    order = [str(outcome) for outcome in Outcome]
    rows = (
        frame(metrics)
        .filter(pl.col("name").str.starts_with("outcome_"))
        .with_columns(pl.col("name").str.strip_prefix("outcome_").alias("outcome"))
        .with_columns(pl.col("outcome").replace_strict({name: i for i, name in enumerate(order)}).alias("place"))
    )
    shown = [name for name in order if rows.filter((pl.col("outcome") == name) & (pl.col("value") > 0)).height]
    scale = alt.Scale(domain=shown, range=[OUTCOME_COLOURS[name] for name in shown])
    axis = alt.Axis(labelAngle=0, labelOverlap=True, labelSeparation=6)
    chart = alt.Chart(rows.filter(pl.col("outcome").is_in(shown))).mark_bar()
    return _sized(
        alt.layer(
            chart.encode(
                alt.X("iteration:O", title="iteration", axis=axis),
                alt.Y("value:Q", title="share of samples", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
                alt.Color("outcome:N", title=None, scale=scale, sort=shown),
                order=alt.Order("place:Q"),
                tooltip=["outcome", "iteration", alt.Tooltip("value:Q", format=".3f")],
            )
        ),
        "Verdicts on the training samples",
        metrics,
    )


def families(metrics: Sequence[Metric]) -> alt.FacetChart:
    """Greedy accuracy of each family, train beside validation."""
    rows = frame(metrics).filter(
        (pl.col("name") == GREEDY) & pl.col("family").is_not_null() & pl.col("split").is_in(["train", "val", "test"])
    )
    splits = rows["split"].unique(maintain_order=True).to_list()
    return (
        alt.Chart(rows.select("family", "split", "iteration", "value", "n"), width=190, height=110)
        .mark_line(point=True)
        .encode(
            alt.X("iteration:Q", axis=_integer_axis(rows["iteration"])),
            alt.Y("value:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")),
            alt.Color("split:N", scale=_split_scale(splits), sort=splits),
            tooltip=["family", "split", "iteration", alt.Tooltip("value:Q", format=".3f"), "n"],
        )
        .facet(alt.Facet("family:N", title=None), columns=3)
        .properties(
            title=_title("Greedy accuracy by family", metrics) if levels(metrics) else "Greedy accuracy by family"
        )
        .configure_legend(orient="top")
    )


def loss(steps: Sequence[LossStep], metrics: Sequence[Metric] = ()) -> alt.LayerChart:
    """Training loss of every optimizer step; of a long run the mean of as many in a row as leave MOST_STEPS points."""
    chart = alt.Chart(_thinned(steps)).mark_line(strokeWidth=1.5)
    return _sized(
        alt.layer(
            chart.encode(
                alt.X("step:Q", title="optimizer step"),
                alt.Y("loss:Q", title="loss, nats a completion token"),
                alt.Color("iteration:Q", title="iteration", scale=alt.Scale(scheme="viridis")),
                detail="iteration:O",
                tooltip=["iteration", "step", alt.Tooltip("loss:Q", format=".4f"), "loss_tokens"],
            )
        ),
        "Training loss",
        metrics,
    )


def _thinned(steps: Sequence[LossStep]) -> pl.DataFrame:
    """Means over equally many steps in a row of one iteration, weighted by their tokens."""
    each = -(-len(steps) // MOST_STEPS) or 1
    rows = pl.DataFrame(LossStep.to_table(steps))
    mean = (pl.col("loss") * pl.col("loss_tokens")).sum() / pl.col("loss_tokens").sum()
    bunch = pl.int_range(pl.len()).over("iteration") // each
    return (
        rows.group_by("iteration", bunch.alias("bunch"), maintain_order=True)
        .agg(pl.col("step").first(), mean.alias("loss"), pl.col("loss_tokens").sum())
        .drop("bunch")
    )


def _split_scale(splits: Sequence[str]) -> alt.Scale:
    others = iter(OTHER_COLOURS)
    return alt.Scale(domain=list(splits), range=[SPLIT_COLOURS.get(split) or next(others) for split in splits])


def _integer_axis(values: pl.Series) -> alt.Axis:
    span = int(values.max() or 0) - int(values.min() or 0) if len(values) else 0  # type: ignore[arg-type]
    return alt.Axis(format="d", tickCount=min(span, 10) or 1)


def _title(text: str, metrics: Sequence[Metric]) -> alt.Title:
    line = level_line(metrics)
    return alt.Title(text, anchor="start", subtitle=line) if line else alt.Title(text, anchor="start")


def _sized(chart: alt.LayerChart | alt.FacetChart, title: str, metrics: Sequence[Metric] = ()) -> alt.LayerChart:
    sized: alt.LayerChart = (
        chart.resolve_scale(color="independent")
        .properties(width=WIDTH, height=HEIGHT, title=_title(title, metrics))
        .configure_legend(orient="top", symbolOpacity=1, labelLimit=300)
    )
    return sized
