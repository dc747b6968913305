"""An experiment's artifacts to one self-contained HTML page: headline, verdict, charts, programs, provenance."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from axiom.commands import suggest
from axiom.config import ExperimentConfig, changed_settings
from axiom.environment import check_addresses
from axiom.evaluation import GREEDY, pooled_greedy
from axiom.experiment import Experiment, iteration_folder
from axiom.grokking import Curve, Phases, detect
from axiom.records import Metric, Problem, Sample, Verdict, with_interval
from axiom.report.data import SPLITS, RunData, Table, machine, packages
from axiom.report.render import asset, render, script
from axiom.rows import where
from axiom.visible import visible

PROGRAMS_SHOWN = 6
COUNTED = {"solved": "problems solved", "gold": "programs trained on"}
"""Counts of a round that are told when it is chosen."""
MOST_SHOWN = 20_000
"""Characters of a program on the page; `axiom view` shows the rest."""


def write(experiment: Experiment) -> str:
    """Write `report.html` beside the experiment's other files; returns its path."""
    check_addresses()
    experiment.folder.write_bytes("report.html", page(experiment).encode())
    return experiment.folder.at("report.html")


def page(experiment: Experiment) -> str:
    """The page as text. Raises DataError when no iteration is finished."""
    from axiom.report.charts import CLOCKS, level_line
    from axiom.report.views import views

    data = RunData(experiment)
    found = verdict(experiment, data.metrics)
    last, level = max((row.iteration for row in data.metrics), default=0), level_line(data.metrics)
    groups = {title: [_shown(view, level) for view in group] for title, group in views(data).items()}
    programs = {number: _programs(data, number) for number in _shown_rounds(experiment)}
    return render(
        "run.html",
        title=experiment.config.name,
        script=script(),
        chart_script=asset("charts.js"),
        highlight=asset("highlight.js"),
        headline=headline(data.metrics),
        verdict=found.sentence(),
        numbers=_numbers(found, data.metrics),
        summary=_summary(experiment, last),
        notes=[*_unread(data), *_notes(data.metrics)],
        groups=groups,
        clocks=CLOCKS,
        moments=_moments(data.metrics),
        programs=programs,
        unread=[number for number in programs if any(name.startswith(iteration_folder(number)) for name in data.lost)],
        browse=suggest("view", experiment.config.name, root=experiment.root),
        provenance=_provenance(experiment),
        settings=_settings(experiment.config),
        command=_command(experiment.config),
    )


def verdict(experiment: Experiment, metrics: Sequence[Metric]) -> Phases:
    """The phases of the experiment's pooled validation curve."""
    return detect(Curve.from_metrics(metrics, name=GREEDY), experiment.config.detection)


def headline(metrics: Sequence[Metric]) -> str:
    """Validation accuracy of the base model and of the last evaluation, with their intervals."""
    pooled = pooled_greedy(metrics, "val")
    if not pooled:
        return "No validation accuracy was measured"
    first, last = (min(pooled, key=lambda row: row.iteration), max(pooled, key=lambda row: row.iteration))
    rounds = last.iteration - first.iteration
    if not rounds:
        return f"Validation accuracy {with_interval(first)}, measured once"
    return (
        f"Validation accuracy {with_interval(first)} → {with_interval(last)} in {rounds} "
        f"iteration{'s' if rounds != 1 else ''}"
    )


def _numbers(found: Phases, metrics: Sequence[Metric]) -> list[tuple[str, str]]:
    """The four numbers behind the verdict, each with what it is."""
    jumped = found.t_generalise is not None
    last = [
        max(pooled_greedy(metrics, split), key=lambda row: row.iteration, default=None) for split in ("train", "val")
    ]
    gap = f"{100 * (last[0].value - last[1].value):.0f} points" if last[0] and last[1] else "–"
    none = "not decided yet" if found.kind == "undetermined" else "none"
    rise = f"{100 * (found.step or 0):.0f} points, half of it by iteration {found.t_generalise:.1f}" if jumped else none
    return [
        ("evaluations", str(found.evaluations)),
        ("training memorised", "not yet" if found.t_memorise is None else f"iteration {found.t_memorise:g}"),
        ("jump of validation after that", rise),
        ("training less validation at the end", gap),
    ]


def _shown(view: Any, level: str) -> dict[str, Any]:
    """A view as the template takes it; its title stands in the page, so the chart has the curriculum's level there."""
    spec = view.chart.to_dict() if view.chart is not None else None
    if spec is not None:
        subtitle = (spec.get("title") or {}).get("subtitle") if isinstance(spec.get("title"), dict) else None
        line = subtitle or level
        spec["title"] = {"text": line, "anchor": "start", "fontWeight": "normal"} if line else None
        spec["config"] = {}
    return vars(view) | {"chart": spec}


