"""The arms: laws over the registry with small real rows, and the ledger that proves the yoke."""

import dataclasses
import itertools
from collections import Counter

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError

import axiom.selection.arms
from axiom.config import ExperimentConfig, ModelConfig, ModularConfig, ReplayConfig, SamplingConfig, names
from axiom.errors import ConfigError
from axiom.experiment.ledger import Entry, disagreement, totals
from axiom.learners.modular import make_modular_problems
from axiom.records import Gold, Outcome, Sample, Verdict
from axiom.seeds import stream
from axiom.selection.arms import ARMS, Harvest, Quota
from axiom.selection.yoke import _Exchange, _exchange, _resized, draw

CONFIG = ExperimentConfig(
    model=ModelConfig(kind="modular"),
    modular=ModularConfig(p=5),
    iterations=3,
    sampling=SamplingConfig(samples_per_problem=2),
    replay=ReplayConfig(rounds=10),
)
SPLITS = make_modular_problems(CONFIG)
PROBLEMS = {problem.problem_id: problem for rows in SPLITS.values() for problem in rows}
TRAIN = SPLITS["train"]


def sample(problem, index, text, iteration=1):
    return Sample(
        sample_id=f"{iteration}:{problem.problem_id}:{index}",
        problem_id=problem.problem_id,
        iteration=iteration,
        purpose="train",
        index=index,
        completion=text,
        code=text,
        token_count=1,
        logprob=-1.0,
        finish_reason="stop",
        seed=0,
        temperature=1.0,
        policy_version="base",
    )


def judged(sample):
    good = sample.code == PROBLEMS[sample.problem_id].expected_output
    outcome = Outcome.PASSED if good else Outcome.WRONG_ANSWER
    return Verdict(
        sample_id=sample.sample_id,
        outcome=outcome,
        cases_passed=int(good),
        cases_total=1,
        cpu_ms=0.0,
        wall_ms=0.0,
        detail="",
    )


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


def test_each_arm_samples_as_its_page_says():
    """Whose samples, how many of three rounds' draws come in each, whether it is yoked, whether it fills a pool."""
    found = {
        name: (arm.policy, [arm.draws(CONFIG, n) for n in (1, 2, 3)], arm.yoked, arm.pool is not None)
        for name, arm in ARMS.items()
    }
    assert found == {
        "expert_iteration": ("current", [2, 2, 2], False, False),
        "format_only": ("current", [2, 2, 2], True, False),
        "frozen": ("base", [0, 0, 0], False, False),
        "random_accept": ("current", [2, 2, 2], True, False),
        "reinforce": ("current", [2, 2, 2], False, False),
        "sft_reference": ("base", [0, 0, 0], True, True),
        "shuffled_replay": ("base", [0, 0, 0], True, True),
        "static_rft": ("base", [6, 0, 0], True, True),
        "unverified": ("current", [2, 2, 2], False, False),
        "wrong_only": ("current", [2, 2, 2], True, False),
    }
    assert all(arm.description for arm in ARMS.values())


@pytest.mark.parametrize("name", ["unverified", "random_accept", "wrong_only", "format_only"])
def test_a_lot_is_drawn_anew_for_each_seed_and_each_round(name):
    """Four programs of which two may train (all that fail, for the arm that wants those)."""
    codes = [f"def f(a):\n    return {n}" + ("  # right" if name != "wrong_only" and n < 2 else "") for n in range(8)]
    found = programs(*codes)
    seeds = (ExperimentConfig(**CONFIG.model_dump() | {"seed": seed}) for seed in range(8))
    rounds = [gold_of(name, dataclasses.replace(found, iteration=iteration)) for iteration in range(1, 9)]
    runs = [gold_of(name, dataclasses.replace(found, config=config)) for config in seeds]
    for drawn_rows in (rounds, runs):
        assert len({tuple(sorted(row.sample_id for row in rows)) for rows in drawn_rows}) > 4, name


@pytest.mark.parametrize("name", ["random_accept", "wrong_only", "format_only"])
def test_a_yoked_draw_reaches_the_gold_that_replay_reaches_and_says_so(name):
    """Asked for more problems than the round has samples of, it takes the earlier rounds'."""
    found = programs(*SEVEN[:6]) if name == "wrong_only" else programs(SEVEN[5])
    old = pool([1, 1, 1])
    gold = gold_of(name, dataclasses.replace(found, buffer=old, quota=Quota(4, 4, 1)))
    assert Counter(row.reason for row in gold if row.sample_id in {o.sample_id for o in old}) == {"replayed": 3}
    assert [row.reason for row in gold if row.problem_id == TRAIN[0].problem_id] == [name.partition("_")[0]]


