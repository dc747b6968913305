"""Tables of the command line, for people and for programs."""

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from axiom.visible import visible, visible_json

AsJson = Annotated[bool, typer.Option("--json", help="Print the figures as JSON instead of a table.")]
Table = tuple[list[str], list[list[str]]]
"""Header and rows."""
Columns = dict[str, str | Callable[[Any], str]]
"""By header how a cell is written: by a format of the row, such as `{0.seconds:.1f} s`, or by a function of it."""


def columns(rows: Iterable[Any], written: Columns) -> Table:
    """Header and rows of a table of `rows`."""
    body = [[how.format(row) if isinstance(how, str) else how(row) for how in written.values()] for row in rows]
    return list(written), body


def show(console: Console, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, first column left, the others right.

    One that is wider than the terminal is printed in parts, each with the first column, or with the row's number where
    that names no row, so that no figure breaks; only words wrap, where a single column is too wide.
    """
    header, rows = [visible(name) for name in header], [[visible(cell) for cell in row] for row in rows]
    parts = split(header, rows, console.width)
    if len(parts) > 1 and len({row[0] for row in rows}) < len(rows):
        header, rows = ["row", *header], [[str(number), *row] for number, row in enumerate(rows, start=1)]
        parts = split(header, rows, console.width)
    for number, places in enumerate(parts):
        told = title if number == 0 else ""
        table = Grid(
            title=Text(visible(told), style="bold") if told else None,
            title_justify="left",
            show_header=any(header),
            header_style="bold",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        for place in places:
            words = place == 0 or any(" " in row[place] and not _figures(row[place]) for row in rows)
            table.add_column(
                Text(header[place]), justify="left" if words else "right", overflow="fold", no_wrap=not words
            )
        for row in rows:
            table.add_row(*(Text(row[place]) for place in places))
        console.print(table)


def split(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[list[int]]:
    """Places of the columns of each part of a table that is `width` columns wide; the first is in every part."""
    needed = [max(cell_len(row[place]) for row in (header, *rows)) + 2 for place in range(len(header))]
    parts: list[list[int]] = [[0]]
    for place in range(1, len(header)):
        if len(parts[-1]) > 1 and sum(needed[at] for at in (*parts[-1], place)) + 1 > width:
            parts.append([0])
        parts[-1].append(place)
    return parts


def _figures(text: str) -> bool:
    """Whether a cell is a figure with its interval or unit, which stays in one line."""
    return text[:1] in "0123456789-+<" and len(text) < 40


def as_json(value: Any) -> None:
    """Print a value as JSON: records, tables of them, and what they hold. What is not finite becomes null."""
    print(visible_json(json.dumps(plain(value), indent=1, ensure_ascii=False)))


def plain(value: Any) -> Any:
    """`value` in JSON's own types."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, BaseModel):
        return plain(value.model_dump(mode="json"))
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (str, bool)) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value
    return [plain(one) for one in value] if isinstance(value, Iterable) else str(value)
