"""One law over a table of rows in one test: a test for each row costs more than what it checks."""

import functools
import inspect
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import pytest


def every(names: str, rows: Iterable[Any], ids: Callable[[Any], str] = repr) -> Callable[[Callable], Callable]:
    """Call a test with each row in turn, as `parametrize` does, in one test: it names all rows that fail.

    The rows share the fixtures of the test. Several tables give the rows of their product.
    """
    columns, table = tuple(name.strip() for name in names.split(",")), list(rows)

    def over(test: Callable) -> Callable:
        law, tables = getattr(test, "over", (test, ()))
        tables = ((columns, table, ids), *tables)

        @functools.wraps(law)
        def each(**fixtures: Any) -> None:
            failed = {}
            combinations = list(itertools.product(*(rows for _, rows, _ in tables)))
            assert combinations, "the table has no rows"
            for chosen in combinations:
                row: dict[str, Any] = {}
                for (columns, _, _), cell in zip(tables, chosen, strict=True):
                    row |= zip(columns, cell if len(columns) > 1 else (cell,), strict=True)
                try:
                    law(**row, **fixtures)
                except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - each row that fails is named
                    label = ", ".join(said(cell)[:200] for (_, _, said), cell in zip(tables, chosen, strict=True))
                    failed[label] = error if isinstance(error, Exception) else AssertionError(str(error))
                    failed[label].add_note(f"in the row {label}")
            if failed:
                raise ExceptionGroup(
                    f"{len(failed)} of {len(combinations)} rows fail: {'; '.join(failed)}", [*failed.values()]
                )

        signature = inspect.signature(law)
        given = {name for columns, _, _ in tables for name in columns}
        kept = [one for name, one in signature.parameters.items() if name not in given]
        each.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        each.over = (law, tables)  # type: ignore[attr-defined]
        return each

    return over
