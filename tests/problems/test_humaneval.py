"""HumanEval's own solutions pass our sandbox, and a body that returns nothing never does."""

import pytest

from axiom import values
from axiom.config import ProblemsConfig, SandboxConfig
from axiom.errors import ConfigError
from axiom.problems import audit_cases, generate_splits, prove_disjoint
from axiom.problems.benchmarks.humaneval import humaneval_problems
from axiom.problems.sources.reasoning_gym import scored
from axiom.verification import Candidate, Verifier


def verdicts(candidates):
    with Verifier(SandboxConfig()) as verifier:
        return {found.candidate_id: found for found in verifier.verify(candidates)}


def test_all_canonical_solutions_pass_and_empty_bodies_fail():
    problems = humaneval_problems()
    assert len(problems) == 164
    found = verdicts(
        Candidate(f"{kind} {p.problem_id}", code, p.entry_point, p.cases, p.comparison)
        for p in problems
        for kind, code in (
            ("canonical", p.reference_solution),
            ("empty", f"def {p.entry_point}(*args):\n    return None\n"),
        )
    )
    assert [key for key, seen in found.items() if key.startswith("canonical") and seen.outcome != "passed"] == []
    assert [key for key, seen in found.items() if key.startswith("empty") and seen.outcome == "passed"] == []


def test_no_constant_passes_humaneval():
    for problem in humaneval_problems():
        answers = {case.expected for case in problem.cases}
        assert len(answers) > 1 or len(problem.cases) == 1, problem.title


def test_answers_stay_out_of_the_prompt_and_no_second_set_is_made_up():
    for problem in humaneval_problems():
        assert problem.reference_solution.removeprefix("\n").strip() not in problem.description
        assert audit_cases(problem) == ()
        assert values.decode(problem.cases[0].args) is not None


def test_direct_answers_are_scored_by_their_own_scorer():
    config = ProblemsConfig(families=("reasoning_gym:basic_arithmetic",), train_size=12, val_size=6, test_size=6)
    splits = generate_splits(config, 1)
    assert prove_disjoint(splits)
    assert generate_splits(config, 1) == splits
    for problem in splits["train"]:
        assert problem.kind == "answer"
        assert scored(problem, f" {problem.reference_solution}\n").value == 1.0
        assert scored(problem, f"I think <answer>{problem.reference_solution}</answer>").value == 1.0
        assert scored(problem, "no idea").value == 0.0


def test_neighbouring_seeds_share_no_direct_questions():
    config = ProblemsConfig(families=("reasoning_gym:basic_arithmetic",), train_size=30, val_size=10, test_size=0)
    one, two = ({p.description for ps in generate_splits(config, seed).values() for p in ps} for seed in (4, 5))
    assert one.isdisjoint(two)


def test_a_difficulty_the_dataset_cannot_make_says_so():
    config = ProblemsConfig(families=("reasoning_gym:survo",), difficulty=(10, 10), train_size=1, val_size=1)
    with pytest.raises(ConfigError, match="reasoning-gym's dataset 'survo' cannot make difficulty 10"):
        generate_splits(config, 0)
