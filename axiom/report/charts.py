"""Metrics to Altair charts. Altair enters here and in the charts of curves and studies."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from axiom.evaluation import GREEDY, pooled_greedy
from axiom.records import Event, LossStep, Metric, Outcome
from axiom.report import looks
from axiom.report.data import SPLITS
from axiom.report.looks import HEIGHT, PERCENT, SHARE, WIDTH, split_scale

CLOCKS = {
    "iteration": "iteration",
    "optimizer_step": "optimizer steps",
    "trained_tokens": "trained tokens",
    "generated_tokens": "generated tokens",
    "wall_seconds": "seconds of sampling and training",
}
alt.data_transformers.disable_max_rows()  # a run of hundreds of iterations has more than Altair's 5,000

OUTCOME_COLOURS = {
    "passed": looks.GREEN,
    "wrong_answer": looks.AMBER,
    "runtime_error": looks.ORANGE,
    "syntax_error": looks.PURPLE,
    "missing_function": looks.SKY,
    "timeout": looks.BLUE,
    "memory_limit": "#999999",
    "output_limit": "#444444",
    "forbidden": "#f0e442",
}
ONLINE = ("alarm", "revoked")
"""Events that were raised while the curve grew; the verdict on all of it is what a chart shows."""
MOST_CELLS = 101
"""Columns of a map of accuracies; more are narrower than a pixel each on a telephone."""
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
    rows = frame(pooled_greedy(metrics))
    columns = ["split", "value", "low", "high", "n", *CLOCKS]
    rows = rows.select(columns).with_columns(pl.col("split").replace(SPLITS))
    splits = rows["split"].unique(maintain_order=True).to_list()
    y = alt.Y("value:Q", title="greedy accuracy", scale=SHARE, axis=PERCENT)
    drawn = looks.lines(rows, splits, y, split_scale(splits), "split", ".1%")
    verdict = [event for event in events if event.kind not in ONLINE]
    rules = [_event_rules(verdict)] if verdict and x == "iteration" else []
    title = f"Accuracy per iteration, bands are {100 * confidence:.4g} % Wilson intervals"
    made = _sized(alt.layer(*_level_bands(metrics, x), drawn, *rules), title, metrics)
    return made if x == "iteration" else alt.LayerChart.from_dict(along(made.to_dict(), x))


def along(spec: Any, clock: str) -> Any:
    """The Vega-Lite of a chart over iterations with another clock on its horizontal axis."""
    if isinstance(spec, list):
        return [along(part, clock) for part in spec]
    if not isinstance(spec, dict):
        return spec
    if spec.get("field") == "iteration" and spec.get("type") == "quantitative" and "title" in spec:
        kept = {key: value for key, value in spec.items() if key != "axis"}
        return kept | {"field": clock, "title": CLOCKS[clock]}
    return {key: along(value, clock) for key, value in spec.items()}


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
    labels = {"solved": "problems solved", "gold": "programs trained on", "gold_fresh": "new ones among them"}
    rows = frame(metrics).filter(pl.col("name").is_in(labels)).select("name", "value", *CLOCKS)
    rows = rows.with_columns(pl.col("name").replace(labels))
    colours = alt.Scale(domain=list(labels.values()), range=[looks.GREEN, looks.BLUE, looks.AMBER])
    names = [name for name in labels.values() if name in set(rows["name"])]
    drawn = looks.lines(rows, names, alt.Y("value:Q", title="count", axis=looks.COUNTS), colours)
    return _sized(alt.layer(*_level_bands(metrics), drawn), "What a round trains on", metrics)


def outcomes(metrics: Sequence[Metric]) -> alt.LayerChart:
    """What became of each iteration's training samples."""
    order = [str(outcome) for outcome in Outcome]
    rows = (
        frame(metrics)
        .filter(pl.col("name").str.starts_with("outcome_"))
        .select(pl.col("name").str.strip_prefix("outcome_").alias("outcome"), "iteration", "value")
        .with_columns(pl.col("outcome").replace_strict({name: i for i, name in enumerate(order)}).alias("place"))
    )
    shown = [name for name in order if rows.filter((pl.col("outcome") == name) & (pl.col("value") > 0)).height]
    words = [name.replace("_", " ") for name in shown]
    rows = rows.filter(pl.col("outcome").is_in(shown)).with_columns(pl.col("outcome").str.replace("_", " "))
    scale = alt.Scale(domain=words, range=[OUTCOME_COLOURS[name] for name in shown])
    drawn = (
        alt.Chart(rows)
        .mark_bar()
        .encode(
            looks.each_iteration(),
            alt.Y("value:Q", title="share of samples", axis=PERCENT, scale=SHARE),
            alt.Color("outcome:N", title=None, scale=scale, sort=words),
            order=alt.Order("place:Q"),
            tooltip=["outcome", "iteration", alt.Tooltip("value:Q", format=".1%")],
        )
    )
    return _sized(alt.layer(drawn), "Verdicts on the training samples", metrics)


