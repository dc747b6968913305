"""Accept samples by lot, as many as the verifier would: the same amount of data without its information."""

from axiom.arms.arm import Arm, Harvest, every_round
from axiom.records import Gold
from axiom.seeds import stream
from axiom.selection import accepted, select, with_replay


def _select(harvest: Harvest) -> list[Gold]:
    config = harvest.config.selection
    verified = select(accepted(harvest.samples, harvest.verdicts), config, problems=harvest.problems)
    wanted = len(verified) if harvest.quota is None else harvest.quota.fresh
    candidates = select(harvest.samples, config, "random", problems=harvest.problems)
    lot = stream(harvest.config.seed, "arms", "random_accept", harvest.iteration)
    drawn = lot.sample(candidates, min(wanted, len(candidates)))
    return with_replay(drawn, harvest.earlier, config)


ARM = Arm("samples of the current policy, accepted by lot", "current", every_round, _select, yoked=False)
