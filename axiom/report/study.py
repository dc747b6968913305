"""A study to one self-contained HTML page and to the tables that the terminal prints."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from axiom.experiment import ledger
from axiom.report.render import render, svg
from axiom.study.compare import Comparison
from axiom.study.outcome import Outcome
from axiom.study.survival import restricted_mean

LEDGER_COLUMNS = ledger.SHOWN
MOST_SIDE_BY_SIDE = 12
"""Arms or conditions that a chart and a table of the ledger have room for; the figures hold all of them."""
Table = tuple[list[str], list[list[str]]]


def arm_rows(arms: Mapping[str, Sequence[Outcome]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: for each arm its runs, how many generalised, restricted mean, final accuracy, kinds of curve."""
    rows = []
    for arm, runs in arms.items():
        horizon = min(run.horizon for run in runs)
        mean = restricted_mean([run.time for run in runs], [run.observed for run in runs], horizon)
        kinds = sorted({run.kind for run in runs})
        counts = ", ".join(f"{kind} {sum(run.kind == kind for run in runs)}" for kind in kinds)
        final = sum(run.final_accuracy for run in runs) / len(runs)
        seen = sum(run.observed for run in runs)
        rows.append([arm, str(len(runs)), str(seen), f"{mean:.2f}", f"{final:.3f}", counts])
    return ["arm", "runs", "generalised", "restricted mean", "final accuracy", "kinds of curve"], rows


def ledger_rows(arms: Mapping[str, Sequence[Outcome]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: what each arm's runs cost, summed over rounds and averaged over runs; a figure a row."""
    totals = {arm: [ledger.totals(run.ledger) for run in runs] for arm, runs in arms.items()}
    rows = []
    for column in LEDGER_COLUMNS:
        means = [sum(total[column] for total in found) / len(found) for found in totals.values()]
        rows.append([column.replace("_", " "), *(f"{mean:,.4g}" if mean < 100 else f"{mean:,.0f}" for mean in means)])
    return ["", *arms], rows


def page(
    title: str,
    arms: Mapping[str, Sequence[Outcome]],
    verdicts: Sequence[str],
    charts: Mapping[str, Any],
    conditions: Table | None = None,
    transfer: Table | None = None,
) -> str:
    """The page as text: a paragraph a verdict, then tables and charts, drawn, so that it needs no script.

    `conditions` is the table of a study with variants or a grid, in place of that of the arms; `transfer` that of what
    families gained.
    """
    drawings = {name: svg(chart) for name, chart in charts.items()}
    return render(
        "study.html",
        title=title,
        verdicts=verdicts,
        heading="Conditions" if conditions else "Arms",
        arms=conditions or arm_rows(arms),
        transfer=transfer,
        charts=drawings,
        ledger=ledger_rows(arms) if len(arms) <= MOST_SIDE_BY_SIDE else None,
    )


def figures(
    arms: Mapping[str, Sequence[Outcome]], comparisons: Sequence[Comparison], refused: str | None = None
) -> str:
    """Every figure behind the page as JSON: the comparisons, and of each run its outcome and what it cost.

    `refused` is why there are no comparisons.
    """
    runs = [
        {
            name: getattr(run, name)
            for name in ("name", "arm", "group", "seed", "yoke", "time", "observed", "horizon", "kind")
        }
        | {"final_accuracy": run.final_accuracy, "ledger": ledger.totals(run.ledger)}
        for group in arms.values()
        for run in group
    ]
    found = [_finite(asdict(comparison)) for comparison in comparisons]
    return json.dumps({"comparisons": found, "refused": refused, "runs": runs}, indent=1)


def _finite(figures: dict[str, Any]) -> dict[str, Any]:
    """What JSON has no number for as null: what could not be computed."""
    return {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in figures.items()}
