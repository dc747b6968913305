"""One row type per arrow of the pipeline, each with the Arrow schema it has on disk.

    problems ─► samples ─► verdicts ─► history ─► gold ─► adapter (+ LossStep) ─► evaluation ─► metrics ─► events

Stages meet only through these. Values inside a row (arguments, results, variants) are `axiom.values` JSON text.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar, Literal, Self

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
    """A frozen row. `SCHEMA` is its Arrow schema, column for field."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    SCHEMA: ClassVar[pa.Schema]
    FORMER: ClassVar[Mapping[str, str]] = {}
    """Names that columns had in files of earlier versions, to those they have now."""

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


_CASES = pa.list_(pa.struct([pa.field("args", pa.string(), False), pa.field("expected", pa.string(), False)]))


def _schema(**columns: pa.DataType) -> pa.Schema:
    """Column names to types; a name that ends in an underscore may be null."""
    return pa.schema([pa.field(name.removesuffix("_"), kind, name.endswith("_")) for name, kind in columns.items()])


class Problem(Record):
    """A task for the model. `cases` is hidden from it and decides; `shown` stands in the prompt.

    `kind` is `program` (write a function, run in the sandbox) or `answer` (the completion is the answer).
    `comparison` is `exact` in type and value, or `close` (floats within 1e-6 relative or absolute).
    """

    problem_id: str
    family: str
    variant: str
    difficulty: int
    split: Split
    title: str
    description: str
    signature: str
    entry_point: str
    kind: ProblemKind = "program"
    comparison: Comparison = "exact"
    shown: tuple[Case, ...]
    cases: tuple[Case, ...]
    reference_solution: str
    input_data: str
    expected_output: str

    SCHEMA: ClassVar[pa.Schema] = _schema(
        problem_id=pa.string(),
        family=pa.string(),
        variant=pa.string(),
        difficulty=pa.int8(),
        split=pa.string(),
        title=pa.string(),
        description=pa.string(),
        signature=pa.string(),
        entry_point=pa.string(),
        kind=pa.string(),
        comparison=pa.string(),
        shown=_CASES,
        cases=_CASES,
        reference_solution=pa.string(),
        input_data=pa.string(),
        expected_output=pa.string(),
    )


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
    seed: int
    temperature: float
    policy_version: str
    thinking_tokens: int = 0

    SCHEMA: ClassVar[pa.Schema] = _schema(
        sample_id=pa.string(),
        problem_id=pa.string(),
        iteration=pa.int32(),
        purpose=pa.string(),
        index=pa.int32(),
        completion=pa.string(),
        code=pa.string(),
        token_count=pa.int32(),
        logprob_=pa.float64(),
        finish_reason=pa.string(),
        seed=pa.int64(),
        temperature=pa.float64(),
        policy_version=pa.string(),
        thinking_tokens=pa.int32(),
    )


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

    SCHEMA: ClassVar[pa.Schema] = _schema(
        sample_id=pa.string(),
        outcome=pa.string(),
        cases_passed=pa.int32(),
        cases_total=pa.int32(),
        cpu_ms=pa.float64(),
        wall_ms=pa.float64(),
        detail=pa.string(),
        audit_passed_=pa.bool_(),
    )


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

    SCHEMA: ClassVar[pa.Schema] = _schema(
        sample_id=pa.string(),
        problem_id=pa.string(),
        iteration=pa.int32(),
        weight=pa.float64(),
        reason=pa.string(),
        target=pa.string(),
        completion=pa.string(),
    )


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
    difficulty: int
    draws: int = 0
    passes: int = 0
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

    SCHEMA: ClassVar[pa.Schema] = _schema(
        problem_id=pa.string(),
        family=pa.string(),
        difficulty=pa.int8(),
        draws=pa.int64(),
        passes=pa.int64(),
        last_round_=pa.int32(),
        last_draws=pa.int32(),
        last_passes=pa.int32(),
        recent_draws=pa.float64(),
        recent_passes=pa.float64(),
        first_solved_=pa.int32(),
        last_solved_=pa.int32(),
        draws_streak=pa.int32(),
        draws_stable_=pa.int32(),
        draws_lost_=pa.int32(),
        evaluations_streak=pa.int32(),
        evaluations_stable_=pa.int32(),
        evaluations_lost_=pa.int32(),
        level_=pa.int32(),
        level_since_=pa.int32(),
        level_before_=pa.int32(),
    )