def _moments(metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """Each iteration in a line: its clocks, its accuracies and what it trained on."""
    from axiom.report.charts import CLOCKS

    found: dict[int, dict[str, Any]] = {}
    for row in metrics:
        moment = found.setdefault(row.iteration, {clock: getattr(row, clock) for clock in CLOCKS} | {"words": []})
        if row.pooled and row.name == GREEDY and row.split:
            moment["words"].append(f"{SPLITS.get(row.split, row.split)} {with_interval(row)}")
        elif row.pooled and row.name in COUNTED:
            moment["words"].append(f"{COUNTED[row.name]}: {row.value:g}")
    return [found[number] | {"words": " · ".join(found[number]["words"])} for number in sorted(found)]


def _shown_rounds(experiment: Experiment) -> list[int]:
    """The rounds whose programs are on the page: the first, a middle one and the last."""
    there = experiment.iterations("samples")
    return sorted({there[0], there[len(there) // 2], there[-1]}) if there else []


def _programs(data: RunData, number: int) -> list[dict[str, str]]:
    """Some programs of the iteration that passed, then some that failed; none where they cannot be read."""
    folder, stages = iteration_folder(number), data.experiment.stages
    if not all(data.experiment.folder.join(folder).exists(f"{name}.parquet") for name in ("samples", "verdicts")):
        return []
    with data.reading(folder, "verdicts.parquet"):
        verdicts = stages.rows(folder, "verdicts", Verdict)
        with data.reading(folder, "samples.parquet"):
            return list(_some(stages.rows(folder, "samples", Sample), verdicts, data.problems))
    return []


def _some(
    samples: Sequence[Sample], verdicts: Sequence[Verdict], problems: Mapping[str, Sequence[Problem]]
) -> Iterable[dict[str, str]]:
    judged = {verdict.sample_id for verdict in verdicts}
    known = {problem.problem_id for rows in problems.values() for problem in rows}
    right = {verdict.sample_id for verdict in verdicts if verdict.outcome == "passed"}
    passed, failed = list[str](), list[str]()
    for sample in samples:
        if sample.sample_id in judged and sample.problem_id in known:
            (passed if sample.sample_id in right else failed).append(sample.sample_id)
    shown = {
        name: kind
        for kind, names in (("passed", passed), ("failed", failed))
        for name in names[:: max(1, len(names) // PROGRAMS_SHOWN)][:PROGRAMS_SHOWN]
    }
    found = {verdict.sample_id: verdict for verdict in verdicts if verdict.sample_id in shown}
    programs = {sample.sample_id: sample for sample in samples if sample.sample_id in shown}
    wanted = {sample.problem_id for sample in programs.values()}
    asked = {p.problem_id: p for rows in problems.values() for p in where(rows, "problem_id", wanted)}
    for name, kind in shown.items():
        yield _program(kind, programs[name], asked[programs[name].problem_id], found[name])


def _program(kind: str, sample: Sample, problem: Problem, found: Verdict) -> dict[str, str]:
    """A sample as the page shows it."""
    cases = f"{found.cases_passed} of {found.cases_total} cases passed"
    audit = {True: "", False: "; rejected by the second set of cases", None: ""}[found.audit_passed]
    code = visible(sample.code)
    rest = f"\n... {len(code) - MOST_SHOWN:,} more characters" if len(code) > MOST_SHOWN else ""
    return {
        "kind": kind,
        "title": problem.title,
        "says": f"{found.outcome.replace('_', ' ')}, {cases}{audit}",
        "detail": visible(found.detail),
        "description": problem.description,
        "code": code[:MOST_SHOWN] + rest,
    }


def _summary(experiment: Experiment, last: int) -> str:
    config = experiment.config
    model = config.model.path if config.model.kind == "language" else "the modular-arithmetic network"
    return (
        f"{config.arm.replace('_', ' ').capitalize()} on {model}, seed {config.seed}, {last} of "
        f"{config.iterations} iterations."
    )


def _unread(data: RunData) -> list[str]:
    """What of the run cannot be read, and what to do."""
    if not data.lost:
        return []
    again = suggest("resume", data.experiment.config.name, root=data.experiment.root)
    first = next(iter(data.lost.values())).removesuffix("; remove it and resume")
    return [
        f"Not all of this run can be read, and the page goes without it: {data.named()}. {first}. "
        f"To compute what is damaged again: {again}"
    ]


def _notes(metrics: Sequence[Metric]) -> list[str]:
    """What else a reader must know of the rounds."""
    few = {row.iteration: row.value for row in metrics if row.name == "gold_too_few"}
    if not few:
        return []
    least = f"selection.min_gold = {next(iter(few.values())):g}"
    rounds = ", ".join(map(str, sorted(few)))
    return [f"{len(few)} of the rounds had less gold than {least} and kept their policy: {rounds}."]


def _provenance(experiment: Experiment) -> list[tuple[str, str]]:
    """With what the run was computed, a line each."""
    record = json.loads(experiment.folder.read_bytes("experiment.json"))
    computed = record.get("computed_with") or {}
    facts = [f"{section}: {', '.join(f'{k} {v}' for k, v in found.items())}" for section, found in computed.items()]
    lines = {
        "started": record.get("created"),
        "code": record.get("code") or "an installed copy, its commit is not known",
        "Python": record.get("python"),
        "packages": packages(record),
        "machine": machine(record),
        "computed with": "; ".join(facts),
        "versions of code or machine": str(len(record.get("history", []))),
    }
    return [(name, str(value)) for name, value in lines.items() if value]


def _settings(config: ExperimentConfig) -> Table:
    """Every setting that is not the default, in words."""
    rows = [
        [key.replace("_", " ").replace(".", ": "), value if isinstance(value, str) else json.dumps(value)]
        for key, value in changed_settings(config).items()
    ]
    return ["setting", "value"], rows


def _command(config: ExperimentConfig) -> str:
    """One command that computes the run again."""
    changed = changed_settings(config)
    words = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in changed.items()]
    return shlex.join(["axiom", "run", *(part for word in words for part in ("--set", word))])
