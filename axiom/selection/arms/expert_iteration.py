"""Train on what the current policy got right."""

from axiom.records import Gold
from axiom.selection import accepted, select, with_replay
from axiom.selection.arm import Arm, Harvest, every_round


def _select(harvest: Harvest) -> list[Gold]:
    config = harvest.config.selection
    found = accepted(harvest.samples, harvest.verdicts)
    fresh = select(found, config, problems=harvest.problems, known=harvest.known)
    return with_replay(fresh, harvest.earlier, config)


ARM = Arm("verified samples of the current policy", "current", every_round, _select, yoked=False)
