"""Replay: shares, capacity and chances as they are set, and the settings of earlier versions."""

import dataclasses
import json
import random
from collections import Counter

import pytest
from hypothesis import given, strategies as st

from axiom.config import ExperimentConfig, ReplayConfig, SelectionConfig, load_config, override, stored_config
from axiom.errors import ConfigError
from axiom.experiment import Experiment, differences
from axiom.records import Gold, History
from axiom.selection.arms import Harvest, Quota
from axiom.selection.checks import check_selection
from axiom.selection.replay import LOST, lots, preferred, priority, remembered, replayed_beside, with_replay
from axiom.selection.weights import weighted
from axiom.selection.yoke import from_samples
from tests.selection.test_selection import PROBLEM

STRATEGIES = ("reservoir", "recency", "balanced", "forgetting")
PROBLEMS = {
    f"p{n}": PROBLEM.model_copy(update={"problem_id": f"p{n}", "difficulty": 1 + n % 3, "family": "ab"[n > 8]})
    for n in range(12)
}


def gold(problem: int, target: str, iteration: int = 1, reason: str = "verified") -> Gold:
    return Gold(
        sample_id=f"{iteration}:p{problem}:{target}",
        problem_id=f"p{problem}",
        iteration=iteration,
        weight=1.0,
        reason=reason,
        target=target,
    )


def harvest(config: ReplayConfig, buffer: list[Gold], iteration: int = 9, seed: int = 0) -> Harvest:
    whole = ExperimentConfig(seed=seed).model_copy(update={"replay": config})
    return Harvest(whole, iteration, PROBLEMS, [], [], buffer, [], None)


programs = st.lists(
    st.tuples(st.integers(0, 11), st.sampled_from("abcde"), st.integers(1, 8)), max_size=40, unique_by=lambda t: t[:2]
).map(lambda told: sorted((gold(*one) for one in told), key=lambda row: -row.iteration))
fresh_programs = st.lists(st.tuples(st.integers(0, 11), st.sampled_from("abc")), max_size=12, unique=True).map(
    lambda told: [gold(*one, 9) for one in told]
)


@given(programs, fresh_programs, st.sampled_from(STRATEGIES), st.floats(0, 0.9))
def test_the_share_is_kept_as_nearly_as_rows_allow_and_nothing_comes_twice(buffer, fresh, strategy, share):
    config = ReplayConfig(share=share, strategy=strategy)
    kept = with_replay(fresh, harvest(config, buffer))
    assert kept[: len(fresh)] == fresh
    old = kept[len(fresh) :]
    assert all(row.reason == "replayed" for row in old)
    assert len({(row.problem_id, row.target) for row in kept}) == len(kept)
    there = len({(row.problem_id, row.target) for row in buffer} - {(row.problem_id, row.target) for row in fresh})
    if kept:
        missed = {n: abs(n / (n + len(fresh)) - share) for n in range(there + 1) if n + len(fresh)}
        assert not fresh or missed[len(old)] == min(missed.values())
    if not share:
        assert kept == fresh


def test_all_gold_of_so_many_rounds_comes_back_newest_first_and_once():
    """What `selection.replay` did before: the rounds within reach, and of a program its newest row."""
    config, buffer = ReplayConfig(rounds=2), []
    told = {2: [(0, "d")], 3: [(0, "b"), (0, "c")], 4: [(0, "a"), (0, "b")]}
    for number, rows in told.items():
        new = [gold(*one, number) for one in rows] + [gold(7, "z", 1, "replayed")]
        buffer = remembered(buffer, new, config, 0, number, PROBLEMS, [])
    kept = with_replay([gold(0, "a", 5)], harvest(config, buffer, 5))
    assert [(row.iteration, row.target, row.reason) for row in kept] == [
        (5, "a", "verified"),
        (4, "b", "replayed"),
        (3, "c", "replayed"),
    ]


@given(programs, st.sampled_from(STRATEGIES), st.integers(0, 9), st.randoms(use_true_random=False))
def test_a_buffer_holds_its_capacity_whatever_the_order_of_a_rounds_rows(rows, strategy, capacity, rng: random.Random):
    config = ReplayConfig(strategy=strategy, capacity=capacity)
    buffer, shuffled, seen = [], [], set()
    for number in range(1, 9):
        new = [row for row in rows if row.iteration == number]
        seen |= {(row.problem_id, row.target) for row in new}
        buffer = remembered(buffer, new, config, 3, number, PROBLEMS, [])
        shuffled = remembered(shuffled, rng.sample(new, len(new)), config, 3, number, PROBLEMS, [])
        assert len(buffer) == min(capacity, len(seen)) if strategy != "balanced" else len(buffer) <= capacity
        assert sorted(buffer, key=str) == sorted(shuffled, key=str)
        assert [row.iteration for row in buffer] == sorted((row.iteration for row in buffer), reverse=True)
    if strategy == "recency" and len(rows) > capacity > 0:
        left = {row.sample_id for row in rows} - {row.sample_id for row in buffer}
        assert max(row.iteration for row in rows if row.sample_id in left) <= buffer[-1].iteration


