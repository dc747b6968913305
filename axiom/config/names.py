"""Names that a config may hold and other packages give: an arm or a family is one file, and its name is the file's."""

import difflib
import re
from pathlib import Path


def names_in(folder: str) -> tuple[str, ...]:
    """The modules of a folder of axiom, without importing them."""
    files = (Path(__file__).parents[1] / folder).glob("*.py")
    return tuple(sorted(file.stem for file in files if not file.stem.startswith("_")))


ARMS = names_in("selection/arms")
FAMILIES = names_in("problems/families")
JOINT = "+"
"""Between the families of a composition."""
DATASET = "reasoning_gym:"
"""Before the name of a dataset."""


def unknown_family(name: str) -> str | None:
    """Why `name` is no family, composition or dataset, with the nearest known name; None when it is one."""
    if re.fullmatch(rf"{DATASET}\w+", name):
        return None
    wrong = next((part for part in name.split(JOINT) if part not in FAMILIES), None)
    if wrong is None:
        return None
    near = difflib.get_close_matches(wrong, FAMILIES, 1, 0.4)
    hint = f"did you mean {near[0]!r}?" if near else "the known ones are"
    return f"unknown family {wrong!r}; {hint} (axiom problems --list): {', '.join(FAMILIES)}"
