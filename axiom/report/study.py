"""A study to one self-contained HTML page and to the tables that the terminal prints."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from axiom.config.names import ARMS
from axiom.experiment import Experiment, ledger
from axiom.report.data import Table, machine, packages
from axiom.report.render import as_json, render, svg
from axiom.study.compare import Comparison, conclusion
from axiom.study.conditions import shown
from axiom.study.outcome import Outcome
from axiom.study.survival import restricted_mean

LEDGER_COLUMNS = ledger.SHOWN
LEDGER_NAMES = {"learning_rate": "learning rate, summed over steps"}
"""Figures of the ledger that are no plain counts."""
MOST_SIDE_BY_SIDE = 12
"""Arms or conditions that a chart and a table of the ledger have room for; the figures hold all of them."""


def generalised(arms: Mapping[str, Sequence[Outcome]]) -> str:
    """How many runs generalised and where, in a sentence: what there is to say where nothing is compared."""
    seen = {name: sum(run.observed for run in runs) for name, runs in arms.items()}
    where = [f"{seen[name]} of {len(runs)} with {name}" for name, runs in arms.items() if seen[name]]
    more = (
        f", in {len(where)} of {len(arms)} conditions" if len(where) > 2 else ": " * bool(where) + " and ".join(where)
    )
    return f"{sum(seen.values())} of {sum(map(len, arms.values()))} runs generalised for good{more}."


def arm_rows(arms: Mapping[str, Sequence[Outcome]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: for each arm its runs, how many generalised, restricted mean, final accuracy, kinds of curve."""
    rows = []
    for arm, runs in arms.items():
        horizon = min(run.horizon for run in runs)
        mean = restricted_mean([run.time for run in runs], [run.observed for run in runs], horizon)
        kinds = sorted({run.kind for run in runs})
        counts = ", ".join(f"{kind.replace('_', ' ')} {sum(run.kind == kind for run in runs)}" for kind in kinds)
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
        rows.append(
            [
                LEDGER_NAMES.get(column, column.replace("_", " ")),
                *(f"{mean:,.4g}" if mean < 100 else f"{mean:,.0f}" for mean in means),
            ]
        )
    return ["", *arms], rows


def page(
    title: str,
    arms: Mapping[str, Sequence[Outcome]],
    verdicts: Sequence[str],
    charts: Mapping[str, Any],
    conditions: Table | None = None,
    transfer: Table | None = None,
    comparisons: Sequence[Comparison] = (),
    origin: "Origin | None" = None,
) -> str:
    """The page as text: the conclusion, a folded box a comparison, then tables and charts, drawn, without a script.

    `verdicts` are sentences beside those of the comparisons. `conditions` is the table of a study with variants or a
    grid, in place of that of the arms; `transfer` that of what families gained. `origin` has what the runs are from.
    """
    return render(
        "study.html",
        title=title,
        conclusion=conclusion(comparisons) or generalised(arms),
        comparisons=comparisons,
        verdicts=verdicts,
        heading="Conditions" if conditions else "Arms",
        arms=conditions or arm_rows(arms),
        transfer=transfer,
        charts={name: svg(chart, ink="currentColor") for name, chart in charts.items()},
        ledger=ledger_rows(arms) if len(arms) <= MOST_SIDE_BY_SIDE else None,
        runs=[
            (run, group, (origin.reports.get(run.name) if origin else None))
            for group, found in arms.items()
            for run in found
        ],
        origin=origin,
    )


def arm_in_words(name: str) -> str:
    """The name of an arm as a page has it; a condition's name, which its study's file gives, stays."""
    return name.replace("_", " ") if name in ARMS else name


def in_words(comparison: Comparison) -> Comparison:
    """The comparison with its arms in words."""
    left_out = {arm_in_words(name): seeds for name, seeds in comparison.left_out.items()}
    expert, other = arm_in_words(comparison.expert), arm_in_words(comparison.other)
    return replace(comparison, expert=expert, other=other, left_out=left_out)


@dataclass(frozen=True)
class Origin:
    """Where a study's runs are from: the plan that was made before them, the command, their code and machines.

    `reports` has the address of each run's own page, from the study's page, as far as there is one.
    """

    plan: Sequence[tuple[str, str]]
    provenance: Sequence[tuple[str, str]]
    command: str
    reports: Mapping[str, str]


def origin(root: str, names: Sequence[str], folder: Path, command: str, plan: Mapping[str, Any]) -> Origin:
    """Read it from the runs under `root`; `plan` is what the study's file sets, `folder` where the page will be."""
    experiments = [Experiment.open(root, name) for name in names]
    records = [json.loads(experiment.folder.read_bytes("experiment.json")) for experiment in experiments]
    made = {
        "runs": str(len(names)),
        "started": f"{min(r.get('created', '') for r in records)} to {max(r.get('created', '') for r in records)}",
        "code": _each(record.get("code") or "an installed copy" for record in records),
        "Python": _each(record.get("python") for record in records),
        "packages": _each(map(packages, records)),
        "machine": _each(map(machine, records)),
    }
    reports = {
        experiment.config.name: os.path.relpath(experiment.folder.at("report.html"), folder)
        for experiment in experiments
        if experiment.folder.local and experiment.folder.exists("report.html")
    }
    return Origin(list(_settings(plan)), list(made.items()), command, reports)


def _settings(plan: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Each setting of a plan with its value in words; one within a table by the names that lead to it."""
    for key, value in plan.items():
        name = f"{above}: {key}" if above else key.replace("_", " ")
        if isinstance(value, Mapping):
            yield from _settings(value, name)
        else:
            yield name, ", ".join(map(shown, value)) if isinstance(value, list | tuple) else shown(value)


def _each(values: Iterable[Any]) -> str:
    """The different values, in their order."""
    return "; ".join(dict.fromkeys(str(value) for value in values))


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
    found = [asdict(comparison) for comparison in comparisons]
    return as_json({"comparisons": found, "refused": refused, "runs": runs}, indent=1)
