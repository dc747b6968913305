"""What programs return for calls that no test asks for: programs that pass the same tests may still differ there."""

from collections.abc import Iterable, Mapping, Sequence

from axiom.problems.cases.building import probe_calls
from axiom.records import Case, Problem, Sample
from axiom.verification.verifier import Candidate, Verifier


def behaviour(
    problems: Mapping[str, Problem], samples: Iterable[Sample], verifier: Verifier
) -> dict[str, Sequence[str]]:
    """By sample id, what became of each call of the problem's probe set, run in the sandbox.

    Samples of problems without a probe set (answers, hand-crafted problems) are left out. Raises SandboxError when the
    machine fails.
    """
    candidates = (
        Candidate(
            sample.sample_id, sample.code, problem.entry_point, tuple(Case(args=c, expected="null") for c in calls)
        )
        for sample in samples
        for problem in [problems[sample.problem_id]]
        if (calls := probe_calls(problem))
    )
    return dict(verifier.observe(candidates))
