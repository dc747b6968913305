"""Every dataset of reasoning-gym is tried with hostile text: none of it runs, hangs or scores itself."""

import contextlib
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

from axiom.errors import ConfigError
from axiom.problems.cases.building import Plan
from axiom.problems.sources.reasoning_gym import REFUSED, QuestionSource, check_dataset, scored, scoring
from axiom.problems.sources.reasoning_gym.scoring import SOLVED, scorer
from axiom.records import Outcome, Problem, Sample
from axiom.verification import answer_verdict

MARK = Path("/tmp/axiom_attack")
SHELL = f"__import__('os').system('touch {MARK}')"
PROGRAMS = (
    SHELL,
    f"[{SHELL}]",
    f"[[{SHELL}]]",
    f"[open('{MARK}', 'w')]",
    "[().__class__.__base__.__subclasses__()]",
    "().__class__.__base__.__subclasses__()",
    f"exec({SHELL!r})",
    "(lambda: 1)()",
    "[x for x in [1]]",
    "[*range(3)]",
    f"S({SHELL!r})",
    f"sin({SHELL!r})",
    f"Symbol('x').subs({SHELL!r}, 1)",
    f"f'{{{SHELL}}}'",
    f"x + {SHELL}",
    f"(x := {SHELL})",
    f'{{"a": {SHELL}}}',
    f"!!python/object/apply:os.system ['touch {MARK}']",
)
"""Each leaves its mark, or ends the child as forbidden, where it is evaluated."""
CHEATS = (
    *(f"sympify(__import__('sys')._getframe({depth}).f_locals['entry']['answer'])" for depth in range(1, 6)),
    *(f"parse_expr(__import__('sys')._getframe({depth}).f_locals['entry']['answer'])" for depth in range(1, 6)),
    "entry['answer']",
    "list(entry['answer'])",
    "[*entry['answer'].split()]",
    "[c for c in entry['answer']]",
    "[row.split() for row in entry['answer'].split('\\n')]",
    "[list(row) for row in entry['answer'].split('\\n')]",
)
"""Each takes the answer that lies beside it, where it is evaluated."""
BOMBS = (
    "9**9**9**9",
    "[0] * 10**10",
    "'a' * 10**11",
    "factorial(10**8)",
    "(" * 100_000,
    "[" * 100_000,
    "9" * 200_000,
    '{"a":' * 50_000,
    "-" * 100_000 + "1",
    "exp(" * 400 + "x" + ")" * 400,
    "1e999999999",
    "NaN",
    "-Infinity",
    "a\0b",
    "\ud800",
    "a" * 200_000,
    "a a " * 50_000,
    "\n" * 100_000,
    "((a+)+)+$" * 1000,
    "%s%n" * 1000,
    "\u202e" * 1000,
    "{" + "{0}" * 1000,
    "\\frac{" * 1000,
    "move(" * 10_000,
    "1 " * 50_000,
    "",
    "<answer>",
    "[[[]]]",
    "{}",
    "null",
)
"""Costs much or breaks what reads it."""


EVALUATE = {
    "binary_matrix",
    "countdown",
    "intermediate_integration",
    "n_queens",
    "polynomial_multiplication",
    "puzzle24",
    "simple_integration",
    "spiral_matrix",
    "string_insertion",
}
"""Datasets whose scorer calls `eval` or sympy's parser on the answer."""


def question(name: str) -> Problem:
    for level in (3, 1, 5, 2, 8, 10):
        with contextlib.suppress(ConfigError):
            return QuestionSource(f"reasoning_gym:{name}", (level, level), 7, set()).draw(Plan("train", 1))
    raise ConfigError(f"{name} makes no question")


@pytest.fixture(scope="module")
def questions() -> dict[str, Problem]:
    """One question of every dataset."""
    from reasoning_gym.factory import DATASETS  # with matplotlib: half a second for each process of the tests

    return {name: question(name) for name in sorted(DATASETS.keys() - REFUSED)}


