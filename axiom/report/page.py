"""An experiment's artifacts to one self-contained HTML page: verdict, charts, tables, programs, provenance."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from axiom.environment import check_addresses
from axiom.evaluation import GREEDY
from axiom.experiment import Experiment, iteration_folder
from axiom.grokking import Curve, Phases, detect
from axiom.problems.cases.audit import below_usual
from axiom.problems.splits.proof import summary
from axiom.records import Event, LossStep, Metric, Sample, Verdict, with_interval
from axiom.report.render import render, script
from axiom.visible import visible

PROGRAMS_SHOWN = 6
Table = tuple[list[str], list[list[str]]]
"""Header and rows."""


def write(experiment: Experiment) -> str:
    """Write `report.html` beside the experiment's other files; returns its path."""
    check_addresses()
    experiment.folder.write_bytes("report.html", page(experiment).encode())
    return experiment.folder.at("report.html")


def page(experiment: Experiment) -> str:
    """The page as text. Raises DataError when no iteration is finished."""
    metrics = experiment.stages.read("", "metrics", Metric)
    events = experiment.stages.read("", "events", Event)
    last = max(row.iteration for row in metrics)
    return render(
        "run.html",
        title=experiment.config.name,
        script=script(),
        headline=_headline(metrics),
        verdict=verdict(experiment, metrics).sentence(),
        summary=_summary(experiment, last),
        notes=_notes(metrics),
        charts=_charts(experiment, metrics, events),
        accuracy=accuracy_rows(metrics),
        mismatch=_mismatch(metrics),
        problems=_problems(experiment),
        last=last,
        programs=list(_programs(experiment, last)),
        provenance=_provenance(experiment),
    )


def verdict(experiment: Experiment, metrics: Sequence[Metric]) -> Phases:
    """The phases of the experiment's pooled validation curve."""
    return detect(Curve.from_metrics(metrics, name=GREEDY), experiment.config.detection)


def accuracy_rows(metrics: Sequence[Metric], name: str = GREEDY) -> Table:
    """Header and rows of the table of a pooled metric: an iteration a row, a split a column, with intervals."""
    pooled = [row for row in metrics if row.name == name and row.pooled]
    splits = list(dict.fromkeys(row.split or "" for row in pooled))
    cells = {(row.iteration, row.split): with_interval(row) for row in pooled}
    counts = {(row.iteration, row.name): f"{row.value:g}" for row in metrics if row.name in ("solved", "gold")}
    iterations = sorted({row.iteration for row in pooled})
    rows = [
        [
            str(i),
            *(counts.get((i, column), "-") for column in ("solved", "gold")),
            *(cells.get((i, s), "-") for s in splits),
        ]
        for i in iterations
    ]
    return ["iteration", "solved", "gold", *splits], rows


def _headline(metrics: Sequence[Metric]) -> str:
    """Validation accuracy of the base model and of the last evaluation, with their intervals."""
    pooled = [row for row in metrics if row.pooled and (row.name, row.split) == (GREEDY, "val")]
    if len(pooled) < 2:
        return ""
    first, last = (min(pooled, key=lambda row: row.iteration), max(pooled, key=lambda row: row.iteration))
    rounds = last.iteration - first.iteration
    return (
        f"Validation accuracy {with_interval(first)} → {with_interval(last)} in {rounds} "
        f"iteration{'s' if rounds != 1 else ''}"
    )


def _charts(experiment: Experiment, metrics: Sequence[Metric], events: Sequence[Event]) -> list[dict[str, Any]]:
    """Vega-Lite of each chart, from top to bottom."""
    from axiom.report import charts

    confidence = experiment.config.evaluation.confidence
    made = [charts.accuracy(metrics, events, confidence=confidence), charts.families(metrics)]
    if any(row.name == "gold" for row in metrics):
        made[1:1] = [charts.gold(metrics), charts.outcomes(metrics)]
        made.append(charts.loss(_losses(experiment), metrics))
    return [chart.to_dict() for chart in made]


