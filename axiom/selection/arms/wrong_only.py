"""Train on programs that failed verification: whether the verifier's word matters or any training of this shape does.

The control of Shao et al. 2025, "Spurious Rewards", arXiv:2506.10947.
"""

from axiom.records import Gold
from axiom.selection import accepted
from axiom.selection.arm import Arm, Harvest, every_round
from axiom.selection.yoke import from_samples


def _select(harvest: Harvest) -> list[Gold]:
    right = {sample.sample_id for sample in accepted(harvest.samples, harvest.verdicts)}
    return from_samples(harvest, [sample for sample in harvest.samples if sample.sample_id not in right], "wrong")


ARM = Arm("samples of the current policy that failed verification", "current", every_round, _select, yoked=True)
