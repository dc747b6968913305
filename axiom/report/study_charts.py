"""A study to Altair charts: survival with numbers at risk, incidence by kind, paired slopes, differences, curves."""
# ruff: noqa: TID253  (imported only where a chart is drawn)

import re
from collections.abc import Mapping, Sequence

import altair as alt
import polars as pl

from axiom.evaluation import pooled_greedy
from axiom.report import looks
from axiom.report.data import SPLITS
from axiom.report.study import MOST_SIDE_BY_SIDE
from axiom.study.compare import Comparison, pair
from axiom.study.config import UNITS
from axiom.study.outcome import Outcome
from axiom.study.survival import kaplan_meier

alt.data_transformers.disable_max_rows()  # the curves of a study have more than Altair's 5,000

WIDTH, HEIGHT = 420, 220
RISK_COLUMNS = 6
SLOPE = 250
"""Width of a panel of paired runs, and of the two names under it."""
LONGEST_LINE = 21
"""Characters of such a name in one line."""
MOST_BANDS = 5
"""Arms whose intervals are still seen beside each other."""
CLOCKS = tuple(UNITS)
SOONER = ("expert", "other arm", "neither")
SHARED = "shared"
NONE = "none generalised"
ROOM = 110
"""Pixels beside the points of a chart of differences for the words above them."""
PALETTE = (*looks.OKABE_ITO, "#8c510a", "#4d4d4d")
Arms = Mapping[str, Sequence[Outcome]]
_WHO_IS_SOONER = alt.Color(
    "sooner:N", title="sooner", scale=alt.Scale(domain=list(SOONER), range=[looks.BLUE, looks.ORANGE, "#999999"])
)


def _ticks(clock: str) -> alt.Axis:
    """Nothing happens between two iterations; of other clocks the parts count too."""
    return alt.Axis(labelExpr=looks.WHOLE) if clock == "iteration" else alt.Axis()


