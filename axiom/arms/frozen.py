"""No training at all: what evaluation noise looks like."""

from axiom.arms.arm import Arm, Harvest, never
from axiom.records import Gold


def _select(harvest: Harvest) -> list[Gold]:
    return []


ARM = Arm("nothing: the base model stays as it is", "base", never, _select, yoked=False)
