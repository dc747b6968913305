"""Curricula: which level is in force, what it draws, and that it turns only when the rates do."""

import itertools
import re
from collections import Counter

import pytest
from hypothesis import given, strategies as st
from typer.testing import CliRunner

from axiom.cli.studies import app
from axiom.config import CurriculumConfig, SamplingConfig, load_config, override
from axiom.errors import ConfigError
from axiom.experiment import Experiment, iteration_folder
from axiom.experiment.gate import admit
from axiom.problems import generate_splits
from axiom.records import History
from axiom.selection import select, to_gold
from axiom.selection.allocation import allocate
from axiom.selection.checks import check_levels, check_reached, check_selection
from axiom.selection.curriculum import course_of, levels_of, out_of_pace, plan_of, solve_rate_of, step, within, without
from axiom.selection.history import begin
from axiom.selection.passed_over import passed_over
from tests.selection.test_selection import PROBLEM, sample, verdict

PROBLEMS = [
    PROBLEM.model_copy(update={"problem_id": f"p{difficulty}{n}", "difficulty": difficulty})
    for difficulty in (3, 4, 5, 7)
    for n in range(2)
]
LEVELS = {1: {3}, 2: {4}, 3: {5}, 4: {7}}


def course(config: CurriculumConfig, iteration: int, history=(), given=None):
    return course_of(config, PROBLEMS, history, iteration, given)


def played(config: CurriculumConfig, rates: list[dict[int, float]], keep: int = 100) -> list[int]:
    """The levels of so many rounds, when in each round a difficulty is solved at its rate."""
    history, found = begin(PROBLEMS), []
    for number, rate in enumerate(rates, 1):
        now = course(config, number, history if number > 1 else ())
        found.append(now.level)
        history = [
            row.model_copy(
                update=now.columns()
                | (
                    {"last_round": number, "last_draws": keep, "last_passes": round(keep * rate[row.difficulty])}
                    if row.problem_id in now.problems
                    else {}
                )
            )
            for row in history
        ]
    return found


def test_linear_goes_on_every_so_many_rounds_and_stays_at_the_top():
    config = CurriculumConfig(kind="linear", rounds=2)
    assert [course(config, number).level for number in range(1, 12)] == [1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 4]


@pytest.mark.parametrize("keep_easier", [True, False])
def test_a_level_draws_its_problems_and_those_below_where_they_stay(keep_easier):
    config = CurriculumConfig(kind="linear", rounds=1, keep_easier=keep_easier)
    for level, own in LEVELS.items():
        active = course(config, level).problems
        wanted = set().union(*(LEVELS[lower] for lower in range(1, level + 1))) if keep_easier else own
        assert active == {problem.problem_id for problem in PROBLEMS if problem.difficulty in wanted}


@given(st.floats(0, 1), st.floats(0, 1), st.lists(st.integers(0, 100), min_size=1, max_size=30))
def test_between_its_bounds_a_level_stays_and_it_turns_only_once_the_rate_has_crossed_both(a, b, rates):
    down, up = sorted((a, b))
    if down == up:
        return
    config = CurriculumConfig(kind="success", up=up, down=down, rounds=1)
    moves = [(rate / 100, step(rate / 100, 1, False, config)) for rate in rates]
    assert all(move == 0 for rate, move in moves if down <= rate < up)
    turns = [(rate, move) for rate, move in moves if move]
    for (before, first), (after, second) in itertools.pairwise(turns):
        if first != second:
            assert (before >= up and after < down) or (before < down and after >= up)


@given(
    st.dictionaries(st.sampled_from([3, 4, 5, 7]), st.integers(0, 100), min_size=4),
    st.integers(1, 5),
    st.booleans(),
)
def test_while_no_rate_changes_a_level_that_fell_is_not_tried_again_before_its_time(rates, rounds, keep_easier):
    """A level that is solved below one that is not would otherwise go up and down in every other round."""
    config = CurriculumConfig(kind="success", rounds=rounds, keep_easier=keep_easier)
    found = played(config, [{key: rate / 100 for key, rate in rates.items()}] * 30)
    moves = [(n, b - a) for n, (a, b) in enumerate(itertools.pairwise(found), 2) if a != b]
    for (first, before), (second, after) in itertools.pairwise(moves):
        if before < 0 < after:
            assert second - first >= rounds
    if rates[3] < 80:
        assert set(found) == {1}


