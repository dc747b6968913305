"""The parts of a run's page: a file a group, a function a view, which gives None where it has nothing to show."""

from collections.abc import Callable
from dataclasses import replace

from axiom.report.data import RunData, View
from axiom.report.views import cost, learning, parts, programs, support, weights

GROUPS: dict[str, tuple[Callable[[RunData], View | None], ...]] = {
    "Learning": (learning.accuracy, learning.gap, learning.pass_at_k, learning.gold, learning.loss),
    "Gained and lost": (support.against_base, support.groups, support.forgotten, support.solve_map),
    "Programs": (
        programs.outcomes,
        programs.audit,
        programs.diversity,
        programs.entropy,
        programs.surprise,
        programs.length,
    ),
    "By family and difficulty": (parts.families, parts.difficulties, parts.detection),
    "Weights": (weights.distance, weights.adapters, weights.fourier, weights.progress, weights.norm),
    "Cost": (cost.time, cost.memory, cost.ledger, cost.mismatch),
    "Problems": (parts.held_out, parts.hidden_cases),
}
"""By the heading of each group."""


MISSING = "It is made without {}, which cannot be read (see the top of the page)."


def views(data: RunData) -> dict[str, list[View]]:
    """Every view with something to show, by group; groups without one are left out.

    A view says which files it goes without as they cannot be read; all of them are then in `data.lost`.
    """
    made, lost = dict[str, list[View]](), dict[str, str]()
    for title, makers in GROUPS.items():
        found, gone = list[View](), dict[str, str]()
        for make in makers:
            data.lost = {}
            view = make(data)
            lost |= data.lost
            if view and data.lost:
                view = replace(view, words=f"{view.words} {MISSING.format(data.named())}")
            elif view is None:
                gone |= data.lost
            found += [view] if view else []
        data.lost = gone
        found += (
            [
                View(
                    "Not drawn",
                    f"Some views have too little left. Not readable: {data.named()} (see the top of the page).",
                )
            ]
            if gone
            else []
        )
        made |= {title: found} if found else {}
    data.lost = lost
    return made
