"""A table as a sequence of records that is read a part at a time, so that its length does not decide about memory."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby, islice
from typing import Any, Generic, TypeVar, overload

import pyarrow as pa

from axiom.errors import DataError
from axiom.records import Record, Sample

R = TypeVar("R", bound=Record)
T = TypeVar("T")
Keep = tuple[str, Collection[Any], bool]
"""A column, values, and whether the rows with one of them are kept or the others."""
TOGETHER, KEPT = 32, 256
"""Rows that `ById` makes at a time, and how often so many it keeps."""


class Rows(Sequence[R], Generic[R]):
    """The rows of a table of `count` rows, read again by each pass over them.

    `parts` opens the table and gives it in parts. A row taken by its number brings the whole table into memory.
    """

    def __init__(
        self, parts: Callable[[], Iterator[pa.Table]], record: type[R], count: int, keep: Sequence[Keep] = ()
    ) -> None:
        self._parts, self._record, self._keep = parts, record, keep
        self._count = None if keep else count
        self._whole: list[R] | None = None

    def where(self, column: str, values: Collection[Any], keep: bool = True) -> "Rows[R]":
        """The rows with one of the values in a column, or with `keep=False` the others."""
        return Rows(self._parts, self._record, 0, [*self._keep, (column, values, keep)])

    def __iter__(self) -> Iterator[R]:
        if self._whole is not None:
            yield from self._whole
            return
        for part in self._parts():
            yield from self._record.from_table(self._kept(part))

    def __len__(self) -> int:
        if self._count is None:
            self._count = sum(len(self._kept(part)) for part in self._parts())
        return self._count

    @overload
    def __getitem__(self, place: int) -> R: ...
    @overload
    def __getitem__(self, place: slice) -> list[R]: ...
    def __getitem__(self, place: int | slice) -> R | list[R]:
        self._whole = self._whole if self._whole is not None else list(self)
        return self._whole[place]

    def _kept(self, part: pa.Table) -> pa.Table:
        for column, values, keep in self._keep:
            part = part.filter(pa.array([(value in values) == keep for value in part[column].to_pylist()], pa.bool_()))
        return part


class ById(Mapping[str, R], Generic[R]):
    """The rows of a long table by the ids in `column`, made as they are asked for.

    The table stays in memory as Arrow holds it, which for problems is a tenth of what their records take.
    """

    def __init__(self, table: pa.Table, record: type[R], column: str) -> None:
        self._places = {key: place for place, key in enumerate(table[column].to_pylist())}
        table = table.combine_chunks()
        self._made = lru_cache(KEPT)(lambda part: record.from_table(table.slice(part * TOGETHER, TOGETHER)))

    def __getitem__(self, key: str) -> R:
        part, place = divmod(self._places[key], TOGETHER)
        return self._made(part)[place]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def where(rows: Sequence[R], column: str, values: Collection[Any], keep: bool = True) -> Sequence[R]:
    """The rows with one of the values in a column, or with `keep=False` the others; in parts where `rows` is."""
    if isinstance(rows, Rows):
        return rows.where(column, values, keep)
    return [row for row in rows if (getattr(row, column) in values) == keep]


def by_problem(samples: Sequence[Sample]) -> Iterator[tuple[str, list[Sample]]]:
    """The samples of each problem, in the order of the problems' first ones.

    Raises DataError for a table that is read a part at a time and does not have a problem's rows together.
    """
    if not isinstance(samples, Rows):
        groups: dict[str, list[Sample]] = {}
        for sample in samples:
            groups.setdefault(sample.problem_id, []).append(sample)
        yield from groups.items()
        return
    seen = set()
    for problem_id, found in groupby(samples, lambda sample: sample.problem_id):
        if problem_id in seen:
            raise DataError(f"the samples of problem {problem_id} do not stand together; sort the table by problem_id")
        seen.add(problem_id)
        yield problem_id, list(found)


def in_parts(rows: Iterable[T], most: int) -> Iterator[list[T]]:
    """Lists of at most `most` rows; a single empty one where there are none."""
    source = iter(rows)
    part = list(islice(source, most))
    yield part
    while part := list(islice(source, most)):
        yield part
