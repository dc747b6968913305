"""No training at all: what evaluation noise looks like."""

from axiom.records import Gold
from axiom.selection.arm import Arm, Harvest, never


def _select(harvest: Harvest) -> list[Gold]:
    return []


ARM = Arm("nothing: the base model stays as it is", "base", never, _select, yoked=False)