def test_of_a_reservoir_every_program_ever_seen_has_the_same_chance():
    """Chi-square at 99.9 % over 600 runs of ten rounds with two new programs each, of which five are kept."""
    counts: Counter[str] = Counter()
    for seed in range(600):
        buffer: list[Gold] = []
        for number in range(1, 11):
            new = [gold(number % 12, f"{number}{mark}", number) for mark in "ab"]
            buffer = remembered(buffer, new, ReplayConfig(capacity=5), seed, number, PROBLEMS, [])
        counts.update(row.target for row in buffer)
    assert counts.total() == 600 * 5
    assert len(counts) == 20
    assert sum((count - 150) ** 2 / 150 for count in counts.values()) < 43.8


@given(programs, st.integers(0, 20))
def test_balanced_takes_equally_many_of_each_family_and_difficulty(rows, count):
    kept = preferred(rows, count, ReplayConfig(strategy="balanced"), lots(1), PROBLEMS, [])

    def groups(of: list[Gold]) -> Counter:
        return Counter((PROBLEMS[row.problem_id].family, PROBLEMS[row.problem_id].difficulty) for row in of)

    assert len(kept) == min(count, len(rows))
    open_ones = [n for group, n in groups(kept).items() if n < groups(rows)[group]]
    open_ones += [0 for group in groups(rows) if group not in groups(kept)]
    assert not open_ones or max(groups(kept).values(), default=0) - min(open_ones) <= 1


def known(number: int, passes: float, lost: bool) -> History:
    return History(
        problem_id=f"p{number}",
        family="a",
        difficulty=1,
        recent_draws=8.0,
        recent_passes=passes,
        draws_lost=4 if lost else None,
    )


def test_what_was_lost_is_replayed_more_often_than_what_is_solved():
    """Against the chance of the first draw without replacement, w / sum(w), over 2,000 lots."""
    history = [known(0, 8, False), known(1, 0, False), known(2, 0, True)]
    weights = [priority(row) for row in history]
    assert weights == pytest.approx([0.1, 0.9, 0.9 * LOST])
    rows = [gold(n, "a") for n in range(3)]
    config, counts = ReplayConfig(strategy="forgetting"), Counter()
    for seed in range(2000):
        counts.update(row.problem_id for row in preferred(rows, 1, config, lots(seed), PROBLEMS, history))
    assert [counts[f"p{n}"] / 2000 for n in range(3)] == pytest.approx([w / sum(weights) for w in weights], abs=0.03)


def test_of_one_and_a_half_rows_those_are_replayed_whose_share_is_nearest():
    for fresh, share, nearest in ((1, 0.6, 2), (1, 0.5, 1), (1, 0.2, 0), (9, 0.1, 1), (4, 0.9, 36), (0, 0.5, 0)):
        assert replayed_beside(fresh, share) == nearest, (fresh, share)
    kept = with_replay([gold(0, "x", 9)], harvest(ReplayConfig(share=0.6), [gold(n, "a") for n in range(5)]))
    assert len(kept) == 3


@pytest.mark.parametrize("config", [ReplayConfig(share=0.5), ReplayConfig(rounds=9)])
def test_a_program_with_another_comment_is_the_same_program(config):
    plain, told, other = "def f(a):\n    return a", "def f(a):\n    # as it is\n    return a", "def f(a):\n    return 1"
    assert with_replay([gold(0, told, 9)], harvest(config, [gold(0, plain)])) == [gold(0, told, 9)]
    kept = with_replay([gold(0, told, 9)], harvest(config, [gold(0, plain), gold(0, other), gold(1, plain)]))
    assert {(row.problem_id, row.target) for row in kept[1:]} <= {("p0", other), ("p1", plain)}
    held = remembered([gold(0, plain, 1), gold(0, other, 1)], [gold(0, told, 2)], config, 0, 2, PROBLEMS, [])
    assert [(row.iteration, row.target) for row in held] == [(2, told), (1, other)], "once, in its newest row"
    for new in ([told, plain], [plain, told]):
        assert remembered([], [gold(0, one) for one in new], config, 0, 1, PROBLEMS, []) == [gold(0, plain)]
    answers = {key: problem.model_copy(update={"kind": "answer"}) for key, problem in PROBLEMS.items()}
    assert len(remembered([gold(0, plain)], [gold(0, told, 2)], config, 0, 2, answers, [])) == 2, "answers are texts"


