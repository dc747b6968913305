"""Accept samples by lot, as many as the verifier would: the same amount of data without its information."""

from axiom.records import Gold
from axiom.seeds import stream
from axiom.selection import accepted, select, to_gold
from axiom.selection.arm import Arm, Harvest, every_round
from axiom.selection.replay import with_replay
from axiom.selection.yoke import from_samples


def _select(harvest: Harvest) -> list[Gold]:
    if harvest.quota is not None:
        return from_samples(harvest, harvest.samples, "random")
    found = accepted(harvest.samples, harvest.verdicts)
    verified = select(found, harvest.config.selection, problems=harvest.problems, known=harvest.known)
    lot = stream(harvest.config.seed, "arms", "random_accept", harvest.iteration)
    drawn = lot.sample(harvest.samples, len(verified))
    fresh = [to_gold(sample, "random") for sample in drawn]
    return with_replay(fresh, harvest)


ARM = Arm("samples of the current policy, accepted by lot", "current", every_round, _select, yoked=True)