def test_success_goes_up_when_solved_stays_in_between_and_goes_down_when_lost():
    config = CurriculumConfig(kind="success", up=0.8, down=0.2, rounds=3)
    easy = {3: 0.8, 4: 0.5, 5: 0.0, 7: 0.0}
    lost = {3: 0.9, 4: 0.1, 5: 0.0, 7: 0.0}
    assert played(config, [{**easy, 3: 0.79}] * 3) == [1, 1, 1]
    assert played(config, [easy, easy, easy, lost, lost, lost, lost, easy, easy]) == [1, 2, 2, 2, 1, 1, 1, 2, 2]


def test_forced_goes_on_whatever_is_solved_and_success_does_not():
    """The bad control: after so many rounds the next level comes, unsolved."""
    unsolved = [dict.fromkeys((3, 4, 5, 7), 0.0)] * 9
    assert played(CurriculumConfig(kind="forced", rounds=2), unsolved) == [1, 1, 2, 2, 3, 3, 4, 4, 4]
    assert played(CurriculumConfig(kind="success", rounds=2), unsolved) == [1] * 9
    solved = [dict.fromkeys((3, 4, 5, 7), 1.0)] * 4
    assert played(CurriculumConfig(kind="forced", rounds=5), solved) == [1, 2, 3, 4]


def test_the_rate_is_that_of_the_levels_own_problems_in_the_last_round():
    rows = [
        History(problem_id="a", family="f", difficulty=3, last_round=5, last_draws=4, last_passes=4),
        History(problem_id="b", family="f", difficulty=4, last_round=5, last_draws=4, last_passes=1),
        History(problem_id="c", family="f", difficulty=4, last_round=5, last_draws=4, last_passes=2),
        History(problem_id="d", family="f", difficulty=4, last_round=4, last_draws=4, last_passes=4),
        History(problem_id="e", family="f", difficulty=4),
    ]
    assert solve_rate_of((4, 4), rows) == 3 / 8
    assert solve_rate_of((5, 6), rows) is None
    assert solve_rate_of((3, 4), []) is None
    assert step(None, 9, False, CurriculumConfig(kind="success")) == 0


def test_two_curricula_see_the_same_problems_at_the_same_level():
    """Of a run's own problems, made with either curriculum and without one."""
    small = ["problems.families=['list_filter','rpn']", "problems.train_size=24", "problems.val_size=2"]
    kinds = ("none", "linear", "success", "forced")
    made = {
        kind: load_config(
            None, [*small, "problems.difficulty=[2,4]", "problems.test_size=0", f"curriculum.kind={kind}"]
        )
        for kind in kinds
    }
    problems = {kind: generate_splits(config.problems, config.seed)["train"] for kind, config in made.items()}
    assert len({tuple(p.problem_id for p in found) for found in problems.values()}) == 1
    at_top = {
        kind: course_of(made[kind].curriculum, problems[kind], [], 1, given=3).problems
        for kind in kinds
        if kind != "none"
    }
    assert len(set(at_top.values())) == 1
    assert at_top["linear"] == {problem.problem_id for problem in problems["none"]}


def test_a_round_draws_as_often_at_every_level():
    history = begin(PROBLEMS)
    for level in LEVELS:
        now = course(CurriculumConfig(kind="linear", rounds=1, keep_easier=False), level)
        active = [row for row in history if row.problem_id in now.problems]
        for rule in ("uniform", "adaptive", "unsolved_first", "stop_when_solved"):
            plan = plan_of(allocate(active, SamplingConfig(allocation=rule), 0, level, 4 * len(PROBLEMS)), PROBLEMS)
            assert plan.keys() == {problem.problem_id for problem in PROBLEMS}
            assert {name for name, draws in plan.items() if draws} == now.problems
            assert sum(plan.values()) == 4 * len(PROBLEMS)


