"""Problem + Sample -> Verdict: candidates into the sandbox, verdicts out.

`Verifier` streams: it takes candidates as they arrive, yields verdicts as they fall (out of order), and holds only as
many as its templates have room for. A candidate's failure is data; a machine's failure raises SandboxError.
"""

import ast
import functools
import hashlib
import marshal
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from axiom.config import SandboxConfig
from axiom.errors import DataError
from axiom.problems.sources import is_sourced, source_of
from axiom.records import Case, Comparison, Outcome, Problem, Sample, Verdict
from axiom.sandbox.host import Program, Run, Template
from axiom.sandbox.judge import judge, observed
from axiom.sandbox.pool import Pool, Quarantined
from axiom.values import decode, encode, same

_REMEMBERED = 50_000
_END: Any = object()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A program and the calls that decide about it. Limits left None are the config's."""

    candidate_id: str
    code: str
    entry_point: str
    cases: tuple[Case, ...]
    comparison: Comparison = "exact"
    timeout_s: float | None = None
    memory_mb: int | None = None


@dataclass(frozen=True, slots=True)
class CandidateVerdict:
    """What the sandbox saw of one candidate. Times are those of the child, in milliseconds."""

    candidate_id: str
    outcome: Outcome
    cases_passed: int
    cases_total: int
    cpu_ms: float
    wall_ms: float
    detail: str


class Verifier:
    """Sandbox templates, started and self-tested once and kept until `close`. A context manager; one call at a time."""

    def __init__(self, config: SandboxConfig | None) -> None:
        """Start the templates. Raises SandboxError when an isolation layer does not hold.

        Without a config no template is started, and a program is refused: for answers that are compared as text alone.
        """
        self._config = config or SandboxConfig()
        self._pool = Pool(config.workers, config.without) if config else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the templates. Safe to call twice."""
        if self._pool:
            self._pool.close()

    @property
    def without(self) -> tuple[str, ...]:
        """The isolation layers that the config goes without."""
        return self._config.without

    @property
    def tier(self) -> str:
        """The isolation in force: the layers that hold, joined by `+`."""
        return self._pool.tier if self._pool else "nothing runs"

    def verify(self, candidates: Iterable[Candidate | None]) -> Iterator[CandidateVerdict]:
        """A verdict for each candidate, as they fall. Takes a candidate only when a template has room for it.

        A source that has none yet but will have more gives None, so that verdicts go on falling.
        Raises DataError for a candidate without cases or with a case that is not `axiom.values` text, and
        SandboxError when the machine fails.
        """
        for candidate, run in self._runs(candidates):
            yield _verdict(candidate, run)

    def observe(self, candidates: Iterable[Candidate]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Of each candidate its id and what became of each of its calls, as they fall; nothing is compared.

        One that ended several templates has no calls. Raises as `verify` does.
        """
        for candidate, run in self._runs(candidates):
            calls = () if isinstance(run, Quarantined) else observed(run, len(candidate.cases))
            yield candidate.candidate_id, calls

    def _runs(self, candidates: Iterable[Candidate | None]) -> Iterator[tuple[Candidate, Run | Quarantined]]:
        if self._pool is not None:
            yield from self._pool.run((one, self.program(one)) if one else None for one in candidates)
            return
        for one in filter(None, candidates):
            raise DataError(f"candidate {one.candidate_id!r} is a program; it needs a Verifier with a sandbox")

    @property
    def templates(self) -> list[Template]:
        """The templates in service, for the bench and the curious."""
        return self._pool.templates if self._pool else []

    def program(self, candidate: Candidate) -> Program:
        """`candidate` as the sandbox takes it, with the config's limits where it names none."""
        if not candidate.cases:
            raise DataError(f"candidate {candidate.candidate_id!r} has no cases, so nothing could fail; give it one")
        cpu_seconds = candidate.timeout_s or self._config.cpu_seconds
        return Program(
            candidate.code,
            candidate.entry_point,
            tuple(_arguments(case.args) for case in candidate.cases),
            cpu_seconds,
            cpu_seconds * self._config.wall_factor,
            (candidate.memory_mb or self._config.memory_mb) << 20,
            self._config.output_kb << 10,
        )


@functools.lru_cache(65536)
def _arguments(text: str) -> bytes:
    """The marshalled argument list of a case."""
    arguments = _decoded(text)
    if type(arguments) is not list:
        raise DataError(f"case arguments {text[:80]!r} must encode a list, one item for each positional argument")
    return marshal.dumps(arguments)


@functools.lru_cache(65536)
def _expected(text: str) -> bytes:
    """The canonical text of an expected value, as the child would write it."""
    return encode(_decoded(text)).encode("utf-8", "surrogatepass")


def _decoded(text: str) -> Any:
    try:
        return decode(text)
    except ValueError as error:
        raise DataError(
            f"{text[:80]!r} is not the text of a value ({error}); write it with axiom.values.encode"
        ) from None


def _verdict(candidate: Candidate, run: Run | Quarantined) -> CandidateVerdict:
    total = len(candidate.cases)
    if isinstance(run, Quarantined):
        detail = f"quarantined: it ended {run.attempts} sandbox templates"
        return CandidateVerdict(candidate.candidate_id, Outcome.FORBIDDEN, 0, total, 0.0, 0.0, detail)
    found = judge(run, [_expected(case.expected) for case in candidate.cases], candidate.comparison == "close")
    return CandidateVerdict(
        candidate.candidate_id,
        found.outcome,
        found.cases_passed,
        total,
        1000 * run.cpu_seconds,
        1000 * run.wall_seconds,
        found.detail,
    )


