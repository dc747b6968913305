"""The files of `axiom verify`: candidates in, as JSONL, Parquet or CSV; verdicts out, as JSONL or Parquet.

Every row is checked before anything runs; one that is not well formed is named by its number, counting from 1. Text is
UTF-8 whatever the locale says, with or without a byte order mark.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from axiom.errors import DataError
from axiom.folders import whole
from axiom.records import Comparison
from axiom.values import parse
from axiom.verification import Candidate, CandidateVerdict
from axiom.verification.rows import Row, noted, unique_rows
from axiom.visible import visible_json

FORMATS = (".jsonl", ".parquet")
_VERDICTS = pa.schema(
    [
        pa.field("candidate_id", pa.string(), False),
        pa.field("outcome", pa.string(), False),
        pa.field("cases_passed", pa.int32(), False),
        pa.field("cases_total", pa.int32(), False),
        pa.field("wall_ms", pa.float64(), False),
        pa.field("detail", pa.string(), False),
    ]
)
_LONGEST_FIELD = 2**31 - 1  # of a CSV file, in characters


def check_candidates(path: Path) -> dict[str, int]:
    """The row number of each candidate_id, once every row has been found well formed.

    Raises DataError naming the first row that is not.
    """
    return {row.candidate_id: number for number, row in enumerate(_checked_rows(path), 1)}


def read_candidates(path: Path, comparison: Comparison = "exact") -> Iterator[Candidate]:
    """The candidates of a file, one after the other. Raises DataError at a row that is not well formed."""
    for row in _checked_rows(path):
        yield row.candidate(comparison)


def _checked_rows(path: Path) -> Iterator[Row]:
    return unique_rows(_rows(path), str(path), strict=path.suffix.lower() != ".csv")


# Formats


def _rows(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise DataError(f"{path} does not exist; name a JSONL, Parquet or CSV file of candidates")
    try:
        yield from {".parquet": _parquet, ".csv": _csv}.get(path.suffix.lower(), _jsonl)(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}") from None


def _jsonl(path: Path) -> Iterator[Any]:
    number = 0
    with path.open(encoding="utf-8-sig") as lines:
        for line in lines:
            if line.strip():
                number += 1
                try:
                    yield parse(line)
                except (ValueError, RecursionError) as error:
                    raise DataError(f"{path}: row {number} is not JSON: {error}") from None


def _csv(path: Path) -> Iterator[dict[str, str]]:
    """Rows of text; an empty field is one that is not there, but for a program."""
    csv.field_size_limit(_LONGEST_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as lines:
        try:
            for number, row in enumerate(csv.DictReader(lines, strict=True), 1):
                if None in row:
                    raise DataError(f"{path}: row {number} has more fields than the header has columns")
                kept = {name: text for name, text in row.items() if text}
                yield kept if kept.keys() & {"code", "completion"} or "code" not in row else {**kept, "code": ""}
        except csv.Error as error:
            raise DataError(f"{path} is not CSV: {error}") from None


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    """Rows by Arrow type. A null field of a struct inside a case is a key that the dictionary does not have."""
    try:
        for batch in pq.ParquetFile(path).iter_batches(1024):
            columns = {name: column.to_pylist() for name, column in zip(batch.schema.names, batch.columns, strict=True)}
            if "cases" in columns:
                kind = batch.schema.field("cases").type
                columns["cases"] = [_cases_of(value, kind) for value in columns["cases"]]
            for values in zip(*columns.values(), strict=True):
                yield dict(zip(columns, values, strict=True))
    except pa.ArrowException as error:
        raise DataError(f"{path} is not a Parquet file: {error}") from None


def _cases_of(cases: Any, kind: pa.DataType) -> Any:
    if not isinstance(cases, list) or not pa.types.is_struct(kind.value_type):
        return cases
    fields = list(kind.value_type)
    return [case and {field.name: _plain(case[field.name], field.type) for field in fields} for case in cases]


def _plain(value: Any, kind: pa.DataType) -> Any:
    """A value of an Arrow type as Python's own: maps and structs as dictionaries, whole decimals as integers."""
    if value is None:
        return None
    if pa.types.is_struct(kind):
        return {field.name: _plain(value[field.name], field.type) for field in kind if value[field.name] is not None}
    if pa.types.is_map(kind):
        return {_plain(key, kind.key_type): _plain(item, kind.item_type) for key, item in value}
    if isinstance(value, list):
        return [_plain(item, kind.value_type) for item in value]
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value


# Verdicts


def check_names(path: Path, names: Iterable[str]) -> None:
    """Refuse a candidate_id that the format of `path` cannot hold."""
    for name in names if path.suffix == ".parquet" else ():
        if any("\ud800" <= sign <= "\udfff" for sign in name):
            raise DataError(f"Parquet cannot hold candidate_id {name!r}; write the verdicts to a .jsonl file")


def write_verdicts(path: Path, verdicts: Sequence[CandidateVerdict], notes: Mapping[str, str]) -> None:
    """Write one row for each verdict: candidate_id, outcome, cases_passed, cases_total, wall_ms, detail.

    `notes` are put behind the detail of their candidate. The file appears whole or not at all. Raises as `whole`.
    """
    told = [noted(verdict, notes.get(verdict.candidate_id, "")) for verdict in verdicts]
    rows = [{name: getattr(verdict, name) for name in _VERDICTS.names} for verdict in told]
    if path.suffix == ".parquet":
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, schema=_VERDICTS), sink)
        content = sink.getvalue().to_pybytes()
    else:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        content = visible_json(text).encode()
    with whole(path) as file:
        file.write_bytes(content)
