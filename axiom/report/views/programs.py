"""What the model wrote: verdicts, audits, distinct programs, how sure the model was, lengths."""
# ruff: noqa: TID253  (imported only where a page is drawn)

from typing import Any

import altair as alt
import polars as pl

from axiom.report import charts, looks
from axiom.report.data import RunData, View


def outcomes(data: RunData) -> View | None:
    """Shares of the verdicts."""
    if data.pooled("outcome_passed").is_empty():
        return None
    words = "The first case that fails decides. A wrong answer ran to its end and returned another value."
    return View("Verdicts on the training samples", words, charts.outcomes(data.metrics))


def audit(data: RunData) -> View | None:
    """Passes that a second set of cases rejects, and truncated completions."""
    labels = {"audit_disagreement": "rejected by the second set", "truncated": "cut off at the token limit"}
    rows = data.pooled(*labels).with_columns(pl.col("name").replace(labels))
    if rows.is_empty() or not rows["value"].max():
        return None
    names = [name for name in labels.values() if name in set(rows["name"])]
    colours = alt.Scale(domain=list(labels.values()), range=[looks.ORANGE, looks.BLUE])
    chart = looks.lines(rows, names, alt.Y("value:Q", title="share", axis=looks.PERCENT), colours, unit=".1%")
    words = (
        "Every pass is run on a second, fresh set of hidden cases. What that set rejects had satisfied the first one "
        "without solving the problem: the rate of reward hacking that is seen. The other line is the share of samples "
        "that reached the token limit."
    )
    return View("Audit and truncation", words, chart, clock=True)


def diversity(data: RunData) -> View | None:
    """Distinct accepted programs by syntax tree."""
    rows: list[dict[str, Any]] = []
    there = data.experiment.iterations("passed_over")
    for number in there if data.experiment.config.model.kind == "language" else ():
        over = data.columns(number, "passed_over", ["why", "problem_id"])
        if "arm" in set(over["why"]) or number not in data.stages:
            continue  # an arm of its own selection does not compare programs
        doubled = over.filter(why="duplicate").height
        fresh = data.stages[number]["gold"]["info"].get("fresh", 0)
        solved = _value(data, "solved", number)
        if fresh + over.height and solved:
            distinct = fresh + over.height - doubled
            rows.append({"iteration": number, "name": "distinct programs per problem", "value": distinct / solved})
            rows.append({"iteration": number, "name": "all passing samples", "value": (fresh + over.height) / solved})
    if len(rows) < 4:
        return None
    names = ["distinct programs per problem", "all passing samples"]
    colours = alt.Scale(domain=names, range=[looks.GREEN, "#999999"])
    chart = looks.lines(pl.DataFrame(rows), names, alt.Y("value:Q", title="per problem solved"), colours)
    words = (
        "Passing samples of a round for each problem solved, and how many different programs they are. Two programs "
        "are one if their syntax trees agree without comments, docstrings and layout. When the lines part, the model "
        "repeats itself. What the programs do on other inputs is not stored."
    )
    return View("Diversity of correct programs", words, chart)


def _value(data: RunData, name: str, iteration: int) -> float:
    found = data.pooled(name).filter(iteration=iteration)["value"].to_list()
    return found[0] if found else 0.0


def surprise(data: RunData) -> View | None:
    """Mean of -log p per token of the drawn completions."""
    rows: list[dict[str, Any]] = []
    there = data.experiment.iterations("samples")
    for number in there if data.experiment.config.model.kind == "language" else ():
        drawn = data.columns(number, "samples", ["logprob", "token_count"]).drop_nulls()
        tokens = int(drawn["token_count"].sum())
        if tokens:
            rows.append(
                {"iteration": number, "name": "nats per token", "value": -float(drawn["logprob"].sum()) / tokens}
            )
    if len(rows) < 2:
        return None
    y = alt.Y("value:Q", title="nats per token")
    chart = looks.lines(pl.DataFrame(rows), ["nats per token"], y, alt.Scale(range=[looks.BLUE]))
    temperature = data.experiment.config.sampling.temperature
    words = (
        f"Mean of -log p of the tokens drawn for training, p at temperature 1. Drawn at temperature {temperature:g}, "
        f"it {'estimates' if temperature == 1 else 'is near, but not equal to,'} the policy's entropy per token."
    )
    return View("How sure the model is", words, chart)


def length(data: RunData) -> View | None:
    """Mean tokens of a completion."""
    rows = data.pooled("completion_tokens").with_columns(name=pl.lit("mean tokens"))
    if data.experiment.config.model.kind == "modular" or rows["iteration"].n_unique() < 2:
        return None
    chart = looks.lines(rows, ["mean tokens"], alt.Y("value:Q", title="tokens"), alt.Scale(range=[looks.BLUE]))
    return View("Length of completions", "Mean over the samples drawn for training.", chart, clock=True)
