"""One row type per arrow of the pipeline, each with the Arrow schema it has on disk.

    problems ─► samples ─► verdicts ─► history ─► gold ─► adapter (+ LossStep) ─► evaluation ─► metrics ─► events

Stages meet only through these. Values inside a row (arguments, results, variants) are `axiom.values` JSON text.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache
from types import NoneType
from typing import Annotated, Any, ClassVar, Literal, Self, get_args, get_origin, get_type_hints

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, TypeAdapter

Split = Literal["train", "val", "test", "ood_cases", "ood_longer", "ood_composed", "ood_family", "humaneval"]
ProblemKind = Literal["program", "answer"]
Comparison = Literal["exact", "close"]
Purpose = Literal["train", "eval"]


class Outcome(StrEnum):
    """What became of a candidate. Only `passed` is a solution; none of these is a machine's failure."""

    PASSED = "passed"
    WRONG_ANSWER = "wrong_answer"
    RUNTIME_ERROR = "runtime_error"
    TIMEOUT = "timeout"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    SYNTAX_ERROR = "syntax_error"
    MISSING_FUNCTION = "missing_function"
    FORBIDDEN = "forbidden"


class Record(BaseModel):
    """A frozen row. `SCHEMA` is its Arrow schema, column for field, null where the field may be None."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    SCHEMA: ClassVar[pa.Schema]
    FORMER: ClassVar[Mapping[str, str]] = {}
    """Names that columns had in files of earlier versions, to those they have now."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        hints = get_type_hints(cls, include_extras=True)
        cls.SCHEMA = pa.schema([_column(name, hints[name]) for name in cls.model_fields])

    @classmethod
    def to_table(cls, rows: Iterable[Self]) -> pa.Table:
        """Rows as an Arrow table of this record's schema; column by column, which is twice as quick as row by row."""
        kept = list(rows)
        columns = {name: [_plain(getattr(row, name)) for row in kept] for name in cls.SCHEMA.names}
        return pa.table(columns, schema=cls.SCHEMA)

    @classmethod
    def from_table(cls, table: pa.Table) -> list[Self]:
        """The rows of `table`, validated; all in one call, which is twice as quick as row by row."""
        rows: list[Self] = _rows_of(cls).validate_python(table.to_pylist())
        given = set(cls.model_fields)
        for row in rows:  # one set for all, since a row's own takes as much memory as its values
            object.__setattr__(row, "__pydantic_fields_set__", given)
        return rows


@cache
def _rows_of(record: type[Record]) -> TypeAdapter[Any]:
    return TypeAdapter(list[record])  # type: ignore[valid-type]


def _plain(value: Any) -> Any:
    """A field as Arrow takes it: models inside a tuple as dictionaries."""
    return [vars(item) if isinstance(item, BaseModel) else item for item in value] if type(value) is tuple else value


class Case(BaseModel):
    """One call: `args` encodes the list of positional arguments, `expected` the value that must come back."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    args: str
    expected: str


Int8 = Annotated[int, pa.int8()]
Int64 = Annotated[int, pa.int64()]
Cases = Annotated[
    tuple[Case, ...],
    pa.list_(pa.struct([pa.field("args", pa.string(), False), pa.field("expected", pa.string(), False)])),
]
_NUMBERS = {int: pa.int32(), float: pa.float64(), bool: pa.bool_()}


def _column(name: str, kind: Any) -> pa.Field:
    """The Arrow column of a field of this type: as the annotation says, else a number or text."""
    nullable = NoneType in get_args(kind)
    if nullable:
        kind = next(part for part in get_args(kind) if part is not NoneType)
    named = get_origin(kind) is Annotated
    return pa.field(name, kind.__metadata__[0] if named else _NUMBERS.get(kind, pa.string()), nullable)


class Problem(Record):
    """A task for the model. `cases` is hidden from it and decides; `shown` stands in the prompt.

    `kind` is `program` (write a function, run in the sandbox) or `answer` (the completion is the answer).
    `comparison` is `exact` in type and value, or `close` (floats within 1e-6 relative or absolute).
    """

    problem_id: str
    family: str
    variant: str
    difficulty: Int8
    split: Split
    title: str
    description: str
    signature: str
    entry_point: str
    kind: ProblemKind = "program"
    comparison: Comparison = "exact"
    shown: Cases
    cases: Cases
    reference_solution: str
    input_data: str
    expected_output: str


class Sample(Record):
    """One completion. `logprob` is the sum over its tokens; `policy_version` names the weights that wrote it.

    `thinking_tokens` of the `token_count` are reasoning, counted where `sampling.thinking_tokens` gives it a budget.
    """

    sample_id: str
    problem_id: str
    iteration: int
    purpose: Purpose
    index: int
    completion: str
    code: str
    token_count: int
    logprob: float | None
    finish_reason: Literal["stop", "length"]
    seed: Int64
    temperature: float
    policy_version: str
    thinking_tokens: int = 0


class Verdict(Record):
    """What the sandbox saw. `audit_passed` is the second hidden set's word on a pass, null where it was not asked."""

    sample_id: str
    outcome: Outcome
    cases_passed: int
    cases_total: int
    cpu_ms: float
    wall_ms: float
    detail: str
    audit_passed: bool | None = None