def verify_samples(
    problems: Mapping[str, Problem],
    samples: Iterable[Sample | None],
    verifier: Verifier,
    audit: Callable[[Problem], tuple[Case, ...]] | None,
) -> Iterator[Verdict]:
    """A verdict for each sample, as they fall; None among the samples says that none is there yet.

    The same code for the same problem is run once. With `audit`, every pass is verified again on the cases it gives,
    and the verdict's `audit_passed` says how that went (null where it gives none).
    Problems of kind `answer` run no program; the scorers of datasets have a template of their own.
    """
    yield from _SampleRun(problems, verifier, audit).verdicts(iter(samples))


class _SampleRun:
    """One call of `verify_samples`: what waits, what is known, what must be audited."""

    def __init__(
        self, problems: Mapping[str, Problem], verifier: Verifier, audit: Callable[[Problem], tuple[Case, ...]] | None
    ) -> None:
        self._problems, self._verifier, self._audit = problems, verifier, audit
        self._waiting: dict[str, tuple[Problem, Sample, list[str]]] = {}
        self._known: OrderedDict[str, Verdict] = OrderedDict()
        self._passed: dict[str, CandidateVerdict] = {}
        self._audits: deque[Candidate] = deque()
        self._ready: deque[Verdict] = deque()

    def verdicts(self, samples: Iterator[Sample | None]) -> Iterator[Verdict]:
        """Run to the end, audits included."""
        more = True
        while more or self._audits:
            for found in self._verifier.verify(self._candidates(samples)):
                self._settle(found)
                yield from self._take_ready()
            yield from self._take_ready()
            more = False

    def _take_ready(self) -> Iterator[Verdict]:
        while self._ready:
            yield self._ready.popleft()

    def _candidates(self, samples: Iterator[Sample | None]) -> Iterator[Candidate | None]:
        """Audits first, then new samples; what can be answered at once never becomes a candidate."""
        while True:
            if self._audits:
                yield self._audits.popleft()
            elif (sample := next(samples, _END)) is _END:
                return
            elif sample is None:
                yield None
            elif (candidate := self._candidate(sample)) is not None:
                yield candidate

    def _candidate(self, sample: Sample) -> Candidate | None:
        problem = self._problems[sample.problem_id]
        if problem.kind == "answer":
            self._ready.append(answer_verdict(problem, sample, self._verifier.without))
            return None
        key = hashlib.sha256(f"{problem.problem_id}\0{sample.code}".encode("utf-8", "surrogatepass")).hexdigest()
        if key in self._waiting:
            self._waiting[key][2].append(sample.sample_id)
        elif key in self._known:
            self._known.move_to_end(key)
            self._ready.append(_of(sample.sample_id, self._known[key]))
        else:
            self._waiting[key] = (problem, sample, [sample.sample_id])
            return Candidate(key, sample.code, problem.entry_point, problem.cases, problem.comparison)
        return None

    def _settle(self, found: CandidateVerdict) -> None:
        key = found.candidate_id
        problem, sample, sample_ids = self._waiting[key]
        if key in self._passed:
            seen = _as_verdict(self._passed.pop(key), found.outcome == Outcome.PASSED)
        elif found.outcome == Outcome.PASSED and self._audit is not None and (cases := self._audit(problem)):
            self._passed[key] = found
            self._audits.append(Candidate(key, sample.code, problem.entry_point, cases, problem.comparison))
            return
        else:
            seen = _as_verdict(found, None)
        del self._waiting[key]
        self._known[key] = seen
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        self._ready.extend(_of(sample_id, seen) for sample_id in sample_ids)


def _as_verdict(found: CandidateVerdict, audit_passed: bool | None) -> Verdict:
    told = asdict(found)
    return Verdict(sample_id=told.pop("candidate_id"), **told, audit_passed=audit_passed)


def _of(sample_id: str, verdict: Verdict) -> Verdict:
    """The verdict of another sample with the same program."""
    return verdict.model_copy(update={"sample_id": sample_id})


def answer_verdict(problem: Problem, sample: Sample, without: tuple[str, ...] = ()) -> Verdict:
    """Judge a completion that is itself the answer: by its source in the sandbox, else as literal or text.

    `without` names the isolation layers that the scorer's sandbox goes without.
    """
    text = (sample.code or sample.completion).strip()
    if is_sourced(problem.family):
        found = source_of(problem.family).judge(problem, text, without)
        outcome, detail = found.outcome, found.detail
    else:
        expected = decode(problem.expected_output)
        passed = (type(expected) is str and text == expected.strip()) or same_literal(text, expected)
        outcome, detail = (Outcome.PASSED if passed else Outcome.WRONG_ANSWER), ""
    return Verdict(
        sample_id=sample.sample_id,
        outcome=outcome,
        cases_passed=int(outcome == Outcome.PASSED),
        cases_total=1,
        cpu_ms=0.0,
        wall_ms=0.0,
        detail="" if outcome == Outcome.PASSED else detail or f"got {text[:200]}",
    )


def same_literal(text: str, expected: Any) -> bool:
    """Whether `text` is a Python literal of the type and value of `expected`."""
    try:
        return same(ast.literal_eval(text), expected)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
