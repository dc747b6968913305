"""The arms: laws over the registry with small real rows, and the ledger that proves the yoke."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axiom.arms import ARMS, Harvest, Quota
from axiom.arms.yoke import draw
from axiom.config import ExperimentConfig, ModelConfig, ModularConfig, SamplingConfig, SelectionConfig
from axiom.errors import ConfigError
from axiom.ledger import Entry, disagreement, totals
from axiom.modular import make_modular_problems
from axiom.records import Gold, Outcome, Sample, Verdict

CONFIG = ExperimentConfig(
    model=ModelConfig(kind="modular"), modular=ModularConfig(p=5), iterations=3,
    sampling=SamplingConfig(samples_per_problem=2), selection=SelectionConfig(replay=10),
)  # fmt: skip
SPLITS = make_modular_problems(CONFIG)
PROBLEMS = {problem.problem_id: problem for rows in SPLITS.values() for problem in rows}
TRAIN = SPLITS["train"]


def sample(problem, index, text, iteration=1):
    return Sample(
        sample_id=f"{iteration}:{problem.problem_id}:{index}", problem_id=problem.problem_id, iteration=iteration,
        purpose="train", index=index, completion=text, code=text, token_count=1, logprob=-1.0, finish_reason="stop",
        seed=0, temperature=1.0, policy_version="base",
    )  # fmt: skip


def judged(sample):
    good = sample.code == PROBLEMS[sample.problem_id].expected_output
    outcome = Outcome.PASSED if good else Outcome.WRONG_ANSWER
    return Verdict(
        sample_id=sample.sample_id, outcome=outcome, cases_passed=int(good), cases_total=1, cpu_ms=0.0, wall_ms=0.0,
        detail="",
    )  # fmt: skip


def harvest(**changed):
    """Every other training problem solved once, all answered `0` once more."""
    rows = [sample(p, 0, p.expected_output if n % 2 else "4") for n, p in enumerate(TRAIN)]
    rows += [sample(p, 1, "0") for p in TRAIN]
    made = Harvest(CONFIG, 1, PROBLEMS, rows, [judged(row) for row in rows], [], [], None)
    return dataclasses.replace(made, **changed)


def gold_of(name, found):
    """The gold of a first round of the arm, its pool filled where it has one."""
    arm = ARMS[name]
    if arm.pool is None:
        return arm.select(found)
    expert = ARMS["expert_iteration"].select(found)
    return arm.select(dataclasses.replace(found, pool=arm.pool(found, expert)))


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_is_repeatable_and_trains_on_training_problems_alone(name):
    gold = gold_of(name, harvest())
    assert gold == gold_of(name, harvest())
    assert {PROBLEMS[row.problem_id].split for row in gold} <= {"train"}
    assert bool(gold) == (name != "frozen")


@pytest.mark.parametrize("name", ["expert_iteration", "static_rft", "sft_reference", "shuffled_replay"])
def test_what_a_verified_arm_teaches_is_right(name):
    assert all(row.target == PROBLEMS[row.problem_id].expected_output for row in gold_of(name, harvest()))


def test_unverified_and_random_accept_teach_errors_too():
    for name in ("unverified", "random_accept"):
        gold = gold_of(name, harvest())
        assert any(row.target != PROBLEMS[row.problem_id].expected_output for row in gold)
    assert len(gold_of("random_accept", harvest())) == len(gold_of("expert_iteration", harvest()))
    assert len(gold_of("random_accept", harvest(quota=Quota(3, 3, 3)))) == 3


def test_reference_solutions_cover_every_training_problem():
    assert {row.problem_id for row in gold_of("sft_reference", harvest())} == {p.problem_id for p in TRAIN}


def test_shuffled_replay_needs_an_expert_run():
    with pytest.raises(ConfigError, match="set yoke"):
        ARMS["shuffled_replay"].pool(harvest(), [])


def test_static_rft_draws_the_whole_run_from_the_base_model_at_once():
    arm, expert = ARMS["static_rft"], ARMS["expert_iteration"]
    assert arm.policy == "base"
    rounds = range(1, CONFIG.iterations + 1)
    assert sum(arm.draws(CONFIG, n) for n in rounds) == sum(expert.draws(CONFIG, n) for n in rounds)
    assert [arm.draws(CONFIG, n) for n in rounds] == [6, 0, 0]


def pool(sizes):
    return [
        Gold(sample_id=f"{p}.{k}", problem_id=f"p{p}", iteration=1, weight=1.0, reason="static", target=f"{p}.{k}")
        for p, size in enumerate(sizes)
        for k in range(size)
    ]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12), st.integers(0, 12), st.integers(0, 40), st.integers(0, 99))
def test_a_quota_is_met_in_examples_and_in_problems_as_far_as_they_go(sizes, problems, extra, seed):
    quota = Quota(problems, problems + extra if problems else 0, 0)
    rows = draw(pool(sizes), quota, seed)
    assert len(rows) == quota.examples
    assert len({row.problem_id for row in rows}) == min(problems, len(sizes))


@given(st.lists(st.integers(1, 4), min_size=3, max_size=12), st.integers(0, 99))
def test_a_larger_quota_holds_a_smaller_ones_problems(sizes, seed):
    small = {row.problem_id for row in draw(pool(sizes), Quota(2, 2, 0), seed)}
    large = {row.problem_id for row in draw(pool(sizes), Quota(3, 3, 0), seed)}
    assert small < large


def test_the_pool_decides_not_its_order():
    rows = pool([2, 1, 3])
    forwards, backwards = (draw(order, Quota(2, 2, 0), 5) for order in (rows, rows[::-1]))
    assert [row.problem_id for row in forwards] == [row.problem_id for row in backwards]


def entry(**changed):
    made = Entry(1, 100, 20, 30, 10, 300, 5, 0.01, 0, 1.5)
    return dataclasses.replace(made, **changed)


def test_equal_ledgers_agree_whatever_they_took():
    assert disagreement([entry()], [entry(seconds=99.0, drawn=5, fresh=1)], 0.0) is None


@pytest.mark.parametrize("name", ["problems", "examples", "loss_tokens", "optimizer_steps", "learning_rate", "resets"])
def test_a_ledger_that_differs_names_the_number(name):
    other = entry(**{name: getattr(entry(), name) + 10})
    says = disagreement([entry()], [other], 0.02)
    assert says is not None
    assert says.startswith(f"{name} of round 1")


def test_small_differences_are_tolerated_and_missing_rounds_are_not():
    assert disagreement([entry()], [entry(loss_tokens=302)], 0.02) is None
    assert "0 rounds" in disagreement([entry()], [], 0.02)
    assert totals([entry(), entry(iteration=2)])["examples"] == 60
