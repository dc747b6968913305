"""Train on what the current policy wrote, right or wrong: what verification is worth."""

from axiom.records import Gold
from axiom.selection.arm import Arm, Harvest, every_round
from axiom.selection.replay import with_replay
from axiom.selection.yoke import lot


def _select(harvest: Harvest) -> list[Gold]:
    return with_replay(lot(harvest, harvest.samples, "unverified"), harvest)


ARM = Arm("all samples of the current policy", "current", every_round, _select, yoked=False)
