"""Names that a config may hold and other packages give: an arm or a family is one file, and its name is the file's."""

import difflib
import re
from pathlib import Path


def names_in(folder: str) -> tuple[str, ...]:
    """The modules and packages in a folder of axiom, without importing them."""
    found = (Path(__file__).parents[1] / folder).iterdir()
    named = (path for path in found if path.suffix == ".py" or (path / "__init__.py").exists())
    return tuple(sorted(path.stem for path in named if not path.stem.startswith("_")))


ARMS = names_in("selection/arms")
FAMILIES = names_in("problems/families")
OPERATIONS = {
    "add": "modular",
    "negate": "modular_negate",
    "multiply": "modular_multiply",
    "squares": "modular_squares",
}
"""Operations of the modular learner, to the names of their families of problems."""
JOINT = "+"
"""Between the families of a composition."""
SOURCES = names_in("problems/sources")
TRACKERS = names_in("tracking")
FROM = ":"
"""Between a source of problems and its item."""


SOURCED = rf"(?:{'|'.join(SOURCES)}){FROM}[A-Za-z0-9_]+"
"""An item of a source, as a pattern."""


def unknown_family(name: str) -> str | None:
    """Why `name` is no family, composition or item of a source, with the nearest known name; None when it is one."""
    if re.fullmatch(SOURCED, name):
        return None
    wrong = next((part for part in name.split(JOINT) if part not in FAMILIES), None)
    if wrong is None:
        return None
    near = difflib.get_close_matches(wrong, FAMILIES, 1, 0.4)
    hint = f"did you mean {near[0]!r}?" if near else "the known ones are"
    return f"unknown family {wrong!r}; {hint} (axiom problems --list): {', '.join(FAMILIES)}"
