"""Train on what the current policy got right."""

from axiom.records import Gold
from axiom.selection import accepted, select
from axiom.selection.arm import Arm, Harvest, every_round
from axiom.selection.foothold import added
from axiom.selection.replay import with_replay


def _select(harvest: Harvest) -> list[Gold]:
    found = accepted(harvest.samples, harvest.verdicts)
    fresh = select(found, harvest.config.selection, problems=harvest.problems, known=harvest.known)
    return with_replay([*fresh, *added(harvest, fresh)], harvest)


ARM = Arm("verified samples of the current policy", "current", every_round, _select, yoked=False, by_selection=True)