def _losses(experiment: Experiment) -> list[LossStep]:
    return [
        step
        for number in experiment.iterations("losses")
        for step in experiment.stages.read(iteration_folder(number), "losses", LossStep)
    ]


def _mismatch(metrics: Sequence[Metric]) -> Table | None:
    """How far the sampling engine was from the trainer's model, an iteration a row."""
    found = [row for row in metrics if row.name.startswith("policy_mismatch")]
    if not found:
        return None
    cells = {(row.iteration, row.name): f"{row.value:.2g}" for row in found}
    names = list(dict.fromkeys(row.name for row in found))
    counts = {row.iteration: str(row.n) for row in found}
    rows = [[str(i), count, *(cells.get((i, name), "-") for name in names)] for i, count in sorted(counts.items())]
    return ["iteration", "tokens", *names], rows


def _problems(experiment: Experiment) -> dict[str, Any] | None:
    """How far the splits are held out, and what their hidden cases let through."""
    stored = {name: experiment.folder.join("problems") for name in ("proof", "audit")}
    if not all(folder.exists(f"{name}.json") for name, folder in stored.items()):
        return None
    proof, audit = (json.loads(folder.read_bytes(f"{name}.json")) for name, folder in stored.items())
    rows = [
        [
            row["family"],
            str(row["problems"]),
            str(row["cheats"]),
            f"{row['rejection']:.1%}",
            f"{row['usual']:.1%}" if row.get("usual") is not None else "-",
            f"{row['acceptance']:.1%}",
        ]
        for row in audit
    ]
    return {
        "held_out": summary(proof) if any("tried" in row for row in proof) else "",
        "audit": (["family", "problems", "planted", "rejected", "usually", "valid forms accepted"], rows),
        "below_usual": below_usual(audit),
    }


def _programs(experiment: Experiment, last: int) -> Iterable[dict[str, str]]:
    """Some programs of the last iteration that passed, then some that failed."""
    folder = iteration_folder(last)
    if not all(experiment.folder.join(folder).exists(f"{name}.parquet") for name in ("samples", "verdicts")):
        return
    verdicts = {v.sample_id: v for v in experiment.stages.read(folder, "verdicts", Verdict)}
    samples = experiment.stages.read(folder, "samples", Sample)
    passed = [s for s in samples if verdicts[s.sample_id].outcome == "passed"]
    failed = [s for s in samples if verdicts[s.sample_id].outcome != "passed"]
    for kind, rows in (("passed", passed), ("failed", failed)):
        for sample in rows[:: max(1, len(rows) // PROGRAMS_SHOWN)][:PROGRAMS_SHOWN]:
            problem, found = experiment.problems_by_id[sample.problem_id], verdicts[sample.sample_id]
            says = f"{found.outcome}, {found.cases_passed} of {found.cases_total} cases. {found.detail}"
            yield {
                "kind": kind,
                "title": problem.title,
                "says": visible(says),
                "description": problem.description,
                "code": visible(sample.code),
            }


def _summary(experiment: Experiment, last: int) -> str:
    config = experiment.config
    sizes = ", ".join(f"{len(rows)} {split}" for split, rows in experiment.problems.items())
    return (
        f"{config.arm} on {config.model.path if config.model.kind == 'language' else 'the modular network'}, "
        f"seed {config.seed}, {last} of {config.iterations} iterations; problems: {sizes}."
    )


def _notes(metrics: Sequence[Metric]) -> list[str]:
    """What else a reader must know of the rounds."""
    few = {row.iteration: row.value for row in metrics if row.name == "gold_too_few"}
    if not few:
        return []
    least = f"selection.min_gold = {next(iter(few.values())):g}"
    rounds = ", ".join(map(str, sorted(few)))
    return [f"{len(few)} of the rounds had less gold than {least} and kept their policy: {rounds}."]


def _provenance(experiment: Experiment) -> str:
    return json.dumps(json.loads(experiment.folder.read_bytes("experiment.json")), indent=1)
