"""What the runs of one seed differ in: an arm or a variant of one, in a cell of the grid; and what a run is called.

arms + variants ─► groups;  groups × cells of the grid ─► conditions;  conditions × seeds ─► runs
"""

import difflib
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from axiom.config import all_keys
from axiom.config.schema import MOVED
from axiom.store import hash_json
from axiom.visible import one_line

LONGEST_NAME = 100
"""Characters of a run's name: it names a folder."""
LONGEST_VALUE = 32
"""Characters of a value within a name."""
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Condition:
    """One arm under one set of settings; a run of it for each seed.

    `group` is the arm's name, or that of the variant. `changes` are the settings, by dotted key, that it has beside the
    study's own; those of the grid are in `cell` as well. `label` names it in a comparison.
    """

    group: str
    arm: str
    changes: Settings
    cell: Settings
    label: str


def short(key: str) -> str:
    """The last part of a dotted key."""
    return key.rpartition(".")[2]


def names(grid: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Each setting of a grid by the last part of its key, or by the whole key where two would be the same."""
    ends = [short(key) for key in grid]
    return {key: short(key) if ends.count(short(key)) == 1 else key for key in grid}


def label(group: str, cell: Settings, grid: Mapping[str, Sequence[Any]]) -> str:
    """A group, if any, and a cell in words."""
    of = names(grid)
    return ", ".join([*filter(None, [group]), *(f"{of[key]} = {shown(value)}" for key, value in cell.items())])


def shown(value: Any) -> str:
    """A setting's value for a table, in a line without control characters."""
    return value if isinstance(value, str) and value == one_line(value) else json.dumps(value)


def dotted(table: Mapping[str, Any], what: str, beside: Sequence[str] = ()) -> dict[str, Any]:
    """A table's settings by dotted key, whether they were written with quoted keys or as tables.

    Raises ValueError for a key that is no setting and is not one of those `beside`.
    """
    known, found = all_keys(), {}
    for given, value in _leaves(table, known):
        key = MOVED.get(given, given)
        if key not in known and key not in beside:
            near = [name for name in known if short(name) == short(key)] or difflib.get_close_matches(
                key, known, 1, 0.5
            )
            hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "write it as section.key"
            raise ValueError(f"{what} names {key[:60]!r}, which is no setting; {hint}")
        if key in found:
            raise ValueError(f"{what} gives {key!r} twice; leave one out")
        found[key] = value
    return found


def _leaves(table: Mapping[str, Any], known: Sequence[str], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and name not in known:
            yield from _leaves(value, known, f"{name}.")
        else:
            yield name, value


def cells(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of the values of a grid; one without settings where there is no grid."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def size(grid: Mapping[str, Sequence[Any]]) -> int:
    """Cells of a grid, counted without making them."""
    return math.prod(map(len, grid.values()))


def cell_name(cell: Settings, grid: Mapping[str, Sequence[Any]]) -> str:
    """A cell within the name of a run, such as `weight_decay_0.1-learning_rate_0.01`; empty without a grid."""
    of, parts = names(grid), []
    for key, value in cell.items():
        texts = [_text(other) for other in grid[key]]
        text = _text(value)
        parts.append(f"{of[key]}_{text if texts.count(text) == 1 else hash_json(value)[:8]}")
    return "-".join(parts)


def _text(value: Any) -> str:
    """A value in characters that a folder's name may have; a hash of one that is too long for it."""
    plain = "-".join(map(shown, value)) if isinstance(value, tuple | list) else shown(value)
    text = re.sub(r"[^A-Za-z0-9.-]+", "_", plain).strip("_") or "empty"
    return text if len(text) <= LONGEST_VALUE else hash_json(value)[:8]


def run_name_of(study: str, group: str, cell: str, seed: int) -> str:
    """The name of a run; a long one is cut and ends in a hash, so that it stays unique."""
    before, end = "-".join(filter(None, (study, group, cell))), f"-s{seed:02d}"
    if len(before + end) > LONGEST_NAME and cell:
        mark = f"-{hash_json(before)[:8]}"
        before = before[: LONGEST_NAME - len(mark + end)] + mark
    return before + end
