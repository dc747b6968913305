"""Colours, shapes and axes that all charts of a run share.

The palette is Okabe and Ito's (2008), which red-green blind readers can tell apart; lines differ in dashes and point
shapes too, so that no chart depends on colour alone.
"""
# ruff: noqa: TID253  (imported only where a chart is drawn)

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER, BLACK = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
    "#777777",
)
OKABE_ITO = (BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER, BLACK)
SPLIT_COLOURS = {
    "train": BLUE,
    "val": ORANGE,
    "test": GREEN,
    "training": BLUE,
    "validation": ORANGE,
}
OTHER_COLOURS = (PURPLE, AMBER, SKY, BLACK, GREEN)
DASHES = ([1, 0], [6, 2], [2, 2], [8, 3, 2, 3], [4, 4], [1, 3], [10, 4], [3, 1])
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
SHADES = alt.Scale(scheme="viridis", domain=[0, 1])
WIDTH, HEIGHT = 640, 300
MOST_POINTS = 60
"""Evaluations that are drawn as points on their line; more run into each other."""
PERCENT = alt.Axis(format="%")
WHOLE = "datum.value % 1 ? '' : format(datum.value, 'd')"
"""Labels of iterations and steps: a tick between two whole numbers has none."""
COUNTS = alt.Axis(labelExpr=WHOLE.replace("'d'", "',d'"))
SHARE = alt.Scale(domain=[0, 1])


def split_scale(splits: Sequence[str]) -> alt.Scale:
    """A colour for each split, the same in every chart."""
    others = iter(OTHER_COLOURS)
    return alt.Scale(domain=list(splits), range=[SPLIT_COLOURS.get(split) or next(others) for split in splits])


def dashes(names: Sequence[str]) -> alt.Scale:
    """A dash pattern for each name."""
    return alt.Scale(domain=list(names), range=[DASHES[place % len(DASHES)] for place in range(len(names))])


def shapes(names: Sequence[str]) -> alt.Scale:
    """A shape of point for each name."""
    return alt.Scale(domain=list(names), range=[SHAPES[place % len(SHAPES)] for place in range(len(names))])


def integer_axis(values: pl.Series) -> alt.Axis:
    """Whole numbers without repeats."""
    span = int(values.max() or 0) - int(values.min() or 0) if len(values) else 0  # type: ignore[arg-type]
    return alt.Axis(labelExpr=WHOLE, tickCount=min(span, 10) or 1)


def by_iteration(rows: pl.DataFrame) -> alt.X:
    """The axis that a reader can exchange for another clock."""
    return alt.X("iteration:Q", title="iteration", axis=integer_axis(rows["iteration"]), scale=alt.Scale(nice=False))


def lines(
    rows: pl.DataFrame, names: Sequence[str], y: alt.Y, colours: alt.Scale, name: str = "name", unit: str = ".3~g"
) -> alt.LayerChart | alt.FacetChart:
    """A line for each of `names`, told apart by colour, dashes and points, with its interval where `rows` has one."""
    few = rows["iteration"].n_unique() <= MOST_POINTS
    base = alt.Chart(rows).encode(by_iteration(rows))
    shown: dict[str, Any] = {"title": None, "sort": list(names), **({"legend": None} if len(names) == 1 else {})}
    colour = alt.Color(f"{name}:N", scale=colours, **shown)
    dash = alt.StrokeDash(f"{name}:N", scale=dashes(names), **shown)
    shape = alt.Shape(f"{name}:N", scale=shapes(names), **shown)
    tips = [alt.Tooltip(f"{name}:N"), "iteration"]
    tips += [alt.Tooltip(f"{c}:Q", format=unit) for c in ("value", "low", "high") if c in rows.columns]
    layers: list[alt.Chart | alt.LayerChart] = []
    if "low" in rows.columns and rows["low"].is_not_null().any():
        band = base.mark_area(opacity=0.15).encode(alt.Y("low:Q", title=y["title"]), alt.Y2("high:Q"), colour)
        layers.append(band)
    layers.append(base.mark_line(strokeWidth=2).encode(y, colour, dash, tooltip=tips))
    points = base.mark_point(filled=True, size=40, opacity=1 if few else 0)
    layers.append(points.encode(y, colour, shape, tooltip=tips))
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)


def each_iteration() -> alt.X:
    """An axis with a place for each iteration, for bars and maps."""
    return alt.X("iteration:O", title="iteration", axis=alt.Axis(labelAngle=0, labelOverlap=True, labelSeparation=6))


def split_choice(splits: Sequence[str]) -> alt.Parameter:
    """A drop-down list of the splits, validation first."""
    return choice("split", sorted(splits, key=lambda split: split != "validation"), "Split")


def choice(name: str, options: Sequence[str], label: str) -> alt.Parameter:
    """A drop-down list under a chart; the chart filters by it."""
    return alt.param(name=name, value=options[0], bind=alt.binding_select(options=list(options), name=f"{label} "))


def chosen_iteration() -> alt.Parameter:
    """The iteration that the page's reader looks at; -1 is none. The page sets it in all charts at once."""
    return alt.param(name="chosen", value=-1)
