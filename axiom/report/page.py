"""An experiment's artifacts to one self-contained HTML page: verdict, charts, tables, programs, provenance."""

import html
import json
from collections.abc import Iterable, Sequence

from axiom.evaluation import GREEDY
from axiom.experiment import Experiment, iteration_folder
from axiom.grokking import Curve, Phases, detect
from axiom.problems.cases.audit import below_usual
from axiom.problems.splits.proof import summary
from axiom.records import Event, LossStep, Metric, Sample, Verdict, with_interval
from axiom.visible import visible

PROGRAMS_SHOWN = 6


def write(experiment: Experiment) -> str:
    """Write `report.html` beside the experiment's other files; returns its path."""
    experiment.folder.write_bytes("report.html", page(experiment).encode())
    return experiment.folder.at("report.html")


def page(experiment: Experiment) -> str:
    """The page as text. Raises DataError when no iteration is finished."""
    metrics = experiment.stages.read("", "metrics", Metric)
    events = experiment.stages.read("", "events", Event)
    phases = verdict(experiment, metrics)
    last = max(row.iteration for row in metrics)
    name = html.escape(experiment.config.name)
    body = [
        f"<h1>{name}</h1>",
        f"<p class=verdict>{html.escape(phases.sentence())}</p>",
        f"<p>{html.escape(_summary(experiment, last))}</p>",
        *_chart_sections(experiment, metrics, events),
        "<h2>Accuracy</h2>",
        _table(*accuracy_rows(metrics)),
        *_mismatch(metrics),
        *_problems(experiment),
        f"<h2>Programs of iteration {last}</h2>",
        *_programs(experiment, last),
        "<h2>Configuration and provenance</h2>",
        f"<pre>{html.escape(_provenance(experiment))}</pre>",
    ]
    return _PAGE.format(title=name, script=script(), body="\n".join(body))


def verdict(experiment: Experiment, metrics: Sequence[Metric]) -> Phases:
    """The phases of the experiment's pooled validation curve."""
    return detect(Curve.from_metrics(metrics, name=GREEDY), experiment.config.detection)


def accuracy_rows(metrics: Sequence[Metric], name: str = GREEDY) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of a pooled metric: an iteration a row, a split a column, with intervals."""
    pooled = [row for row in metrics if row.name == name and row.family is None and row.difficulty is None]
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


def _chart_sections(experiment: Experiment, metrics: Sequence[Metric], events: Sequence[Event]) -> Iterable[str]:
    from axiom.report import charts

    confidence = experiment.config.evaluation.confidence
    made = [charts.accuracy(metrics, events, confidence=confidence), charts.families(metrics)]
    if any(row.name == "gold" for row in metrics):
        made[1:1] = [charts.gold(metrics), charts.outcomes(metrics)]
        made.append(charts.loss(_losses(experiment)))
    for number, chart in enumerate(made):
        spec = json.dumps(chart.to_dict()).replace("<", "\\u003c")
        yield f'<div class=chart id="chart{number}"></div><script>vegaEmbed("#chart{number}", {spec});</script>'


def _losses(experiment: Experiment) -> list[LossStep]:
    folders = experiment.folder.join("iterations").names()
    return [
        step
        for folder in folders
        if experiment.folder.join("iterations", folder).exists("losses.parquet")
        for step in experiment.stages.read(f"iterations/{folder}", "losses", LossStep)
    ]


def _mismatch(metrics: Sequence[Metric]) -> Iterable[str]:
    """How far the sampling engine was from the trainer's model."""
    found = [row for row in metrics if row.name.startswith("policy_mismatch")]
    cells = {(row.iteration, row.name): f"{row.value:.2g}" for row in found}
    if not found:
        return
    names = list(dict.fromkeys(row.name for row in found))
    yield "<h2>Sampling engine against trainer</h2>"
    yield "<p>Difference of the log-probabilities of drawn tokens, in nats a token.</p>"
    counts = {row.iteration: str(row.n) for row in found}
    yield _table(
        ["iteration", "tokens", *names],
        [[str(i), count, *(cells.get((i, name), "-") for name in names)] for i, count in sorted(counts.items())],
    )