def survival(arms: Arms, clock: str, confidence: float = 0.95) -> alt.VConcatChart:
    """Share of runs that have not generalised for good, per arm, above the number of runs still at risk.

    Intervals are drawn for a few arms alone: those of many hide each other.
    """
    horizon = max(outcome.horizon for runs in arms.values() for outcome in runs)
    rows, risk = [], []
    for arm, runs in arms.items():
        times = [outcome.time for outcome in runs]
        found = kaplan_meier(times, [outcome.observed for outcome in runs], confidence)
        points = zip(
            (0.0, *found.time), (1.0, *found.share), (found.least, *found.low), (1.0, *found.high), strict=True
        )
        rows += [{"arm": arm, "time": t, "share": s, "low": a, "high": b} for t, s, a, b in points]
        rows.append(rows[-1] | {"time": horizon})
        marks = [horizon * k / RISK_COLUMNS for k in range(RISK_COLUMNS + 1)]
        risk += [{"arm": arm, "time": at, "runs": sum(time >= at for time in times)} for at in marks]
    base = alt.Chart(pl.DataFrame(rows)).encode(
        alt.X("time:Q", title=UNITS[clock], axis=_ticks(clock), scale=alt.Scale(domain=[0, horizon])),
        _by_arm(arms),
    )
    line = base.mark_line(interpolate="step-after", strokeWidth=2.5).encode(
        alt.Y("share:Q", title="not yet generalised", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
        _dashed(arms),
    )
    band = base.mark_area(interpolate="step-after", opacity=0.12).encode(alt.Y("low:Q"), alt.Y2("high:Q"))
    few = len(arms) <= MOST_BANDS
    counts = (
        alt.Chart(pl.DataFrame(risk), width=WIDTH, height=18 * len(arms), title="runs at risk")
        .mark_text()
        .encode(
            alt.X("time:Q", axis=None, scale=alt.Scale(domain=[0, horizon])),
            alt.Y(
                "arm:N",
                title=None,
                sort=list(arms),
                axis=alt.Axis(ticks=False, domain=False, labelPadding=14, labelLimit=320),
            ),
            text="runs:Q",
        )
    )
    bands = f", bands are {100 * confidence:.4g} % intervals" if few else ""
    above = alt.layer(*([band] if few else []), line).properties(
        width=WIDTH, height=HEIGHT, title=f"Time to stable generalisation{bands}"
    )
    return alt.vconcat(above, counts)


def incidence(arms: Arms, clock: str) -> alt.FacetChart:
    """Share of runs that have generalised, by kind of curve. All are watched to the horizon, so shares add up."""
    rows = []
    for arm, runs in arms.items():
        horizon = max(outcome.horizon for outcome in runs)
        for kind in sorted({outcome.kind for outcome in runs if outcome.observed}) or [NONE]:
            times = sorted(outcome.time for outcome in runs if outcome.observed and outcome.kind == kind)
            steps = [(0.0, 0), *((time, count) for count, time in enumerate(times, 1)), (horizon, len(times))]
            rows += [{"arm": arm, "kind": kind.replace("_", " "), "time": t, "share": c / len(runs)} for t, c in steps]
    table = pl.DataFrame(rows, schema={"arm": pl.String, "kind": pl.String, "time": pl.Float64, "share": pl.Float64})
    chart = alt.Chart(table, width=WIDTH / 2, height=HEIGHT / 2).mark_line(interpolate="step-after", strokeWidth=2)
    return (
        chart.encode(
            alt.X("time:Q", title=UNITS[clock], axis=_ticks(clock)),
            alt.Y("share:Q", title="of all runs", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            alt.Color("kind:N", title="kind of curve", scale=alt.Scale(range=list(PALETTE))),
            alt.StrokeDash("kind:N", title="kind of curve"),
        )
        .facet(alt.Facet("arm:N", title=None, sort=list(arms)), columns=2)
        .properties(title="Cumulative incidence of generalisation")
    )


def slopes(arms: Arms, clock: str) -> alt.ConcatChart | None:
    """Each seed's time in the expert arm joined to that in each other; None where no run of any pair generalised."""
    (expert, first), *others = arms.items()
    panels = []
    for other, runs in others:
        pairs = pair(first, runs)
        if not any(o.observed for both in pairs for o in both):
            continue
        rows = [
            {"seed": a.seed, "arm": _wrapped(name), "time": o.time, "sooner": _sooner(a.time, b.time)}
            for a, b in pairs
            for name, o in ((expert, a), (other, b))
        ]
        heading = alt.Title(["against", *_wrapped(other).split("\n")], fontSize=11)
        chart = alt.Chart(pl.DataFrame(rows), width=SLOPE, height=HEIGHT, title=heading).mark_line(
            point=True, opacity=0.7
        )
        names = alt.Axis(labelAngle=0, labelExpr="split(datum.label, '\\n')", labelLimit=SLOPE // 2 - 4)
        chart = chart.encode(
            alt.X("arm:N", title=None, sort=[_wrapped(expert), _wrapped(other)], axis=names),
            alt.Y("time:Q", title=UNITS[clock]),
            _WHO_IS_SOONER,
            detail="seed:N",
        )
        panels.append(chart)
    return alt.concat(*panels, columns=3, title="Paired runs, a line a seed") if panels else None


def _wrapped(name: str) -> str:
    """A name in lines of which two fit side by side under a panel: broken at commas, else within a name."""
    lines = []
    for part in re.split("(?<=,) ", name):
        lines.append("")
        for piece in re.findall(rf"[^ _-]{{1,{LONGEST_LINE - 1}}}[ _-]?|[ _-]", part):
            if len(lines[-1] + piece) > LONGEST_LINE:
                lines.append("")
            lines[-1] += piece
    return "\n".join(lines)


def _sooner(expert: float, other: float) -> str:
    return SOONER[0] if expert < other else SOONER[1] if other < expert else SOONER[2]


def _by_arm(arms: Arms) -> alt.Color:
    legend = alt.Legend(labelLimit=320, symbolOpacity=1, symbolStrokeWidth=3, orient="top", columns=2)
    colours = [PALETTE[place % len(PALETTE)] for place in range(len(arms))]
    return alt.Color(
        "arm:N", title=None, sort=list(arms), scale=alt.Scale(domain=list(arms), range=colours), legend=legend
    )


def _dashed(arms: Arms) -> alt.StrokeDash:
    """A pattern of dashes for each arm, so that lines differ in more than their colours."""
    return alt.StrokeDash("arm:N", title=None, sort=list(arms), scale=looks.dashes(list(arms)))


def differences(comparisons: Sequence[Comparison]) -> alt.TopLevelMixin:
    """Difference of restricted means, other arm less expert, with its interval."""
    rows = [
        {
            "other": c.other,
            "difference": c.difference,
            "p": f"{'' if c.decides else 'not shown, '}p = {c.family_p:.3g}{', all pairs alike' if c.alike else ''}",
            "found": "shown" if c.decides else "not shown",
        }
        for c in comparisons
    ]
    intervals = [{"other": c.other, "low": c.low, "high": c.high} for c in comparisons if not c.alike]
    names = alt.Y("other:N", title=None, sort=[c.other for c in comparisons], axis=alt.Axis(labelLimit=400))
    base = alt.Chart(pl.DataFrame(rows), width=WIDTH, height=40 * len(rows)).encode(names)
    later = alt.X("difference:Q", title=f"{comparisons[0].clock} later", scale=alt.Scale(padding=ROOM))
    layers: list[alt.Chart | alt.LayerChart] = [
        alt.Chart(pl.DataFrame({"zero": [0.0]})).mark_rule(color="#999").encode(x="zero:Q"),
        base.mark_point(size=80).encode(
            later,
            shape=alt.Shape(
                "found:N", scale=alt.Scale(domain=["shown", "not shown"], range=["circle", "cross"]), legend=None
            ),
        ),
        base.mark_text(dy=-12).encode(x="difference:Q", text="p:N"),
    ]
    if intervals:
        rules = alt.Chart(pl.DataFrame(intervals)).mark_rule(strokeWidth=2)
        layers.insert(1, rules.encode(names, x="low:Q", x2="high:Q"))
    first = comparisons[0]
    than = first.expert if len({c.expert for c in comparisons}) == 1 else "the expert arm beside it"
    title = f"Restricted mean: how much later than {than}, with {100 * first.confidence:.4g} % intervals"
    alone = f"p is adjusted for {first.family} comparisons; each interval stands alone" if first.family > 1 else ""
    return alt.layer(*layers, title=alt.Title(title, subtitle=alone) if alone else title)


def telling(arms: Arms) -> tuple[str, ...]:
    """The clocks that say something of the learner: the modular network's tokens and seconds do not."""
    families = {row.family for runs in arms.values() for run in runs for row in run.metrics if row.family}
    return ("iteration", "optimizer_step") if families == {"modular"} else CLOCKS


def curves(arms: Arms, split: str, clocks: Sequence[str] = CLOCKS) -> alt.ConcatChart:
    """Validation accuracy of every run, thin, and of the arm's mean at each iteration, thick, against each clock."""
    rows = [
        {"arm": arm, "seed": outcome.seed, "accuracy": row.value, **{c: float(getattr(row, c)) for c in clocks}}
        for arm, runs in arms.items()
        for outcome in runs
        for row in pooled_greedy(outcome.metrics, split)
    ]
    runs = pl.DataFrame(rows)
    mean = runs.group_by("arm", "iteration").agg(
        pl.col("accuracy").mean(), *(pl.col(clock).mean() for clock in clocks if clock != "iteration")
    )
    mean = mean.sort("arm", "iteration")  # the same runs, the same bytes
    panels = []
    for clock in clocks:
        axes = (
            alt.X(f"{clock}:Q", title=UNITS[clock], axis=_ticks(clock)),
            alt.Y("accuracy:Q", title=None, axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            _by_arm(arms),
        )
        thin = alt.Chart(runs).mark_line(opacity=0.15, strokeWidth=1).encode(*axes, detail="seed:N")
        thick = alt.Chart(mean).mark_line(strokeWidth=3).encode(*axes, _dashed(arms))
        panels.append(alt.layer(thin, thick).properties(width=WIDTH / 2 + 40, height=HEIGHT / 1.5))
    return alt.concat(*panels, columns=2, title=f"Accuracy on {SPLITS.get(split, split)}")


def branches(arms: Arms, comparisons: Sequence[Comparison], split: str) -> alt.TopLevelMixin:
    """Accuracy of runs and their forks: one grey line up to where they part, then a line for each of them."""
    part = max((c.since[1] for c in comparisons if c.since), default=0)
    rows = [
        {"branch": branch, "run": outcome.name, "iteration": row.iteration, "accuracy": row.value}
        for arm, runs in arms.items()
        for outcome in runs
        for row in pooled_greedy(outcome.metrics, split)
        for branch in ([SHARED] if row.iteration < part else []) + ([arm] if row.iteration >= part - 1 else [])
    ]
    colours = alt.Scale(domain=[SHARED, *arms], range=["#888888", *PALETTE[: len(arms)]])
    return (
        alt.Chart(pl.DataFrame(rows), width=2 * WIDTH, height=HEIGHT)
        .mark_line(point=True, strokeWidth=2)
        .encode(
            alt.X("iteration:Q"),
            alt.Y("accuracy:Q", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            alt.Color("branch:N", title=None, scale=colours, legend=alt.Legend(labelLimit=400, orient="bottom")),
            detail="run:N",
        )
        .properties(title=f"Accuracy on {SPLITS.get(split, split)}: what the runs share, and where they part")
    )


def all_of(
    arms: Arms, comparisons: Sequence[Comparison], clock: str, split: str, confidence: float = 0.95
) -> dict[str, alt.TopLevelMixin]:
    """Every chart by its name; paired charts only where there are two arms, and few enough to tell apart."""
    if len(arms) > MOST_SIDE_BY_SIDE:
        return {"differences": differences(comparisons)} if comparisons else {}
    made: dict[str, alt.TopLevelMixin] = {
        "survival": survival(arms, clock, confidence),
        "incidence": incidence(arms, clock),
    }
    if len(arms) > 1 and (paired := slopes(arms, clock)) is not None:
        made["slopes"] = paired
    if comparisons:
        made["differences"] = differences(comparisons)
    if any(c.since for c in comparisons):
        made = {"branches": branches(arms, comparisons, split)} | made
    return made | {"curves": curves(arms, split, telling(arms))}
