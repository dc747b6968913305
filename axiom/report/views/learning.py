"""How good the policies are: accuracies, the gap between splits, pass@k, gold and loss."""
# ruff: noqa: TID253  (imported only where a page is drawn)

import math

import altair as alt
import polars as pl

from axiom.evaluation import GREEDY, pass_at_k as estimate, wilson_interval
from axiom.report import charts, looks
from axiom.report.data import SPLITS, RunData, Table, View, accuracy_rows


def accuracy(data: RunData) -> View:
    """Each split's greedy accuracy."""
    confidence = data.experiment.config.evaluation.confidence
    chart = charts.accuracy(data.metrics, data.events, confidence=confidence)
    words = (
        f"The share of problems whose most likely answer is right. Bands are {100 * confidence:.4g} % Wilson "
        f"intervals over problems; variants of one family are not independent, so the true ones are wider."
    )
    return View("Accuracy", words, chart, _table(data), clock=True, picks=True)


def _table(data: RunData) -> Table:
    header, rows = accuracy_rows(data.metrics)
    return [SPLITS.get(name, name) for name in header], [["–" if cell == "-" else cell for cell in row] for row in rows]


def gap(data: RunData) -> View | None:
    """Training less held-out accuracy."""
    rows = data.pooled(GREEDY)
    train = rows.filter(pl.col("split") == "training").select("iteration", train="value")
    held = rows.filter(pl.col("split") != "training").join(train, on="iteration")
    if held["iteration"].n_unique() < 2:
        return None
    held = held.select(
        pl.col("split").alias("name"), (pl.col("train") - pl.col("value")).alias("value"), *charts.CLOCKS
    )
    names = held["name"].unique(maintain_order=True).to_list()
    y = alt.Y("value:Q", title="training less held out", axis=looks.PERCENT)
    words = "How far training accuracy is above held-out accuracy. A wide gap that then closes is the mark of grokking."
    return View(
        "Generalisation gap", words, looks.lines(held, names, y, looks.split_scale(names), unit=".1%"), clock=True
    )


def pass_at_k(data: RunData) -> View | None:
    """pass@k against k of the base, a middle and the last policy."""
    rows = data.evaluations.filter(pl.col("n") > 0)
    at = rows["iteration"].unique().sort().to_list()
    if not at:
        return None
    shown = dict.fromkeys((at[0], at[len(at) // 2], at[-1]))
    names = {number: "base model" if number == 0 else f"iteration {number}" for number in shown}
    kept = sorted({*shown, *at[:: -(-len(at) // MOST_POLICIES)]})
    rows = rows.filter(pl.col("iteration").is_in(kept))
    everywhere = rows.group_by("problem_id").agg(pl.col("iteration").n_unique()).filter(iteration=len(kept))
    rows = rows.filter(pl.col("problem_id").is_in(everywhere["problem_id"].implode()))
    if rows.is_empty() or rows["n"].max() < 2:  # type: ignore[operator]
        return None
    points = [
        {
            "split": split,
            "iteration": number,
            "name": name,
            "k": k,
            "value": total / len(part),
            "low": low,
            "high": high,
        }
        for (split, number), part in rows.group_by("split", "iteration", maintain_order=True)
        for k in ladder(int(part["n"].min()))  # type: ignore[arg-type]
        for total in [math.fsum(estimate(n, c, k) for n, c in part.select("n", "correct").iter_rows())]
        for low, high in [wilson_interval(total, len(part), data.experiment.config.evaluation.confidence)]
        for name in [*([names[number]] if number in names else []), CHOSEN]
    ]
    table = pl.DataFrame(points)
    splits = table["split"].unique(maintain_order=True).to_list()
    order = [*names.values(), CHOSEN]
    colour = alt.Color(
        "name:N", title=None, sort=order, scale=alt.Scale(domain=order, range=[*_POLICIES[: len(names)], looks.PURPLE])
    )
    ticks = alt.Axis(values=table["k"].unique().sort().to_list(), format="d")
    base = (
        alt.Chart(table)
        .encode(
            alt.X("k:Q", title="k, samples per problem", axis=ticks, scale=alt.Scale(type="log", base=2, nice=False)),
            colour,
        )
        .transform_filter(f"datum.split == split && (datum.name != '{CHOSEN}' || datum.iteration == chosen)")
    )
    line = base.mark_line(point=True).encode(
        alt.Y("value:Q", title="pass@k", scale=looks.SHARE, axis=looks.PERCENT),
        alt.StrokeDash("name:N", title=None, sort=order, scale=looks.dashes(order)),
        tooltip=[
            "name",
            "iteration",
            "split",
            "k",
            *(alt.Tooltip(f"{c}:Q", format=".1%") for c in ("value", "low", "high")),
        ],
    )
    band = base.mark_area(opacity=0.12).encode(alt.Y("low:Q", title="pass@k"), alt.Y2("high:Q"))
    words = (
        "The chance that at least one of k samples passes, on the same problems for every policy. Where the base "
        "model's line meets or crosses the others at large k, training sharpened what the base model could already do. "
        "The iteration chosen above is drawn beside them."
    )
    chart = (
        alt.layer(band, line)
        .add_params(looks.split_choice(splits), looks.chosen_iteration())
        .properties(width=looks.WIDTH, height=looks.HEIGHT)
    )
    return View("pass@k against k", words, chart)


_POLICIES = [looks.BLACK, looks.AMBER, looks.BLUE]
CHOSEN = "chosen iteration"
MOST_POLICIES = 30
"""Policies of which a line can be chosen: each has some points for every split."""


def ladder(most: int) -> list[int]:
    """1, 2, 4 ... and `most` itself."""
    return sorted({*(2**power for power in range(most.bit_length())), most})


def gold(data: RunData) -> View | None:
    """What rounds train on."""
    if data.pooled("gold").is_empty():
        return None
    words = (
        "Problems solved: training problems of which at least one sample passed in the round. Programs trained on "
        "(the gold): what was selected from the passing samples, with what is replayed from earlier rounds."
    )
    return View("What a round trains on", words, charts.gold(data.metrics), clock=True)


def loss(data: RunData) -> View | None:
    """Training loss."""
    if not data.losses:
        return None
    finite = [step for step in data.losses if math.isfinite(step.loss)]
    words = "Of each optimizer step, on completions only."
    if len(finite) < len(data.losses):
        words += (
            f" {len(data.losses) - len(finite):,} of {len(data.losses):,} steps have no finite loss: training diverged."
        )
    return View("Training loss", words, charts.loss(finite) if finite else None)
