"""The parts of a run's page: a file a group, a function a view, which gives None where it has nothing to show."""

from collections.abc import Callable

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


def views(data: RunData) -> dict[str, list[View]]:
    """Every view with something to show, by group; groups without one are left out."""
    made = {title: [view for view in (make(data) for make in makers) if view] for title, makers in GROUPS.items()}
    return {title: found for title, found in made.items() if found}
