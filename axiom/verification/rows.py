"""Candidates as rows, each checked before anything runs, and `verify` for those in memory."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    model_validator,
)

from axiom.config import CpuSeconds, Mebibytes, SandboxConfig
from axiom.errors import DataError
from axiom.extraction import extract_code, given
from axiom.records import Case, Comparison
from axiom.values import encode, parse, unpack
from axiom.verification.verifier import Candidate, CandidateVerdict, Verifier

_SHOWN = 80


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError("it must not be empty")
    return text


def _read_cases(cases: Any) -> tuple[Case, ...]:
    """Cases as plain values, or as JSON text where a column cannot hold mixed types."""
    if isinstance(cases, str):
        try:
            cases = parse(cases)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"text that is not JSON: {error}") from None
    if not isinstance(cases, list) or not cases:
        raise ValueError('it must be a list of at least one {"args": [...], "expected": ...}')
    return tuple(_read_case(case, number) for number, case in enumerate(cases))


def _read_case(case: Any, number: int) -> Case:
    if not isinstance(case, dict) or case.keys() != {"args", "expected"}:
        raise ValueError(f'case {number} is not {{"args": [...], "expected": ...}}')
    args, expected = case["args"], case["expected"]
    try:
        if isinstance(args, str) and isinstance(expected, str):  # as in the problem files of axiom
            args, expected = parse(args), parse(expected)
        args, expected = unpack(args), unpack(expected)
        texts = encode(args), encode(expected)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"case {number} has a value that cannot be read: {error}") from None
    if type(args) is not list:
        raise ValueError(f"case {number} has args of type {type(args).__name__}; it must be a list of arguments")
    return Case(args=texts[0], expected=texts[1])


class Row(BaseModel):
    """One candidate as a row: of a file, of a table, or a dictionary."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    candidate_id: Annotated[str, AfterValidator(_not_empty)]
    entry_point: Annotated[str, AfterValidator(_not_empty)]
    cases: Annotated[tuple[Case, ...], BeforeValidator(_read_cases)]
    code: str | None = None
    completion: str | None = None
    timeout_s: CpuSeconds | None = None
    memory_mb: Mebibytes | None = None

    @model_validator(mode="after")
    def _has_one_text(self) -> Self:
        if (self.code is None) == (self.completion is None):
            raise ValueError("must have either code or completion")
        return self

    def candidate(self, comparison: Comparison) -> Candidate:
        """The row as the verifier takes it; the program of a completion is extracted here."""
        code = extract_code(self.completion, self.entry_point) if self.completion is not None else self.code
        assert code is not None
        return Candidate(
            self.candidate_id, code, self.entry_point, self.cases, comparison, self.timeout_s, self.memory_mb
        )


def verify(
    candidates: Iterable[Mapping[str, Any]], config: SandboxConfig | None = None, comparison: Comparison = "exact"
) -> list[CandidateVerdict]:
    """Run programs in the sandbox on their cases; a verdict for each candidate, in their order.

    A candidate is a row as `axiom verify` reads it: `candidate_id`, `code` (or a whole `completion`), `entry_point` and
    `cases`, a list of `{"args": [...], "expected": ...}`; optionally `timeout_s` (CPU seconds) and `memory_mb` (MiB).
    `comparison` is `exact`, by type and value, or `close`, in which floats may differ by 1e-6, relative or absolute.
    The limits of `config` hold for candidates that set none.

    Raises DataError for the first row that is not well formed, before anything runs, and SandboxError when an isolation
    layer does not hold or the machine fails. A program that fails raises nothing: that is its outcome.
    """
    rows = list(unique_rows(candidates, "candidates"))
    place = {row.candidate_id: number for number, row in enumerate(rows)}
    found: list[CandidateVerdict] = []
    with Verifier(config or SandboxConfig()) as verifier:
        programs = [row.candidate(comparison) for row in rows]
        notes = {program.candidate_id: note(program) for program in programs}
        for verdict in verifier.verify(programs):
            found.append(noted(verdict, notes[verdict.candidate_id]))
    return sorted(found, key=lambda verdict: place[verdict.candidate_id])


def unique_rows(rows: Iterable[Any], source: str, strict: bool = True) -> Iterator[Row]:
    """The rows of `source`, checked as they come; without `strict`, text is read as the number that it spells.

    Raises DataError that names the first row that is not well formed or repeats a candidate_id, counting from 1.
    """
    numbers: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            kind = type(row).__name__
            raise DataError(
                f"{source}: row {number} is a {kind}; it must be an object with the columns of `axiom verify --help`"
            )
        try:
            checked = Row.model_validate({key: row[key] for key in row if row[key] is not None}, strict=strict)
        except ValidationError as error:
            raise DataError(f"{source}: row {number} {_sentence(error)}") from None
        first = numbers.setdefault(checked.candidate_id, number)
        if first != number:
            raise DataError(f"{source}: row {number} repeats candidate_id {checked.candidate_id!r} of row {first}")
        yield checked


def _sentence(error: ValidationError) -> str:
    """What is wrong with a row, as the end of a sentence about it."""
    first = error.errors(include_url=False)[0]
    where, value = ".".join(map(str, first["loc"])), _short(first["input"])
    if first["type"] == "extra_forbidden":
        return f"has the unknown column {_short(where)}; known: {', '.join(sorted(Row.model_fields))}"
    if first["type"] == "missing":
        return f"has no {where}; see the columns of `axiom verify --help`"
    if first["type"] == "value_error":
        reason = str(first["ctx"]["error"])
        return f"has {where} {value}: {reason}" if where else reason
    return f"has {where} {value}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer beyond Python's limit, a value nested too deeply
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def note(candidate: Candidate) -> str:
    """What the verdict must say about how the program came to be; empty for one that runs as it was written."""
    names = given(candidate.code)
    return f"given from typing: {', '.join(names)}" if names else ""


def noted(verdict: CandidateVerdict, note: str) -> CandidateVerdict:
    """The verdict with `note` behind its detail."""
    return replace(verdict, detail="; ".join(filter(None, (verdict.detail, note))))
