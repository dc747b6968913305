"""The listing of `axiom/` is the pipeline: a room may import what stands before it, never what stands after it."""

import ast
import re
from pathlib import Path

import axiom

ROOT = Path(axiom.__file__).parent.parent
GROUND = (
    "errors",
    "records",
    "rows",
    "seeds",
    "values",
    "visible",
    "words",
    "progress",
    "credentials",
    "environment",
    "content",
    "commands",
    "objects",
    "uploads",
    "folders",
    "store",
    "downloads",
    "ending",
)
FLOORS = (
    *GROUND,
    "config",
    "sandbox",
    "extraction",
    "problems",
    "models",
    "sampling",
    "verification",
    "selection",
    "training",
    "learners",
    "evaluation",
    "grokking",
    "tracking",
    "experiment",
    "study",
    "report",
    "view",
    "bench",
    "cli",
    "tasks",
    "flows",
)
"""Every room of the library, from the ground up."""


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(file): file for top in ("axiom", "axiom/tasks", "axiom/flows") for file in (ROOT / top).rglob("*.py")}


def imports(name: str) -> set[str]:
    """The modules of ours that a module imports, inside of functions too."""
    found = set()
    for node in ast.walk(ast.parse(FILES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & FILES.keys()
            found |= inner or {node.module}
    return (found & FILES.keys()) - {name, "axiom"}


def room(name: str) -> str:
    return name.split(".")[1]


def test_nothing_imports_upward():
    floor = {name: number for number, name in enumerate(FLOORS)}
    upward = {
        (name, other)
        for name in FILES
        if name != "axiom"
        for other in imports(name)
        if floor[room(other)] > floor[room(name)]
    }
    assert not upward


def test_every_room_has_its_floor():
    rooms = {room(name) for name in FILES if name != "axiom"}
    assert rooms == set(FLOORS)


def test_no_module_needs_the_folders_beside_the_package():
    """`tasks` and `flows` are names that any project may have: ours are `axiom.tasks` and `axiom.flows`."""
    assert {"axiom.tasks.sample", "axiom.flows.experiment"} <= FILES.keys()
    sources = [*FILES.values(), *(ROOT / "tests").rglob("*.py")]
    found = [
        path for path in sources if re.search(r"^\s*(from|import) (tasks|flows)\b", path.read_text(), re.MULTILINE)
    ]
    assert not found