def test_a_yoked_run_has_its_experts_level_and_trains_on_the_problems_of_that():
    now = course(CurriculumConfig(kind="success"), 7, given=2)
    assert now.level == 2
    gold = [to_gold(sample(problem.problem_id, "x"), "reference") for problem in PROBLEMS]
    assert {row.problem_id for row in within(gold, now)} == {"p30", "p31", "p40", "p41"}
    assert within(gold, None) == gold


def test_self_paced_trains_on_problems_that_are_solved_now_and_then():
    rows = [
        History(problem_id=name, family="f", difficulty=1, recent_draws=draws, recent_passes=passes)
        for name, draws, passes in [("p", 10, 2), ("q", 10, 8), ("r", 10, 1.9), ("s", 10, 8.1), ("t", 0, 0)]
    ]
    config = CurriculumConfig(kind="self_paced", low=0.2, high=0.8)
    assert out_of_pace(config, rows) == {"r", "s"}
    assert out_of_pace(CurriculumConfig(), rows) == frozenset()
    samples = [sample(name, "x = 1", n) for n, name in enumerate("pqrs")]
    left = without(samples, out_of_pace(config, rows))
    assert [row.problem_id for row in left] == ["p", "q"]
    selection = load_config().selection
    gold = select(left, selection)
    why = passed_over(samples, [verdict(row) for row in samples], gold, selection, {}, out_of_pace(config, rows))
    assert Counter((row.problem_id, row.why) for row in why) == {("r", "self_paced"): 1, ("s", "self_paced"): 1}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"curriculum.up": 0.3, "curriculum.down": 0.3}, r"curriculum\.down = 0\.3 must be less"),
        ({"curriculum.up": 0.2, "curriculum.down": 0.3}, r"curriculum\.down = 0\.3 must be less"),
        ({"curriculum.low": 0.6, "curriculum.high": 0.5}, r"curriculum\.low = 0\.6 is more"),
        ({"curriculum.levels": [[1, 3], [3, 4]]}, "ascend without overlapping"),
        ({"curriculum.levels": [[4, 3]]}, "ascend without overlapping"),
        ({"curriculum.levels": [[4, 4], [1, 2]]}, "ascend without overlapping"),
        ({"curriculum.levels": [[0, 3]]}, r"curriculum\.levels"),
        (
            {"curriculum.kind": "linear", "model.kind": "modular"},
            r"one level only, so nothing could change; name more modular\.operations",
        ),
        ({"curriculum.kind": "success", "arm": "sft_reference"}, "draws nothing after round 1; set yoke"),
        ({"curriculum.kind": "self_paced", "arm": "static_rft"}, "draws nothing after round 1; set yoke"),
        ({"curriculum.kind": "linear", "curriculum.levels": [[3, 4], [9, 10]]}, "level 2 .* 9 to 10, has no training"),
        ({"curriculum.kind": "linear", "problems.difficulty": [3, 3]}, "one level only"),
        ({"curriculum.kind": "forced", "curriculum.levels": [[3, 7]]}, "one level only"),
        (
            {
                "curriculum.kind": "linear",
                "problems.train_size": 3,
                "problems.val_size": 1,
                "problems.test_size": 0,
                "curriculum.levels": [[3, 4], [5, 5], [6, 7]],
            },
            r"level 2 .* has no training problem: theirs are",
        ),
    ],
)
def test_a_curriculum_that_makes_no_sense_is_refused_in_one_sentence(settings, says):
    def admit() -> None:
        config = load_config(**settings)
        check_selection(config, 100)
        check_levels(config, lambda: generate_splits(config.problems, config.seed)["train"])

    with pytest.raises(ConfigError, match=says) as error:
        admit()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        *(
            ({"curriculum.kind": kind, "sampling.allocation": rule}, f"allocation = '{rule}' draws.*kind = '{kind}'")
            for kind in ("success", "forced")
            for rule in ("stop_when_solved", "unsolved_first")
        ),
        ({"curriculum.kind": "self_paced", "sampling.allocation": "stop_when_solved"}, "never draws a solved problem"),
        (
            {"curriculum.kind": "self_paced", "curriculum.low": 0, "curriculum.high": 0},
            r"high = 0(\.0)? leaves .*nothing",
        ),
        ({"curriculum.kind": "self_paced", "curriculum.low": 0.5, "curriculum.high": 0.5}, "next to nothing"),
        ({"curriculum.kind": "linear", "curriculum.rounds": 5}, "rounds = 5 is not less than iterations = 5.* second"),
        ({"curriculum.kind": "forced", "curriculum.rounds": 9}, "rounds = 9 is not less than iterations = 5.* forces"),
    ],
)
def test_a_curriculum_that_cannot_do_what_it_says_writes_nothing(tmp_path, changes, says):
    for command in (["run", "quickstart"], ["study", str(tmp_path / "study.toml")]):
        sets = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
        if command[0] == "study":
            body = "\n".join(f"'{key}' = {value!r}" for key, value in changes.items())
            head = "name = 'x'\npreset = 'quickstart'\nseeds = 8\n[settings]\niterations = 5\n[variants.x]\n"
            (tmp_path / "study.toml").write_text(head + body)
            sets = []
        told = CliRunner().invoke(app, [*command, *sets, "--root", str(tmp_path / "runs")])
        assert isinstance(told.exception, ConfigError), told.output
        assert told.exception.exit_status == 2
        assert re.search(says, str(told.exception)), str(told.exception)
        assert "\n" not in str(told.exception)
        assert not (tmp_path / "runs").exists()


