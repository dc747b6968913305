"""Train on what the current policy wrote, right or wrong: what verification is worth."""

from axiom.arms.arm import Arm, Harvest, every_round
from axiom.records import Gold
from axiom.selection import select, with_replay


def _select(harvest: Harvest) -> list[Gold]:
    config = harvest.config.selection
    fresh = select(harvest.samples, config, "unverified", problems=harvest.problems)
    return with_replay(fresh, harvest.earlier, config)


ARM = Arm("all samples of the current policy", "current", every_round, _select, yoked=False)