class Gold(Record):
    """A program that trains the next policy. `iteration` is where it was sampled.

    `target` is the program, or the bare answer. `completion` is the model's own text up to the program's end, empty for
    what no model wrote; `training.target` says which of the two is learnt.
    """

    sample_id: str
    problem_id: str
    iteration: int
    weight: float
    reason: str
    target: str
    completion: str = ""


class History(Record):
    """What is known of one training problem after a round, from all rounds and evaluations up to it.

    A sample that passed counts as a pass if no audit failed it. `recent_draws` and `recent_passes` are discounted, see
    `axiom.selection.history`. A problem is *solved stably* from the second in a row of its draws (of its evaluations)
    that solved it: `draws_stable` (`evaluations_stable`) is the first such iteration, and `draws_lost`
    (`evaluations_lost`) the iteration that failed to solve it since, null again once it is solved stably again.
    `level` of the curriculum was in force in the round, and has been since `level_since`, when it followed on
    `level_before`; the same in all rows, and null without levels.
    """

    problem_id: str
    family: str
    difficulty: Int8
    draws: Int64 = 0
    passes: Int64 = 0
    last_round: int | None = None
    last_draws: int = 0
    last_passes: int = 0
    recent_draws: float = 0.0
    recent_passes: float = 0.0
    first_solved: int | None = None
    last_solved: int | None = None
    draws_streak: int = 0
    draws_stable: int | None = None
    draws_lost: int | None = None
    evaluations_streak: int = 0
    evaluations_stable: int | None = None
    evaluations_lost: int | None = None
    level: int | None = None
    level_since: int | None = None
    level_before: int | None = None


class PassedOver(Record):
    """An accepted sample that does not train, and `why`: `axiom.selection.passed_over` says which reasons there are."""

    sample_id: str
    problem_id: str
    why: str
    same_as: str | None


class LossStep(Record):
    """One optimizer step. `loss` is the mean over `loss_tokens` completion tokens, in nats."""

    iteration: int
    step: Int64
    loss: float
    learning_rate: float
    examples: int
    loss_tokens: Int64
    tokens: Int64
    grad_norm: float


class Evaluation(Record):
    """One problem under one policy: `correct` of `n` samples, and whether the greedy one is (null if not run)."""

    problem_id: str
    split: Split
    family: str
    difficulty: Int8
    n: int
    correct: int
    greedy_correct: bool | None


class Distance(Record):
    """How far a policy is from the base model on one problem: a mean over `positions` of its greedy answer.

    `kl` is KL(policy || base) in nats of the next token, over the whole vocabulary.
    """

    problem_id: str
    positions: int
    kl: float


class Diversity(Record):
    """How many different programs the accepted samples of one training problem are, in one round.

    `programs` differ in their syntax trees, `behaviours` in what they return for the calls of the family's probe set
    (null where the programs were not run). Each entropy, in nats, is that of the samples' shares. `characters` is the
    mean length of the programs.
    """

    problem_id: str
    samples: int
    programs: int
    behaviours: int | None
    program_entropy: float
    behaviour_entropy: float | None
    characters: float


class Metric(Record):
    """One number with its interval. `family` and `difficulty` are null where the number pools over them.

    The four counters are cumulative up to the policy that was measured: optimizer steps taken; tokens that went
    through the trainer, prompts included; tokens sampled on training problems, those of evaluations left out; and
    seconds by the wall clock that sampling on training problems and training took, on whatever device.
    """

    iteration: int
    optimizer_step: Int64
    trained_tokens: Int64
    generated_tokens: Int64
    wall_seconds: float
    split: str | None
    family: str | None
    difficulty: Int8 | None
    name: str
    value: float
    low: float | None
    high: float | None
    n: Int64 | None
    FORMER: ClassVar[Mapping[str, str]] = {"gpu_seconds": "wall_seconds"}

    @property
    def pooled(self) -> bool:
        """Whether it is of all families and difficulties together."""
        return self.family is None and self.difficulty is None


NARROW = 0.02
"""Width of an interval below which its ends are told in tenths of a percent."""


def with_interval(metric: Metric) -> str:
    """A share with its interval in percent: `57% [42, 71]`, and `1.1% [0.8, 1.3]` where whole percents hide it."""
    low, high = metric.low or 0.0, 1.0 if metric.high is None else metric.high
    digits = 1 if 0 < high - low < NARROW else 0
    return f"{metric.value:.{digits}%} [{100 * low:.{digits}f}, {100 * high:.{digits}f}]"


class Event(Record):
    """Something the detector saw at `iteration`; `estimate` with its interval is a time in iterations.

    `memorised`, `generalised` and `transition` are the verdict on the curve so far; `alarm` and `revoked` were raised
    while it grew.
    """

    iteration: int
    kind: str
    estimate: float | None
    low: float | None
    high: float | None
    detail: str
