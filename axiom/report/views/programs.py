"""What the model wrote: verdicts, audits, distinct programs, how sure the model was, lengths."""
# ruff: noqa: TID253  (imported only where a page is drawn)

import math
from typing import Any

import altair as alt
import polars as pl

from axiom.report import charts, looks
from axiom.report.data import RunData, Table, View


def outcomes(data: RunData) -> View | None:
    """Shares of the verdicts."""
    if data.pooled("outcome_passed").is_empty():
        return None
    words = "The first case that fails decides. A wrong answer ran to its end and returned another value."
    return View("Verdicts on the training samples", words, charts.outcomes(data.metrics))


def audit(data: RunData) -> View | None:
    """Passes that a second set of cases rejects, and truncated completions."""
    labels = {"audit_disagreement": "rejected in the audit", "truncated": "cut off at the limit"}
    rows = data.pooled(*labels).with_columns(pl.col("name").replace(labels))
    if rows.is_empty() or not rows["value"].max():
        return None
    names = [name for name in labels.values() if name in set(rows["name"])]
    colours = alt.Scale(domain=list(labels.values()), range=[looks.ORANGE, looks.BLUE])
    chart = looks.lines(rows, names, alt.Y("value:Q", title="share", axis=looks.PERCENT), colours, unit=".1%")
    words = (
        "In the audit every pass is run on a second, fresh set of hidden cases. What that set rejects had satisfied "
        "the first one without solving the problem: the rate of reward hacking that is seen. The other line is the "
        "share of samples that reached the token limit."
    )
    return View("Audit and truncation", words, chart, clock=True)


DIVERSITY = {
    "accepted_samples": "passing samples",
    "distinct_programs": "different programs",
    "distinct_behaviours": "different behaviours",
}
ENTROPY = {"program_entropy": "of programs", "behaviour_entropy": "of behaviours"}


def diversity(data: RunData) -> View | None:
    """Passing samples of a round for each problem solved: how many, how many programs, how many behaviours."""
    rows = data.pooled(*DIVERSITY).with_columns(pl.col("name").replace(DIVERSITY))
    if rows["iteration"].n_unique() < 2:
        return None
    names = [name for name in DIVERSITY.values() if name in set(rows["name"])]
    colours = alt.Scale(domain=names, range=["#999999", looks.GREEN, looks.BLUE][: len(names)])
    y = alt.Y("value:Q", title="per problem solved", scale=alt.Scale(domainMin=0))
    chart = looks.lines(rows, names, y, colours)
    words = (
        "For each training problem that a round solved: its passing samples, how many different programs they are, and "
        "how many different behaviours. Two programs are one if their syntax trees agree without comments, docstrings "
        "and layout. Two behaviours are one if the programs return the same for every call of the family's probe set, "
        "which has calls beyond those of the problem's own cases, so correct programs may still differ there. "
        f"{_run(data)} When the lines part, the model repeats itself."
    )
    return View("Diversity of correct programs", words, chart, _diversity_table(data), clock=True)


def _run(data: RunData) -> str:
    most = data.experiment.config.diagnostics.behaviour_programs
    if not most:
        return "Behaviours were not looked at."
    return f"A round runs the programs of as many problems as have at most {most:,} together."


def _diversity_table(data: RunData) -> Table:
    """All that is measured of it, a round a row."""
    columns = DIVERSITY | {name: f"entropy {of}" for name, of in ENTROPY.items()}
    columns |= {"program_characters": "characters of a program"}
    found = data.pooled(*columns)
    cells = {(row["iteration"], row["name"]): row for row in found.iter_rows(named=True)}
    rows = []
    for number in found["iteration"].unique().sort():
        solved, run = (cells.get((number, name), {}).get("n") for name in ("distinct_programs", "distinct_behaviours"))
        figures = [cells[number, name]["value"] if (number, name) in cells else None for name in columns]
        rows.append(
            [str(number), str(solved), str(run or 0), *("–" if value is None else f"{value:.2f}" for value in figures)]
        )
    return ["iteration", "problems solved", "of them run", *columns.values()], rows


def entropy(data: RunData) -> View | None:
    """How evenly the passing samples of a problem are spread over programs and behaviours."""
    rows = data.pooled(*ENTROPY).with_columns(pl.col("name").replace(ENTROPY))
    if rows["iteration"].n_unique() < 2:
        return None
    names = [name for name in ENTROPY.values() if name in set(rows["name"])]
    colours = alt.Scale(domain=names, range=[looks.GREEN, looks.BLUE][: len(names)])
    highest = max(0.1, *rows["value"].to_list())  # else all zeros would have no axis
    chart = looks.lines(rows, names, alt.Y("value:Q", title="nats", scale=alt.Scale(domain=[0, highest])), colours)
    words = (
        "Entropy of the shares that each program, and each behaviour, has of a problem's passing samples, a mean over "
        "the problems solved. 0: all samples are one program. It is of the samples drawn, so few of them bound it."
    )
    return View("Entropy of correct programs", words, chart, clock=True)


def surprise(data: RunData) -> View | None:
    """Mean of -log p per token of the drawn completions."""
    rows: list[dict[str, Any]] = []
    if data.experiment.config.model.kind != "language":
        return None
    for number, drawn in data.columns("samples", ["logprob", "token_count"]):
        known = drawn.drop_nulls()
        tokens, total = int(known["token_count"].sum()), float(known["logprob"].sum())
        if tokens and math.isfinite(total):
            rows.append({"iteration": number, "name": "nats per token", "value": -total / tokens})
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
