"""The files of `axiom verify`: candidates in, verdicts out, as JSONL or Parquet.

Every row is checked before anything runs; one that is not well formed is named by its number, counting from 1.
"""

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from axiom.errors import DataError
from axiom.extraction import extract_code
from axiom.records import Case
from axiom.values import decode, encode
from axiom.verification import Candidate, CandidateVerdict

_COLUMNS = {"candidate_id", "code", "completion", "entry_point", "cases", "timeout_s", "memory_mb"}
_VERDICTS = pa.schema([
    pa.field("candidate_id", pa.string(), False), pa.field("outcome", pa.string(), False),
    pa.field("cases_passed", pa.int32(), False), pa.field("cases_total", pa.int32(), False),
    pa.field("wall_ms", pa.float64(), False), pa.field("detail", pa.string(), False),
])  # fmt: skip


def check_candidates(path: Path) -> dict[str, int]:
    """The row number of each candidate_id, once every row has been found well formed.

    Raises DataError naming the first row that is not.
    """
    numbers: dict[str, int] = {}
    for number, candidate in enumerate(read_candidates(path), 1):
        first = numbers.setdefault(candidate.candidate_id, number)
        if first != number:
            raise DataError(f"{path}: row {number} repeats candidate_id {candidate.candidate_id!r} of row {first}")
    return numbers


def read_candidates(path: Path) -> Iterator[Candidate]:
    """The candidates of a JSONL or Parquet file, one after the other. Raises DataError at a row not well formed."""
    for number, row in enumerate(_rows(path), 1):
        yield _candidate(row, functools.partial(_fault, path, number))


def _fault(path: Path, number: int, fault: str) -> DataError:
    return DataError(f"{path}: row {number} {fault}")


def check_output(path: Path) -> None:
    """Refuse, before anything runs, a file that could not be written."""
    if path.suffix not in {".jsonl", ".parquet"}:
        raise DataError(f"--out {path} must end in .jsonl or .parquet")
    if not path.absolute().parent.is_dir():
        raise DataError(f"--out {path}: the folder {path.absolute().parent} does not exist; make it first")


def write_verdicts(path: Path, verdicts: Sequence[CandidateVerdict]) -> None:
    """Write one row for each verdict: candidate_id, outcome, cases_passed, cases_total, wall_ms, detail."""
    rows = [{name: dataclasses.asdict(verdict)[name] for name in _VERDICTS.names} for verdict in verdicts]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows, schema=_VERDICTS), path)
    else:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _rows(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise DataError(f"{path} does not exist; name a JSONL or Parquet file of candidates")
    if path.suffix == ".parquet":
        try:
            for batch in pq.ParquetFile(path).iter_batches(1024):
                yield from batch.to_pylist()
        except pa.ArrowException as error:
            raise DataError(f"{path} is not a Parquet file: {error}") from None
        return
    with path.open(encoding="utf-8") as lines:
        try:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _parsed(line, functools.partial(_fault, path, number))
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is not UTF-8 text: {error}") from None


def _parsed(line: str, fault: Callable[[str], DataError]) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise fault(f"is not JSON: {error}") from None


def _candidate(row: Any, fault: Callable[[str], DataError]) -> Candidate:
    if not isinstance(row, dict):
        raise fault(f"is a {type(row).__name__}; it must be an object with the columns of `axiom verify --help`")
    row = {name: value for name, value in row.items() if value is not None}
    if unknown := sorted(set(row) - _COLUMNS):
        raise fault(f"has the unknown column {unknown[0]!r}; known: {', '.join(sorted(_COLUMNS))}")
    entry_point = _text(row, "entry_point", fault)
    if ("code" in row) == ("completion" in row):
        raise fault("must have either code or completion")
    code = _text(row, "code", fault) if "code" in row else extract_code(_text(row, "completion", fault), entry_point)
    timeout_s, memory_mb = row.get("timeout_s"), row.get("memory_mb")
    if timeout_s is not None and not (type(timeout_s) in (int, float) and 0 < timeout_s <= 600):
        raise fault(f"has timeout_s {timeout_s!r}; it must be a number of seconds above 0 and at most 600")
    if memory_mb is not None and not (type(memory_mb) is int and 32 <= memory_mb <= 65536):
        raise fault(f"has memory_mb {memory_mb!r}; it must be a whole number from 32 to 65536")
    return Candidate(
        _text(row, "candidate_id", fault), code, entry_point, _cases(row.get("cases"), fault),
        timeout_s=timeout_s, memory_mb=memory_mb,
    )  # fmt: skip


def _text(row: dict[str, Any], name: str, fault: Callable[[str], DataError]) -> str:
    value = row.get(name)
    if not isinstance(value, str) or (not value and name not in {"code", "completion"}):
        raise fault(f"has {name} {value!r}; it must be text")
    return value


def _cases(cases: Any, fault: Callable[[str], DataError]) -> tuple[Case, ...]:
    """Cases as plain JSON values, or as JSON text in a Parquet column that cannot hold mixed types."""
    if isinstance(cases, str):
        cases = _parsed(cases, lambda reason: fault(f"has cases that are text but {reason}"))
    if not isinstance(cases, list) or not cases:
        raise fault('needs cases: a list of at least one {"args": [...], "expected": ...}')
    return tuple(_case(case, index, fault) for index, case in enumerate(cases))


def _case(case: Any, index: int, fault: Callable[[str], DataError]) -> Case:
    if not isinstance(case, dict) or case.keys() != {"args", "expected"}:
        raise fault(f'has case {index} that is not {{"args": [...], "expected": ...}}')
    try:
        args, expected = (decode(json.dumps(case[name])) for name in ("args", "expected"))
        texts = encode(args), encode(expected)
    except (ValueError, TypeError, RecursionError) as error:
        raise fault(f"has case {index} with a value that cannot be read: {error}") from None
    if type(args) is not list:
        raise fault(f"has case {index} whose args is a {type(args).__name__}; it must be a list of arguments")
    return Case(args=texts[0], expected=texts[1])