def _problems(experiment: Experiment) -> Iterable[str]:
    """How far the splits are held out, and what their hidden cases let through."""
    stored = {name: experiment.folder.join("problems") for name in ("proof", "audit")}
    if not all(folder.exists(f"{name}.json") for name, folder in stored.items()):
        return
    proof, audit = (json.loads(folder.read_bytes(f"{name}.json")) for name, folder in stored.items())
    yield "<h2>Problems</h2>"
    if any("tried" in row for row in proof):
        yield f"<p>Held out: {html.escape(summary(proof))}.</p>"
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
    if rows:
        yield "<p>Wrong programs planted in some problems, and how many the hidden cases reject.</p>"
        yield _table(["family", "problems", "planted", "rejected", "usually", "valid forms accepted"], rows)
    yield from (f"<p>{html.escape(sentence)}.</p>" for sentence in below_usual(audit))


def _programs(experiment: Experiment, last: int) -> Iterable[str]:
    folder = iteration_folder(last)
    if not all(experiment.folder.join(folder).exists(f"{name}.parquet") for name in ("samples", "verdicts")):
        yield "<p>No samples of this iteration are here.</p>"
        return
    verdicts = {v.sample_id: v for v in experiment.stages.read(folder, "verdicts", Verdict)}
    samples = experiment.stages.read(folder, "samples", Sample)
    passed = [s for s in samples if verdicts[s.sample_id].outcome == "passed"]
    failed = [s for s in samples if verdicts[s.sample_id].outcome != "passed"]
    for title, rows in (("passed", passed), ("failed", failed)):
        for sample in rows[:: max(1, len(rows) // PROGRAMS_SHOWN)][:PROGRAMS_SHOWN]:
            problem, verdict = experiment.problems_by_id[sample.problem_id], verdicts[sample.sample_id]
            says = f"{verdict.outcome}, {verdict.cases_passed} of {verdict.cases_total} cases. {verdict.detail}"
            yield (
                f"<details class={title}><summary>{html.escape(problem.title)} — {html.escape(visible(says))}</summary>"
                f"<p>{html.escape(problem.description)}</p><pre>{html.escape(visible(sample.code))}</pre></details>"
            )


def _summary(experiment: Experiment, last: int) -> str:
    config = experiment.config
    sizes = ", ".join(f"{len(rows)} {split}" for split, rows in experiment.problems.items())
    return (
        f"{config.arm} on {config.model.path if config.model.kind == 'language' else 'the modular network'}, "
        f"seed {config.seed}, {last} of {config.iterations} iterations; problems: {sizes}."
    )


def _provenance(experiment: Experiment) -> str:
    return json.dumps(json.loads(experiment.folder.read_bytes("experiment.json")), indent=1)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def script() -> str:
    """Vega, Vega-Lite and vegaEmbed as one script, so that a page needs no network."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    return bundle


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title} · axiom</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 820px; margin: 2rem auto; padding: 0 1rem; color: #222; }}
h1 {{ margin-bottom: .2rem; }} h2 {{ margin-top: 2.2rem; border-bottom: 1px solid #ddd; }}
.verdict {{ font-size: 1.15rem; background: #f3f6fa; border-left: 4px solid #4c78a8; padding: .6rem .9rem; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
td, th {{ padding: .25rem .8rem; border-bottom: 1px solid #eee; text-align: right; }}
pre {{ background: #f7f7f7; padding: .8rem; overflow-x: auto; font-size: 13px; }}
details {{ margin: .3rem 0; padding-left: .6rem; border-left: 3px solid #54a24b; }}
details.failed {{ border-color: #e45756; }}
summary {{ cursor: pointer; }} .chart {{ margin: 1.2rem 0; }} svg {{ overflow: visible; }}
</style>
<script>{script}</script></head>
<body>{body}</body></html>
"""
