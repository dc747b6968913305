"""The arms of a study: one file each, that differ in nothing but where a round's training data comes from.

A file in this folder that defines `ARM` is an arm, and its name is the arm's.
"""

import importlib
import pkgutil

from axiom.selection.arm import Arm, Harvest, Quota


def _discover() -> dict[str, Arm]:
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return {name: module.ARM for name, module in modules.items() if hasattr(module, "ARM")}


ARMS: dict[str, Arm] = _discover()
"""Arm by the name that `arm = ...` in a preset gives it."""

__all__ = ["ARMS", "Arm", "Harvest", "Quota"]