def families(metrics: Sequence[Metric]) -> alt.LayerChart:
    """Greedy accuracy of each family at each evaluation, one split at a time."""
    found = pl.col("family").is_not_null() & pl.col("split").is_in(["train", "val", "test"])
    rows = frame(metrics).filter((pl.col("name") == GREEDY) & found)
    return _sized(heat(rows, "family"), "Greedy accuracy by family", metrics, _cells(rows["family"]))


def difficulties(metrics: Sequence[Metric]) -> alt.LayerChart:
    """The same of each difficulty."""
    rows = frame(metrics).filter((pl.col("name") == GREEDY) & pl.col("difficulty").is_not_null())
    return _sized(heat(rows, "difficulty"), "Greedy accuracy by difficulty", metrics, _cells(rows["difficulty"]))


def heat(rows: pl.DataFrame, down: str) -> alt.LayerChart | alt.FacetChart:
    """A cell for each of `down` and each evaluation; of a long run as many evaluations as can be told apart."""
    at = rows["iteration"].unique().sort()
    rows = rows.filter(pl.col("iteration").is_in(at.gather_every(-(-len(at) // MOST_CELLS)).implode()))
    rows = rows.select(down, "iteration", "value", "n", pl.col("split").replace(SPLITS))
    if down == "family":
        rows = rows.with_columns(pl.col(down).str.replace_all("_", " "))
    splits = rows["split"].unique(maintain_order=True).to_list()
    drawn = (
        alt.Chart(rows)
        .mark_rect()
        .encode(
            looks.each_iteration(),
            alt.Y(f"{down}:O", title=down, axis=alt.Axis(labelLimit=130, title=None)),
            alt.Color("value:Q", title="accuracy", scale=looks.SHADES, legend=alt.Legend(format="%")),
            tooltip=[down, "split", "iteration", alt.Tooltip("value:Q", title="accuracy", format=".1%"), "n"],
        )
        .transform_filter("datum.split == split")
    )
    return alt.layer(drawn).add_params(looks.split_choice(splits))


def _cells(values: pl.Series) -> int:
    """Height of a map with a row for each value."""
    return max(60, 18 * values.n_unique())


def loss(steps: Sequence[LossStep], metrics: Sequence[Metric] = ()) -> alt.LayerChart:
    """Training loss of every optimizer step; of a long run the mean of as many in a row as leave MOST_STEPS points."""
    rows = _thinned(steps)
    chart = alt.Chart(rows).mark_line(strokeWidth=1.5, point=len(rows) <= looks.MOST_POINTS)
    at = rows["iteration"].unique().sort().to_list()
    legend = alt.Legend(type="gradient", format="d", values=at[:: -(-len(at) // 5) or 1])
    # Both ends can be seen on a white and on a black ground; an interval of iterations leaves each its colour.
    shades = alt.Scale(domain=[at[0], at[-1]], range=[looks.BLUE, looks.ORANGE])
    return _sized(
        alt.layer(
            chart.encode(
                alt.X(
                    "step:Q", title="optimizer step", axis=looks.integer_axis(rows["step"]), scale=alt.Scale(nice=False)
                ),
                alt.Y("loss:Q", title="loss (nats per token of a completion)"),
                alt.Color("iteration:Q", title="iteration", legend=legend, scale=shades),
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


def _title(text: str, metrics: Sequence[Metric]) -> alt.Title:
    line = level_line(metrics)
    return alt.Title(text, anchor="start", subtitle=line) if line else alt.Title(text, anchor="start")


def _sized(
    chart: alt.LayerChart | alt.FacetChart, title: str, metrics: Sequence[Metric], height: int = HEIGHT
) -> alt.LayerChart:
    sized: alt.LayerChart = chart.properties(width=WIDTH, height=height, title=_title(title, metrics)).configure_legend(
        orient="top", symbolOpacity=1, labelLimit=300
    )
    return sized
