"""Which problems were gained, kept and lost, and which of them a round could still teach."""
# ruff: noqa: TID253  (imported only where a page is drawn)

import altair as alt
import polars as pl

from axiom.report import looks
from axiom.report.data import RunData, View

MOST_PROBLEMS = 150
"""Rows of the solve map; of more problems an even sample is drawn."""
CHANGES = {"kept": looks.BLUE, "gained": looks.GREEN, "lost": looks.ORANGE}
GROUPS = {"groups_all_right": "all right", "groups_mixed": "mixed", "groups_all_wrong": "all wrong"}


def against_base(data: RunData) -> View | None:
    """Problems solved now and by the base model, now alone, and by the base model alone."""
    rows = data.evaluations.drop_nulls("solved")
    base = rows.filter(iteration=0).select("problem_id", before="solved")
    rows = rows.filter(pl.col("iteration") > 0).join(base, on="problem_id")
    if rows.is_empty():
        return None
    now, before = pl.col("solved"), pl.col("before")
    counted = rows.group_by("split", "iteration", maintain_order=True).agg(
        kept=(now & before).sum(), gained=(now & ~before).sum(), lost=-(before & ~now).sum().cast(pl.Int64)
    )
    long = counted.unpivot(list(CHANGES), index=["split", "iteration"], variable_name="what", value_name="problems")
    splits = long["split"].unique(maintain_order=True).to_list()
    chosen = looks.split_choice(splits)
    chart = (
        alt.Chart(long, width=looks.WIDTH, height=looks.HEIGHT)
        .mark_bar()
        .encode(
            looks.each_iteration(),
            alt.Y("problems:Q", title="problems (lost ones below zero)", axis=looks.COUNTS),
            alt.Color("what:N", title=None, scale=alt.Scale(domain=list(CHANGES), range=list(CHANGES.values()))),
            tooltip=["what", "split", "iteration", "problems"],
        )
        .transform_filter("datum.split == split")
        .add_params(chosen)
    )
    words = (
        "Against the base model, by greedy answers: problems that both solve (kept), that only this policy solves "
        "(gained), and that only the base model solves (lost)."
    )
    return View("Gained, kept and lost", words, alt.layer(chart))


def groups(data: RunData) -> View | None:
    """Training problems of which all, some or no draws passed."""
    rows = data.pooled(*GROUPS).with_columns(pl.col("name").replace(GROUPS)).select("name", "iteration", "value")
    if rows.is_empty():
        return None
    names = list(GROUPS.values())
    colours = alt.Scale(domain=names, range=[looks.BLUE, looks.AMBER, "#999999"])
    chart = (
        alt.Chart(rows, width=looks.WIDTH, height=looks.HEIGHT)
        .mark_bar()
        .encode(
            looks.each_iteration(),
            alt.Y("value:Q", title="training problems drawn", axis=looks.COUNTS),
            alt.Color("name:N", title=None, scale=colours, sort=names),
            tooltip=["name", "iteration", alt.Tooltip("value:Q", title="problems")],
        )
    )
    words = "All right and all wrong problems teach nothing about what to prefer; only the mixed ones do."
    return View("Draws of a round by problem", words, alt.layer(chart))


def forgotten(data: RunData) -> View | None:
    """Share of the problems once solved stably that are lost."""
    labels = {"forgotten": "by greedy answers", "forgotten_draws": "by draws", "forgotten_left": "no longer drawn"}
    rows = data.pooled(*labels).with_columns(pl.col("name").replace(labels))
    if rows.is_empty() or not rows["value"].max():
        return None
    names = [name for name in labels.values() if name in set(rows["name"])]
    colours = alt.Scale(domain=names, range=[looks.ORANGE, looks.BLUE, looks.PURPLE][: len(names)])
    chart = looks.lines(rows, names, alt.Y("value:Q", title="share lost", axis=looks.PERCENT), colours, unit=".1%")
    words = "Of the training problems that were solved twice in a row, the share that is not solved now."
    return View("Forgotten", words, chart, clock=True)


def solve_map(data: RunData) -> View | None:
    """A row a problem, a bar while its greedy answer is right."""
    rows = data.evaluations.drop_nulls("solved")
    at = rows["iteration"].unique().sort().to_list()
    if len(at) < 2:
        return None
    following = dict(zip(at, [*at[1:], at[-1] + (at[-1] - at[-2])], strict=True))
    drawn, told = [], []
    for (split,), part in rows.group_by("split", maintain_order=True):
        order = _by_first_solved(part)
        step = -(-len(order) // MOST_PROBLEMS)
        if step > 1:
            told.append(f"one in {step} of the {len(order)} {split} problems is drawn")
        place = {problem: number for number, problem in enumerate(order[::step])}
        kept = part.filter(pl.col("problem_id").is_in(list(place))).sort("problem_id", "iteration")
        for (problem,), one in kept.group_by("problem_id", maintain_order=True):
            about = {"split": split, "row": place[problem], "family": one["family"][0]}
            stretches = _stretches(one["iteration"].to_list(), one["solved"].to_list())
            drawn += [about | {"from": start, "to": following[end]} for start, end in stretches]
            if not stretches:  # without width, so that its row is there
                drawn.append(about | {"from": at[0], "to": at[0]})
    if all(one["from"] == one["to"] for one in drawn):
        return None
    table = pl.DataFrame(drawn).sort("split", "row", "from")
    splits = [split for split in data.splits if split in set(table["split"])]
    chosen = looks.split_choice(splits)
    chart = (
        alt.Chart(table, width=looks.WIDTH, height=looks.HEIGHT * 1.5)
        .mark_rect(color=looks.GREEN)
        .encode(
            alt.X(
                "from:Q",
                title="iteration",
                axis=looks.integer_axis(pl.Series(at)),
                scale=alt.Scale(domain=[at[0], following[at[-1]]], nice=False),
            ),
            alt.X2("to:Q"),
            alt.Y("row:O", axis=None, title="problems"),
            tooltip=["family", alt.Tooltip("from:Q", title="solved from"), alt.Tooltip("to:Q", title="until before")],
        )
        .transform_filter("datum.split == split")
        .add_params(chosen)
    )
    words = (
        "A line is a problem, green while its greedy answer is right; the problems solved first are on top, and "
        "those that were never solved are empty lines at the bottom. A broken line is a problem that was forgotten"
        + "".join(f"; {one}" for one in told)
        + "."
    )
    return View("Solve map", words, alt.layer(chart))


def _by_first_solved(part: pl.DataFrame) -> list[str]:
    first = part.filter("solved").group_by("problem_id").agg(pl.col("iteration").min().alias("first"))
    share = part.group_by("problem_id", maintain_order=True).agg(pl.col("solved").mean().alias("share"))
    order = share.join(first, on="problem_id", how="left")
    return order.sort("first", -pl.col("share"), "problem_id", nulls_last=True)["problem_id"].to_list()


def _stretches(at: list[int], solved: list[bool]) -> list[tuple[int, int]]:
    """First and last evaluation of each stretch in which a problem was solved."""
    found: list[tuple[int, int]] = []
    before = False
    for number, right in zip(at, solved, strict=True):
        if right and before:
            found[-1] = (found[-1][0], number)
        elif right:
            found.append((number, number))
        before = right
    return found