class PassedOver(Record):
    """An accepted sample that does not train, and `why`: `axiom.selection.passed_over` says which reasons there are."""

    sample_id: str
    problem_id: str
    why: str
    same_as: str | None

    SCHEMA: ClassVar[pa.Schema] = _schema(
        sample_id=pa.string(), problem_id=pa.string(), why=pa.string(), same_as_=pa.string()
    )


class LossStep(Record):
    """One optimizer step. `loss` is the mean over `loss_tokens` completion tokens, in nats."""

    iteration: int
    step: int
    loss: float
    learning_rate: float
    examples: int
    loss_tokens: int
    tokens: int
    grad_norm: float

    SCHEMA: ClassVar[pa.Schema] = _schema(
        iteration=pa.int32(),
        step=pa.int64(),
        loss=pa.float64(),
        learning_rate=pa.float64(),
        examples=pa.int32(),
        loss_tokens=pa.int64(),
        tokens=pa.int64(),
        grad_norm=pa.float64(),
    )


class Evaluation(Record):
    """One problem under one policy: `correct` of `n` samples, and whether the greedy one is (null if not run)."""

    problem_id: str
    split: Split
    family: str
    difficulty: int
    n: int
    correct: int
    greedy_correct: bool | None

    SCHEMA: ClassVar[pa.Schema] = _schema(
        problem_id=pa.string(),
        split=pa.string(),
        family=pa.string(),
        difficulty=pa.int8(),
        n=pa.int32(),
        correct=pa.int32(),
        greedy_correct_=pa.bool_(),
    )


class Distance(Record):
    """How far a policy is from the base model on one problem: a mean over `positions` of its greedy answer.

    `kl` is KL(policy || base) in nats of the next token, over the whole vocabulary.
    """

    problem_id: str
    positions: int
    kl: float

    SCHEMA: ClassVar[pa.Schema] = _schema(problem_id=pa.string(), positions=pa.int32(), kl=pa.float64())


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

    SCHEMA: ClassVar[pa.Schema] = _schema(
        problem_id=pa.string(),
        samples=pa.int32(),
        programs=pa.int32(),
        behaviours_=pa.int32(),
        program_entropy=pa.float64(),
        behaviour_entropy_=pa.float64(),
        characters=pa.float64(),
    )


class Metric(Record):
    """One number with its interval. `family` and `difficulty` are null where the number pools over them.

    The four counters are cumulative up to the policy that was measured: optimizer steps taken; tokens that went
    through the trainer, prompts included; tokens sampled on training problems, those of evaluations left out; and
    seconds by the wall clock that sampling on training problems and training took, on whatever device.
    """

    iteration: int
    optimizer_step: int
    trained_tokens: int
    generated_tokens: int
    wall_seconds: float
    split: str | None
    family: str | None
    difficulty: int | None
    name: str
    value: float
    low: float | None
    high: float | None
    n: int | None

    SCHEMA: ClassVar[pa.Schema] = _schema(
        iteration=pa.int32(),
        optimizer_step=pa.int64(),
        trained_tokens=pa.int64(),
        generated_tokens=pa.int64(),
        wall_seconds=pa.float64(),
        split_=pa.string(),
        family_=pa.string(),
        difficulty_=pa.int8(),
        name=pa.string(),
        value=pa.float64(),
        low_=pa.float64(),
        high_=pa.float64(),
        n_=pa.int64(),
    )
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

    SCHEMA: ClassVar[pa.Schema] = _schema(
        iteration=pa.int32(),
        kind=pa.string(),
        estimate_=pa.float64(),
        low_=pa.float64(),
        high_=pa.float64(),
        detail=pa.string(),
    )


RECORDS: Sequence[type[Record]] = (
    Problem,
    Sample,
    Verdict,
    History,
    Gold,
    PassedOver,
    LossStep,
    Evaluation,
    Metric,
    Event,
)
