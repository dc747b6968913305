"""Curves with their phases to Altair charts: what the detector saw, drawn over what it saw it in."""
# ruff: noqa: TID253  (imported only where a chart is drawn)

from collections.abc import Mapping
from pathlib import Path

import altair as alt
import polars as pl

from axiom.errors import DataError
from axiom.folders import whole
from axiom.grokking import Curve, Phases
from axiom.report.looks import SPLIT_COLOURS
from axiom.report.render import png, svg

WIDTH, HEIGHT = 320, 200
FORMATS = ("html", "png", "svg", "json")


def phases(curve: Curve, found: Phases, title: str, x: str = "iteration") -> alt.LayerChart:
    """Both accuracies, a rule where the run memorised, and the jump with its 95 % interval as a band."""
    rows = pl.DataFrame(
        {
            "at": [*curve.iteration, *curve.iteration],
            "accuracy": [*curve.train_accuracy, *curve.val_accuracy],
            "split": ["train"] * len(curve) + ["val"] * len(curve),
        }
    )
    colour = alt.Color(
        "split:N",
        title=None,
        scale=alt.Scale(domain=["train", "val"], range=[SPLIT_COLOURS[s] for s in ("train", "val")]),
    )
    axis = alt.Y("accuracy:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%"), title=None)
    lines = alt.Chart(rows).mark_line(strokeWidth=2).encode(alt.X("at:Q", title=x), axis, colour)
    layers: list[alt.Chart] = [*_jump(found), lines]
    if found.t_memorise is not None:
        layers.append(_rule(found.t_memorise, SPLIT_COLOURS["train"]))
    heading = alt.TitleParams(title, subtitle=_summary(found), anchor="start")
    return alt.LayerChart(layer=layers, width=WIDTH, height=HEIGHT, title=heading)


def _summary(found: Phases) -> str:
    if found.t_generalise is None:
        return found.kind.replace("_", " ")
    times = f"memorised at {found.t_memorise:g}, jumped at {found.t_generalise:.1f}"
    return f"{found.kind}: {times} [{found.t_generalise_low:.1f}, {found.t_generalise_high:.1f}]"


def _jump(found: Phases) -> list[alt.Chart]:
    if found.t_generalise is None:
        return []
    interval = pl.DataFrame({"low": [found.t_generalise_low], "high": [found.t_generalise_high]})
    band = (
        alt.Chart(interval).mark_rect(opacity=0.25, color=SPLIT_COLOURS["val"]).encode(alt.X("low:Q"), alt.X2("high:Q"))
    )
    return [band, _rule(found.t_generalise, SPLIT_COLOURS["val"])]


def _rule(at: float, colour: str) -> alt.Chart:
    rule = alt.Chart(pl.DataFrame({"at": [at]})).mark_rule(strokeDash=[4, 4], color=colour)
    return rule.encode(x="at:Q")


def gallery(panels: Mapping[str, tuple[Curve, Phases]], x: str, columns: int = 2) -> alt.ConcatChart:
    """Several curves side by side, titled by their names."""
    made = [phases(curve, found, name, x) for name, (curve, found) in panels.items()]
    return alt.concat(*made, columns=columns)


def save(chart: alt.TopLevelMixin, path: Path) -> None:
    """Write the chart in the format its suffix names; HTML carries its scripts. Raises DataError for another suffix."""
    suffix = path.suffix.removeprefix(".")
    if suffix not in FORMATS:
        raise DataError(f"chart {str(path)!r} must end in one of .{', .'.join(FORMATS)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as file:
        if suffix == "svg":
            file.write_text(svg(chart), encoding="utf-8")
        elif suffix == "png":
            file.write_bytes(png(chart))
        else:
            chart.save(str(file), inline=suffix == "html")
