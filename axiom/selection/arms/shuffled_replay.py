"""Every distinct right program that the expert run found, in an order that does not depend on when it was found.

If this arm does as well as the expert, the data mattered and the order in which it was found did not.
"""

from collections.abc import Sequence

from axiom.errors import ConfigError
from axiom.records import Gold
from axiom.selection.arm import Arm, Harvest, never
from axiom.selection.arms.reinforce import REWARD
from axiom.selection.foothold import PARTIAL
from axiom.selection.yoke import from_pool


def _pool(harvest: Harvest, expert: Sequence[Gold]) -> list[Gold]:
    if not (expert or harvest.config.yoke):
        raise ConfigError("arm 'shuffled_replay' replays the gold of an expert run; set yoke to that run's name")
    return [_shuffled(row) for row in expert if not row.reason.startswith(PARTIAL)]


def _shuffled(row: Gold) -> Gold:
    """The row without the expert's weight, which is of another round; advantages of a policy gradient stay."""
    weight = row.weight if row.reason.startswith(REWARD) else 1.0
    return row.model_copy(update={"reason": "shuffled", "weight": weight})


ARM = Arm("what the expert run found, shuffled", "base", never, from_pool, yoked=True, pool=_pool, whole=True)