@pytest.mark.parametrize("config", [ReplayConfig(share=0.5), ReplayConfig(rounds=9)])
def test_what_is_replayed_weighs_as_its_problem_does_today(config):
    rule, rates, buffer = SelectionConfig(weight="inverse_solve_rate"), {"p0": 0.1, "p1": 0.5}, []
    for number in range(1, 6):
        new = [gold(problem, f"{number}", number) for problem in (0, 1)]
        rows = weighted(with_replay(new, harvest(config, buffer, number)), rule, PROBLEMS, rates)
        assert sum(row.weight for row in rows) / len(rows) == pytest.approx(1), number
        for row in rows:
            mean = sum(1 / rates[one.problem_id] for one in rows) / len(rows)
            assert row.weight == pytest.approx(1 / rates[row.problem_id] / mean)
        buffer = remembered(buffer, rows, config, 0, number, PROBLEMS, [])
    assert any(row.reason == "replayed" for row in rows)
    quota = dataclasses.replace(harvest(config, buffer), quota=Quota(2, 4, 0))
    assert {row.weight for row in from_samples(quota, [], "random")} == {1.0}


def test_each_round_replays_others():
    buffer = [gold(n, mark) for n in range(12) for mark in "abcde"]
    fresh = [gold(0, "x", 9)]
    for strategy in ("reservoir", "balanced", "forgetting"):
        config = ReplayConfig(share=0.5, strategy=strategy)
        taken = {with_replay(fresh, harvest(config, buffer, number))[1].sample_id for number in range(30)}
        assert len(taken) > 10, strategy
        again = with_replay(fresh, harvest(config, buffer, 3))
        assert again == with_replay(fresh, harvest(config, buffer, 3))


def test_the_settings_of_earlier_versions_are_read_where_they_are_now(tmp_path):
    old = load_config().model_dump(mode="json")
    del old["replay"]
    old["selection"] = {"max_per_problem": 4, "replay": 7}
    assert stored_config(old).replay == ReplayConfig(rounds=7)
    assert load_config(**{"selection.replay": 7}) == load_config(None, ["selection.replay=7"])
    assert load_config(None, ["selection.replay=7"]) == load_config(None, ["replay.rounds=7"])
    assert override(stored_config(old), ["selection.replay=0"]).replay.rounds == 0
    (tmp_path / "old.toml").write_text("[selection]\nreplay = 3\n")
    assert load_config(tmp_path / "old.toml").replay.rounds == 3
    assert load_config(tmp_path / "old.toml", ["replay.rounds=1"]).replay.rounds == 1, "what is set has the say"
    with pytest.raises(ConfigError, match=r"replay\.rounds = -1"):
        load_config(**{"selection.replay": -1})
    assert differences(stored_config(old), load_config(**{"replay.rounds": 7})) == {}


def test_a_run_of_an_earlier_version_opens_and_goes_on(tmp_path):
    made = Experiment.create(str(tmp_path), load_config(name="old", **{"replay.rounds": 7}))
    made.save()
    file = tmp_path / "old/experiment.json"
    record = json.loads(file.read_text())
    del record["config"]["replay"], record["config"]["sampling"]["allocation"]
    record["config"]["selection"] = {"max_per_problem": 4, "replay": 7}
    file.write_text(json.dumps(record))
    opened = Experiment.open(str(tmp_path), "old")
    assert opened.config == made.config
    opened.check_record()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"replay.share": 0.5, "replay.capacity": 0}, r"replay\.share = 0\.5 has nothing to replay"),
        ({"replay.share": 0.5, "replay.rounds": 2}, "set one of them to 0"),
        ({"replay.share": 1.0}, r"replay\.share = 1"),
        ({"replay.share": -0.1}, r"replay\.share = -0\.1"),
    ],
)
def test_replay_that_makes_no_sense_is_refused(settings, says):
    with pytest.raises(ConfigError, match=says) as error:
        load_config(**settings)
    assert "\n" not in str(error.value)


def test_the_most_gold_of_a_round_counts_what_replay_adds():
    for more, most in (({"replay.share": 0.5}, 800), ({"replay.share": 0.5, "replay.capacity": 10}, 410)):
        check_selection(load_config(**more, **{"selection.min_gold": most}), 100)
        with pytest.raises(ConfigError, match=f"more than the {most} rows"):
            check_selection(load_config(**more, **{"selection.min_gold": most + 1}), 100)
    check_selection(load_config(**{"selection.min_gold": 1200, "replay.rounds": 2}), 100)


def test_a_buffer_is_no_part_of_what_is_fresh():
    old = [gold(1, "a", 3)]
    found = dataclasses.replace(harvest(ReplayConfig(), old))
    assert with_replay([gold(0, "b", 9)], found) == [gold(0, "b", 9)], "replay is off"
