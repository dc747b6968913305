"""Train on any program that parses and defines the function: what is learnt from the form alone.

The control of Shao et al. 2025, "Spurious Rewards", arXiv:2506.10947.
"""

from axiom.records import Gold
from axiom.selection import well_formed
from axiom.selection.arm import Arm, Harvest, every_round
from axiom.selection.yoke import from_samples


def _select(harvest: Harvest) -> list[Gold]:
    formed = [sample for sample in harvest.samples if well_formed(harvest.problems[sample.problem_id], sample.code)]
    return from_samples(harvest, formed, "format")


ARM = Arm(
    "samples of the current policy that parse and define the function", "current", every_round, _select, yoked=True
)
