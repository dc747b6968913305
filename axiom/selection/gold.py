"""Which accepted samples train the next policy. Pure: the same rows in give the same rows out."""

import ast
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from axiom.config import SelectionConfig
from axiom.records import Gold, Outcome, Problem, Sample, Verdict
from axiom.rows import by_problem, where
from axiom.selection.strategies import Known, chosen, limited

AT_ONCE = 20_000
"""Programs that a strategy looks at together, unless one problem has more."""


def accepted(samples: Sequence[Sample], verdicts: Iterable[Verdict]) -> Sequence[Sample]:
    """Samples whose program passed, and passed the audit too where it was asked."""
    return where(samples, "sample_id", accepted_ids(verdicts))


def accepted_ids(verdicts: Iterable[Verdict]) -> set[str]:
    """The samples of those verdicts, by their ids."""
    return {v.sample_id for v in verdicts if v.outcome is Outcome.PASSED and v.audit_passed is not False}


def select(
    candidates: Sequence[Sample],
    config: SelectionConfig,
    reason: str = "verified",
    problems: Mapping[str, Problem] | None = None,
    known: Known | None = None,
) -> list[Gold]:
    """At most `max_per_problem` distinct programs of each problem and `max_rows` in all, by `config.strategy`.

    Two programs are one if their syntax trees agree once docstrings, comments and layout are gone. Of equal programs
    the shortest text stands for all; of `problems` those of kind `answer` keep their bare text. `known` is what the
    strategies go by beside the candidates. Problems keep the order they came in, so the result depends on nothing else.
    """
    bare = {key for key, problem in (problems or {}).items() if problem.kind == "answer"}
    known, kept, some = known or Known(), dict[str, list[Sample]](), dict[str, list[Sample]]()
    for problem_id, found in by_problem(candidates):
        some[problem_id] = _distinct(found, bare)
        if sum(map(len, some.values())) >= AT_ONCE:
            kept |= chosen(some, config, known)
            some = {}
    kept = limited(kept | chosen(some, config, known), config, known)
    why = reason if config.strategy == "shortest" else f"{reason}, {config.strategy}"
    return [to_gold(sample, why) for key in list(kept) for sample in kept.pop(key)]  # a sample's memory is free then


def _distinct(samples: Sequence[Sample], bare: Collection[str]) -> list[Sample]:
    """A problem's programs, each by its shortest text; the shortest first."""
    programs: dict[str, Sample] = {}
    for sample in sorted(samples, key=lambda s: (len(s.code), s.code, s.sample_id)):
        programs.setdefault(identity(sample, bare), sample)
    return list(programs.values())


def identity(sample: Sample, bare: Collection[str] = ()) -> str:
    """What two samples of one problem share if they are one program; for the problems `bare`, if their texts agree."""
    return sample.code if sample.problem_id in bare else fingerprint(sample.code)


def program_of(row: Gold, problems: Mapping[str, Problem]) -> tuple[str, str]:
    """The problem of a row and what it shares with other rows of the problem if they are one program."""
    bare = problems[row.problem_id].kind == "answer"
    return row.problem_id, row.target if bare else fingerprint(row.target)


def to_gold(sample: Sample, reason: str) -> Gold:
    """The row that trains on a sample."""
    return Gold(
        sample_id=sample.sample_id,
        problem_id=sample.problem_id,
        iteration=sample.iteration,
        weight=1.0,
        reason=reason,
        target=sample.code,
        completion=up_to_program(sample.completion, sample.code),
    )


def well_formed(problem: Problem, code: str) -> bool:
    """Whether `code` parses and defines the problem's function at its top level; of an answer, whether it has text."""
    if problem.kind == "answer":
        return bool(code.strip())
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # unverified code, or nested past the parser's limit
        return False
    return any(problem.entry_point in _functions(node) for node in body)


def _functions(node: ast.stmt) -> list[str]:
    """Names that a statement binds to a function."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return [node.name]
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []


def up_to_program(completion: str, code: str) -> str:
    """The completion up to the end of its program, with the fence that closes it."""
    text = completion.replace("\r\n", "\n")
    last = next((line.strip() for line in reversed(code.split("\n")) if line.strip()), "")
    start = text.find(code.strip())
    end = start + len(code.strip()) if start >= 0 else text.rfind(last) + len(last)
    if end < len(last):
        return completion
    fence = re.match(r"[^\n]*(\n+[ \t>]*(```+|~~~+))?", text[end:])
    assert fence is not None
    return text[: end + fence.end()]


def fingerprint(code: str) -> str:
    """The program's syntax tree as text, without docstrings, comments and layout; the code itself if it has no tree."""
    try:
        return ast.dump(_without_docstrings(ast.parse(code)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # unverified code, or nested past the parser's limit
        return code


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)) and len(node.body) > 1:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                del node.body[0]
    return tree