def test_curricula_at_the_edge_of_what_they_can_do_are_admitted():
    base = load_config("quickstart", **{"curriculum.kind": "linear"})
    check_reached(override(base, (), **{"curriculum.rounds": 4}))
    check_reached(override(base, (), iterations=0))
    check_reached(override(base, (), yoke="expert"))
    paced = override(base, (), **{"curriculum.kind": "self_paced", "sampling.allocation": "unsolved_first"})
    check_selection(paced, 100)
    check_selection(override(paced, (), **{"curriculum.low": 1, "curriculum.high": 1}), 100)
    for kind, rule in (("success", "adaptive"), ("linear", "stop_when_solved"), ("none", "unsolved_first")):
        check_selection(override(base, (), **{"curriculum.kind": kind, "sampling.allocation": rule}), 100)


def test_a_run_that_began_may_go_on_with_a_level_that_it_will_not_reach(tmp_path):
    config = load_config("quickstart", **{"curriculum.kind": "linear", "curriculum.rounds": 5})
    experiment = Experiment(str(tmp_path), config)
    experiment.save()
    experiment.stages.run(
        "iteration", iteration_folder(0), settings="", version="1", inputs={}, work=lambda out: out.json("iteration", 0)
    )
    admit(str(tmp_path), config)


def test_curricula_that_make_sense_are_admitted_without_making_the_problems():
    def never():
        raise AssertionError("the settings alone say that each level has problems")

    for kind in ("linear", "success", "forced"):
        check_levels(load_config(**{"curriculum.kind": kind}), never)
        check_levels(load_config(**{"curriculum.kind": kind, "curriculum.levels": [[1, 3], [4, 10]]}), never)
    check_levels(load_config(**{"curriculum.levels": [[9, 10]]}), never)  # no curriculum goes by them
    for arm in ("expert_iteration", "frozen", "unverified"):
        check_selection(load_config(arm=arm, **{"curriculum.kind": "success"}), 100)
    check_selection(load_config(arm="sft_reference", **{"curriculum.kind": "linear"}), 100)
    check_selection(load_config(**{"curriculum.kind": "self_paced", "model.kind": "modular"}), 100)


def test_levels_are_the_difficulties_that_there_are_or_as_they_are_set():
    assert levels_of(CurriculumConfig(), PROBLEMS) == [(3, 3), (4, 4), (5, 5), (7, 7)]
    assert levels_of(CurriculumConfig(levels=((1, 3), (4, 10))), PROBLEMS) == [(1, 3), (4, 10)]
    with pytest.raises(ConfigError, match=r"level 2 .* 6 to 6, has no training problem: theirs are 3, 4, 5, 7"):
        levels_of(CurriculumConfig(levels=((1, 3), (6, 6))), PROBLEMS)