def test_a_yoked_draw_of_samples_is_a_lot_as_well():
    """Of seven samples of one problem each has the same chance to be the one that the quota asks for."""
    counts = drawn("random_accept", dataclasses.replace(programs(*SEVEN), quota=Quota(1, 1, 1)))
    assert set(counts) == set(SEVEN)
    assert all(0.6 * 400 / 7 < count < 1.4 * 400 / 7 for count in counts.values()), counts


def test_of_one_length_as_few_rows_as_come_nearest_to_the_budget_are_kept():
    """Three rows of ten tokens are too many for fifteen, and two are no nearer than one; half a row off they stay."""
    for budget, rows in ((10, 1), (15, 1), (16, 2), (25, 3), (26, 3), (44, 4)):
        assert len(draw(pool([1]), Quota(1, 3, 0, budget, 1), 0, [10])) == rows, budget
    assert len(draw(pool([1]), Quota(1, 3, 0, 10, 2), 0, [10])) == 2, "as many as there are optimizer steps"


def test_no_exchange_that_is_left_would_bring_the_tokens_nearer():
    """Every row against every program of the pool, by trial, on many small draws."""
    for seed in range(400):
        rng = stream(seed, "exchanges")
        names = {place: f"p{rng.randrange(3)}" for place in range(rng.randint(3, 8))}
        sizes = [rng.randint(1, 30) for _ in names]
        rows = [rng.randrange(len(names)) for _ in range(rng.randint(2, 4))]
        most = 2 * -(-len(rows) // len({names[place] for place in rows}))
        found, left = _exchange(rows, names, sizes, rng.randint(1, 120))
        assert len({names[place] for place in found}) == len({names[place] for place in rows})
        for at, new in itertools.product(range(len(found)), names):
            tried = [*found[:at], new, *found[at + 1 :]]
            allowed = new == found[at] or (
                found.count(new) < most
                and len({names[place] for place in tried}) == len({names[place] for place in found})
            )
            nearer = abs(left + sizes[found[at]] - sizes[new]) < abs(left)
            assert abs(left) < 1 or not (allowed and nearer), (seed, found, at, new)


def test_rows_are_added_up_to_the_budget_and_the_last_leaves_where_that_is_nearer():
    """Rows of 5, 7 and 11 tokens, one drawn and two to come."""
    for budget, rows in ((5, 1), (12, 2), (14, 2), (17, 2), (18, 3), (23, 3)):
        assert _resized([0], iter([1, 2]), [5, 7, 11], budget, 0) == [0, 1, 2][:rows], budget


def test_the_number_of_examples_stays_while_less_is_left_than_half_of_the_longest_program():
    for budget, rows in ((40, 2), (48, 2), (49, 3)):
        found = {len(draw(pool([1, 1]), Quota(2, 2, 0, budget, 1), seed, [30, 3])) for seed in range(9)}
        assert found == {rows}, budget


def test_without_lengths_a_row_is_one_token():
    assert len(draw(pool([1, 1, 1]), Quota(3, 6, 0, 4, 1), 0)) == 4


def test_which_problems_are_drawn_is_a_lot():
    assert {draw(pool([1] * 4), Quota(1, 1, 0), seed)[0].problem_id for seed in range(40)} == {"p0", "p1", "p2", "p3"}


def small_draws():
    """Rows drawn from three to eight programs of up to three problems: rows, problems and sizes of all programs."""
    for seed in range(200):
        rng = stream(seed, "small draws")
        names = {place: f"p{rng.randrange(3)}" for place in range(rng.randint(3, 8))}
        sizes = [rng.randint(1, 30) for _ in names]
        yield [rng.randrange(len(names)) for _ in range(rng.randint(2, 4))], names, sizes, rng.randint(1, 120)


def test_programs_are_tried_by_their_distance_and_each_once():
    """Of two as near as each other the smaller comes first; all of the problem's where no other may take its place."""
    for rows, owners, sizes, budget in small_draws():
        exchange = _Exchange(rows, owners, sizes, budget)
        for old in set(rows):
            wanted = sizes[old] + exchange.left
            ours = [place for place in owners if owners[place] == owners[old]]
            alone = exchange.shares[owners[old]] == 1 and len(exchange.shares) == len(set(owners.values()))
            tried = list(exchange._from_nearest(old, wanted))
            assert sorted(tried) == (ours if alone else list(owners))
            near = [(abs(sizes[place] - wanted), sizes[place]) for place in tried]
            assert near == sorted(near)


def test_an_exchange_keeps_count_of_what_is_drawn():
    for rows, owners, sizes, budget in small_draws():
        exchange = _Exchange(rows, owners, sizes, budget)
        while exchange.sweep():
            assert +exchange.copies == Counter(exchange.rows)
            assert exchange.shares == Counter(owners[place] for place in exchange.rows)
            assert exchange.left == budget - sum(sizes[place] for place in exchange.rows)


def test_a_problem_s_programs_are_drawn_in_turn():
    """Each once before any comes again."""
    assert [row.sample_id for row in draw(pool([3]), Quota(1, 5, 0), 0)] == ["0.0", "0.1", "0.2", "0.0", "0.1"]


@pytest.mark.parametrize("name", [name for name in ARMS if name != "reinforce"])
def test_every_example_has_the_same_weight(name):
    assert {row.weight for row in gold_of(name, harvest())} <= {1.0}


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


def programs(*codes):
    """One problem that asks for `f`, and these codes as its samples; a code that ends in `right` passes."""
    problem = TRAIN[0].model_copy(update={"kind": "program", "entry_point": "f"})
    rows = [sample(problem, index, code) for index, code in enumerate(codes)]
    verdicts = [
        judged(row).model_copy(update={"outcome": Outcome.PASSED if row.code.endswith("right") else Outcome.TIMEOUT})
        for row in rows
    ]
    return harvest(problems={problem.problem_id: problem}, samples=rows, verdicts=verdicts)


SEVEN = (
    "",
    "x",
    "pass",
    "def f(",
    "def f(a):\n    return a",
    "def f(a):\n    return a + 1  # right",
    "f = lambda a: 2",
)


def drawn(name, found, rounds=400):
    """How often each code trains over many rounds."""
    return Counter(
        row.target.removeprefix("```python\n").removesuffix("\n```")
        for iteration in range(rounds)
        for row in gold_of(name, dataclasses.replace(found, iteration=iteration))
    )


def test_the_controls_draw_from_all_samples_alike_not_from_the_shortest_texts():
    for name, each in (("unverified", 4 * 400 / 7), ("random_accept", 400 / 7)):
        counts = drawn(name, programs(*SEVEN))
        assert set(counts) == set(SEVEN), name
        assert all(0.7 * each < count < 1.3 * each for count in counts.values()), (name, counts)


def test_a_text_that_was_sampled_often_is_drawn_often():
    counts = drawn("unverified", programs(*["def f(a):\n    return 1"] * 6, "def f(a):\n    return 2"))
    assert counts["def f(a):\n    return 1"] > 4 * counts["def f(a):\n    return 2"]


def test_wrong_only_and_format_only_take_what_their_names_say():
    assert set(drawn("wrong_only", programs(*SEVEN))) == {code for code in SEVEN if not code.endswith("right")}
    assert set(drawn("format_only", programs(*SEVEN))) == set(SEVEN[4:])
    audited = programs(*SEVEN)
    failed = [v.model_copy(update={"audit_passed": False}) for v in audited.verdicts]
    assert set(drawn("wrong_only", dataclasses.replace(audited, verdicts=failed))) == set(SEVEN)


@pytest.mark.parametrize("name", [name for name, arm in ARMS.items() if arm.yoked])
def test_a_yoked_arm_meets_the_quota(name):
    gold = gold_of(name, harvest(quota=Quota(4, 6, 6, 6, 2)))
    assert (len(gold), len({row.problem_id for row in gold})) == (6, 4)


def test_an_arm_is_one_file(tmp_path, monkeypatch):
    """A module with an ARM in the folder is an arm of every list: the registry, the config and the form."""
    assert set(names.ARMS) == set(ARMS)
    (tmp_path / "lazy.py").write_text("from axiom.selection.arms.frozen import ARM\n")
    monkeypatch.setattr(axiom.selection.arms, "__path__", [*axiom.selection.arms.__path__, str(tmp_path)])
    assert set(axiom.selection.arms._discover()) == {*ARMS, "lazy"}
    monkeypatch.setattr("axiom.config.schema.ARMS", (*names.ARMS, "lazy"))
    assert ExperimentConfig(arm="lazy").arm == "lazy"
    assert ExperimentConfig.model_json_schema()["properties"]["arm"]["enum"] == [*names.ARMS, "lazy"]
    with pytest.raises(ValidationError, match="arm 'magic' does not exist; the arms are expert_iteration"):
        ExperimentConfig(arm="magic")


def test_reference_solutions_cover_every_training_problem():
    rows = gold_of("sft_reference", harvest())
    assert {row.problem_id for row in rows} == {p.problem_id for p in TRAIN}
    assert {row.iteration for row in rows} == {0}, "they come from no round"


def test_shuffled_replay_needs_an_expert_run():
    with pytest.raises(ConfigError, match="set yoke"):
        ARMS["shuffled_replay"].pool(harvest(), [])


def test_shuffled_replay_takes_what_was_right_without_the_weights_of_the_experts_rounds():
    reasons = {"verified": 3.0, "hindsight": 0.5, "partial 0.50": 1.0, "reward -1": -2.0}
    expert = [
        row.model_copy(update={"reason": reason, "weight": weight})
        for row, (reason, weight) in zip(pool([4]), reasons.items(), strict=True)
    ]
    found = ARMS["shuffled_replay"].pool(harvest(), expert)
    assert [(row.target, row.weight) for row in found] == [("0.0", 1.0), ("0.1", 1.0), ("0.3", -2.0)]


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


lengths = st.lists(st.lists(st.integers(1, 300), min_size=1, max_size=4), min_size=1, max_size=25)
"""Tokens of the programs of each problem."""


@given(lengths, lengths, st.integers(1, 8), st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(0, 99))
@settings(deadline=None)
def test_loss_tokens_follow_the_experts_whatever_the_programs_lengths(theirs, ours, size, rounds, seed):
    """An expert that trains ever other amounts, and an arm whose programs are shorter or longer than all of its."""
    rows = pool([len(programs) for programs in ours])
    sizes = [tokens for programs in ours for tokens in programs]
    length = dict(zip((row.sample_id for row in rows), sizes, strict=True))
    expert = [tokens for programs in theirs for tokens in programs]
    wanted = trained = 0
    for examples in rounds:
        drawn = [expert[n % len(expert)] for n in range(examples)]
        wanted += sum(drawn)
        quota = Quota(min(examples, len(theirs)), examples, 0, wanted - trained, -(-examples // size))
        gold = draw(rows, quota, seed, sizes)
        trained += sum(length[row.sample_id] for row in gold)
        assert len(gold) >= quota.steps or not gold
        if len(gold) > quota.steps:  # with one example a step there is nothing left to leave out
            assert 2 * abs(wanted - trained) <= max(sizes), (quota, len(gold))
        if 2 * abs(wanted - trained) > max(sizes):
            assert trained > wanted, "more can always be trained"
        if not quota.unmet(gold):
            assert len({row.problem_id for row in gold}) == quota.problems
            most = 2 * -(-quota.examples // quota.problems)
            assert max(Counter(row.sample_id for row in gold).values()) <= most


@given(st.integers(0, 99))
@settings(deadline=None, max_examples=25)
def test_where_lengths_overlap_neither_examples_nor_problems_give_way(seed):
    """Programs 20 % longer than the expert's on average, as reference solutions are: tokens agree within 2 %."""
    rng = stream(seed, "lengths")
    expert = [[max(8, int(rng.gauss(50, 15))) for _ in range(3)] for _ in range(40)]
    ours = [[max(8, int(rng.gauss(60, 18))) for _ in range(rng.randint(1, 3))] for _ in range(40)]
    rows, sizes = pool([len(p) for p in ours]), [tokens for programs in ours for tokens in programs]
    length = dict(zip((row.sample_id for row in rows), sizes, strict=True))
    wanted = trained = 0
    for solved in (10, 15, 22, 30, 34):
        budget = sum(sum(programs[:2]) for programs in expert[:solved])
        wanted += budget
        quota = Quota(solved, 2 * solved, 0, wanted - trained, solved // 4)
        gold = draw(rows, quota, seed, sizes)
        assert quota.unmet(gold) == ()
        trained += sum(length[row.sample_id] for row in gold)
        assert abs(trained - wanted) <= 0.02 * wanted


def test_rows_that_are_too_long_are_not_drawn_and_an_empty_pool_gives_none():
    rows = pool([2, 2])
    gold = draw(rows, Quota(2, 4, 0, 40, 1), 0, [10, 0, 0, 10])
    assert Counter(row.sample_id for row in gold) == {"0.0": 2, "1.1": 2}
    assert draw(rows, Quota(2, 4, 0, 40, 1), 0, [0, 0, 0, 0]) == []
    assert draw([], Quota(2, 4, 0, 40, 1), 0, []) == []


def test_a_pool_of_fewer_problems_says_what_it_cannot_meet():
    gold = draw(pool([2, 1]), Quota(3, 6, 0, 60, 1), 0, [10, 10, 10])
    assert Quota(3, 6, 0, 60, 1).unmet(gold) == ("problems",)
    longer = draw(pool([2, 1, 1]), Quota(3, 6, 0, 60, 1), 0, [20, 20, 20, 20])
    assert len(longer) == 3
    assert Quota(3, 6, 0, 60, 1).unmet(longer) == ("examples",)


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