@pytest.fixture
def nothing_ran() -> Iterator[None]:
    MARK.unlink(missing_ok=True)
    yield
    assert not MARK.exists()


def tried(problems: Iterable[Problem], text: str) -> None:
    """No score is won, no call that only a running program makes was stopped, and the scorer goes on working."""
    for problem in problems:
        found = scored(problem, text)
        assert found.outcome not in {Outcome.PASSED, Outcome.FORBIDDEN}, (problem.family, text[:80], found)
        assert 0.0 <= found.value < SOLVED, (problem.family, text[:80], found)


@pytest.mark.parametrize("name", REFUSED)
def test_a_dataset_that_cannot_be_used_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}' cannot be used: "):
        check_dataset(f"reasoning_gym:{name}")


@pytest.mark.parametrize(
    "text", ["nan", *(pytest.param(t, marks=pytest.mark.slow) for t in ("no idea", "nan+nanj", "[nan]"))]
)
def test_no_dataset_takes_any_text_for_right(questions: dict[str, Problem], text: str) -> None:
    tried(questions.values(), text)


@pytest.mark.slow
def test_the_right_answer_of_every_dataset_is_right_in_the_sandbox(questions: dict[str, Problem]) -> None:
    wrong = {n for n, p in questions.items() if scored(p, p.reference_solution).value < SOLVED}
    assert {questions[name].reference_solution for name in wrong} <= {"None"}  # these datasets give no answer
    assert not wrong & EVALUATE


TEXTS = [*PROGRAMS, *CHEATS, *BOMBS]


def test_no_text_of_any_kind_runs_scores_itself_or_stops_the_scorer(
    questions: dict[str, Problem], nothing_ran: None
) -> None:
    """Of each kind a few."""
    for text in TEXTS[::9]:
        tried((questions[name] for name in sorted(EVALUATE)), text)


SHARE = 4


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARE))
def test_every_dataset_withstands_texts_of_every_kind(
    questions: dict[str, Problem], nothing_ran: None, share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each text on a quarter of the datasets, and on all of those that evaluate.

    What would compute for ever is ended sooner than in a run.
    """
    monkeypatch.setattr(scoring, "_CPU_SECONDS", 0.5)
    for number, text in enumerate(TEXTS):
        if number % SHARE == share:
            others = sorted(questions.keys() - EVALUATE)[number // SHARE % SHARE :: SHARE]
            tried((questions[name] for name in (*sorted(EVALUATE), *others)), text)


@pytest.mark.long
@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text[:20]))
def test_every_dataset_withstands_every_text(questions: dict[str, Problem], nothing_ran: None, text: str) -> None:
    tried(questions.values(), text)


@pytest.mark.slow
def test_a_verdict_says_how_the_scorer_ended(questions: dict[str, Problem]) -> None:
    sample = partial(
        Sample,
        sample_id="a",
        problem_id="p",
        iteration=0,
        purpose="train",
        index=0,
        code="",
        token_count=1,
        logprob=None,
        finish_reason="stop",
        seed=0,
        temperature=1.0,
        policy_version="",
    )
    problem = questions["countdown"]
    outcomes = [
        answer_verdict(problem, sample(completion=text)).outcome
        for text in (problem.reference_solution, "1", "9**9**9**9", SHELL)
    ]
    assert outcomes == [Outcome.PASSED, Outcome.WRONG_ANSWER, Outcome.TIMEOUT, Outcome.WRONG_ANSWER]


def test_a_scorer_that_dies_is_started_again(questions: dict[str, Problem]) -> None:
    problem = questions["countdown"]
    assert scored(problem, problem.reference_solution).value == SOLVED
    template = scorer(())._template
    assert template is not None
    template.process.kill()
    template.process.wait()
    assert scored(problem, problem.reference_solution).value == SOLVED
