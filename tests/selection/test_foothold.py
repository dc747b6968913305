"""A foothold: what joins the gold, for how long, and that nothing of another split does."""

import dataclasses

import pytest

from axiom.config import ExperimentConfig, FootholdConfig, ProblemsConfig, override
from axiom.errors import ConfigError
from axiom.experiment.gate import admit
from axiom.grokking import from_nothing
from axiom.grokking.slices import never_solved
from axiom.problems import audit_cases, generate_splits, prove_disjoint
from axiom.records import Evaluation, History, Outcome, Sample, Verdict
from axiom.sampling.requests import requests
from axiom.selection.arms import ARMS, Harvest
from axiom.selection.curriculum import joined
from axiom.selection.foothold import hinted_share, least_share, with_hints
from axiom.selection.replay import remembered
from axiom.verification import Verifier, verify_samples

SPLITS = generate_splits(
    ProblemsConfig(families=("list_sort", "list_filter"), train_size=12, val_size=6, test_size=4, hidden_cases=8), 0
)
PROBLEMS = {problem.problem_id: problem for rows in SPLITS.values() for problem in rows}
TRAIN = SPLITS["train"]


@pytest.fixture(scope="module")
def verifier():
    with Verifier(ExperimentConfig().sandbox.model_copy(update={"workers": 1, "without": ()})) as found:
        yield found


def sample(problem, code, index=0):
    return Sample(
        sample_id=f"1:train:{problem.problem_id}:{index}", problem_id=problem.problem_id, iteration=1, purpose="train",
        index=index, completion=f"Here it is: {code}", code=code, token_count=9, logprob=-1.0, finish_reason="stop",
        seed=0, temperature=1.0, policy_version="base",
    )  # fmt: skip


def wrong(sample, passed=0, total=8, outcome=Outcome.WRONG_ANSWER):
    return Verdict(
        sample_id=sample.sample_id, outcome=outcome, cases_passed=passed, cases_total=total, cpu_ms=0.0, wall_ms=0.0,
        detail="", audit_passed=True if outcome is Outcome.PASSED else None,
    )  # fmt: skip


def gold(samples, verdicts, iteration=1, judge=None, settings=None, history=(), **foothold):
    config = override(ExperimentConfig(foothold=foothold), (), **(settings or {}))
    harvest = Harvest(config, iteration, PROBLEMS, samples, verdicts, (), (), None, history=history)
    return ARMS["expert_iteration"].select(dataclasses.replace(harvest, **({"judge": judge} if judge else {})))


def judge_with(verifier, seen):
    def judge(samples):
        seen.extend(samples)
        return list(verify_samples(PROBLEMS, samples, verifier, audit_cases))

    return judge


def test_references_of_a_few_problems_of_each_family_join_the_first_round_alone():
    rows = gold([], [], references=2)
    families = [PROBLEMS[row.problem_id].family for row in rows]
    assert sorted(families) == ["list_filter"] * 2 + ["list_sort"] * 2
    assert all(row.reason == "reference" for row in rows)
    assert all(row.target == PROBLEMS[row.problem_id].reference_solution for row in rows)
    assert {PROBLEMS[row.problem_id].split for row in gold([], [], references=99)} == {"train"}
    assert len(gold([], [], references=99)) == len(TRAIN)
    assert gold([], [], iteration=2, references=2) == []
    assert rows == gold([], [], references=2)
    level = {problem.problem_id for problem in TRAIN[:4]}
    harvest = Harvest(ExperimentConfig(foothold={"references": 99}), 1, PROBLEMS, [], [], (), (), None, active=level)
    assert {row.problem_id for row in ARMS["expert_iteration"].select(harvest)} == level, "those of the level"


def test_credit_for_a_part_rises_to_all_of_the_cases():
    shares = [least_share(FootholdConfig(partial=0.25, partial_until=4), number) for number in range(1, 7)]
    assert shares == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    assert least_share(FootholdConfig(partial=0.25, partial_until=1), 1) == 1.0
    half, few = sample(TRAIN[0], "half"), sample(TRAIN[2], "few")
    verdicts = [wrong(half, 4), wrong(few, 2)]
    taken = {n: gold([half, few], verdicts, n, partial=0.25, partial_until=4) for n in range(1, 5)}
    assert [[row.target for row in rows] for rows in taken.values()] == [["half", "few"], ["half"], [], []]
    assert [row.reason for row in taken[1]] == ["partial 0.50", "partial 0.25"]
    assert gold([half, few], verdicts) == []


def test_credit_for_a_part_is_for_wrong_answers_to_unsolved_problems_and_is_never_replayed():
    near, crashed, other = sample(TRAIN[0], "near"), sample(TRAIN[2], "crashed"), sample(TRAIN[4], "near too")
    right = sample(TRAIN[4], TRAIN[4].reference_solution, 1)
    verdicts = [
        wrong(near, 7),
        wrong(crashed, 7, outcome=Outcome.TIMEOUT),
        wrong(other, 7),
        wrong(right, 8, outcome=Outcome.PASSED),
    ]
    rows = gold([near, crashed, other, right], verdicts, partial=0.5)
    assert sorted(row.target for row in rows) == sorted(["near", right.code])
    config = override(ExperimentConfig(), (), **{"replay.rounds": 9}).replay
    kept = remembered([], rows, config, 0, 1, PROBLEMS, [])
    assert [row.target for row in kept] == [right.code]


def test_a_wrong_program_is_gold_for_the_training_problem_that_it_solves(verifier):
    asked, solved, *_ = (problem for problem in TRAIN if problem.family == "list_sort")
    seen: list[Sample] = []
    missed = sample(asked, solved.reference_solution)
    rows = gold([missed], [wrong(missed, 3)], judge=judge_with(verifier, seen), hindsight=50)
    assert [(row.problem_id, row.reason, row.target) for row in rows] == [
        (solved.problem_id, "hindsight", solved.reference_solution)
    ]
    assert rows[0].completion == "", "the model's words were about another problem"
    assert {PROBLEMS[one.problem_id].family for one in seen} == {"list_sort"}
    assert asked.problem_id not in {one.problem_id for one in seen}
    few: list[Sample] = []
    gold([missed], [wrong(missed, 3)], judge=judge_with(verifier, few), hindsight=2)
    assert len(few) == 2


def found_by_hindsight(codes, right=(), settings=None, history=()):
    """The gold of wrong programs for one problem that all solve the next, which `right` solved itself."""
    asked, other, *_ = (problem for problem in TRAIN if problem.family == "list_sort")
    missed = [sample(asked, code, index) for index, code in enumerate(codes)]
    hits = [sample(other, code, index) for index, code in enumerate(right)]
    verdicts = [*map(wrong, missed), *(wrong(one, 8, outcome=Outcome.PASSED) for one in hits)]

    def judge(tried):
        return [wrong(one, 8, outcome=Outcome.PASSED) for one in tried if one.problem_id == other.problem_id]

    rows = gold([*missed, *hits], verdicts, judge=judge, hindsight=50, settings=settings, history=history)
    assert {row.problem_id for row in rows} <= {other.problem_id}
    return [(row.reason, row.target) for row in rows], other


PROGRAMS = [f"def solve(x):\n    return {n}" for n in range(4)]


def test_what_hindsight_adds_keeps_to_the_limits_together_with_what_was_verified():
    told = "def solve(x):\n    # the same\n    return 0"
    rows, _ = found_by_hindsight(PROGRAMS[:1], [told])
    assert rows == [("verified", told)], "one program by its syntax tree"
    assert len(found_by_hindsight(PROGRAMS[1:], PROGRAMS[:1])[0]) == 4
    for most in (1, 2, 3):
        rows, _ = found_by_hindsight(PROGRAMS[1:], PROGRAMS[:1], {"selection.max_per_problem": most})
        assert rows == [("verified", PROGRAMS[0]), *(("hindsight", code) for code in PROGRAMS[1:most])]
        rows, _ = found_by_hindsight(PROGRAMS[1:], PROGRAMS[:1], {"selection.max_rows": most})
        assert rows == [("verified", PROGRAMS[0]), *(("hindsight", code) for code in PROGRAMS[1:most])]
    assert len(found_by_hindsight(PROGRAMS, (), {"selection.max_rows": 2})[0]) == 2


def test_hindsight_trains_on_no_problem_that_the_self_paced_curriculum_bars():
    pace = {"curriculum.kind": "self_paced"}
    rows, other = found_by_hindsight(PROGRAMS[:1], settings=pace)
    assert rows == [("hindsight", PROGRAMS[0])]
    for passes, taken in ((8.0, []), (4.0, rows)):
        known = History(
            problem_id=other.problem_id, family="list_sort", difficulty=1, recent_draws=8.0, recent_passes=passes
        )
        assert found_by_hindsight(PROGRAMS[:1], settings=pace, history=[known])[0] == taken


def test_credit_for_a_part_keeps_to_the_limits_and_references_come_on_top():
    near = [sample(problem, code, index) for problem in TRAIN[:3] for index, code in enumerate(PROGRAMS)]
    verdicts = [wrong(one, 6) for one in near]
    assert len(gold(near, verdicts, partial=0.5)) == 12
    rows = gold(near, verdicts, partial=0.5, settings={"selection.max_rows": 3, "selection.max_per_problem": 2})
    assert {row.problem_id for row in rows} == {problem.problem_id for problem in TRAIN[:3]}
    assert len(rows) == 3
    rows = gold(near, verdicts, partial=0.5, references=2, settings={"selection.max_rows": 3})
    assert sorted(row.reason for row in rows) == ["partial 0.75"] * 3 + ["reference"] * 4


def test_references_of_a_family_that_joins_later_come_in_its_first_iteration():
    for number in range(1, 6):
        config = override(ExperimentConfig(foothold={"references": 2}), (), **{"curriculum.joins": {"list_sort": 3}})
        level = joined(None, config.curriculum.joins, TRAIN, number)
        harvest = Harvest(config, number, PROBLEMS, [], [], (), (), None, active=level.problems)
        rows = ARMS["expert_iteration"].select(harvest)
        wanted = {1: ["list_filter"] * 2, 3: ["list_sort"] * 2}
        assert [PROBLEMS[row.problem_id].family for row in rows] == wanted.get(number, [])
        assert {row.iteration for row in rows} <= {number}


def test_hindsight_runs_nothing_on_a_problem_that_is_held_out(verifier):
    """Programs that solve a variant of val or test, written for train: they are run on train's cases and no other's."""
    prove_disjoint(SPLITS)
    held_out = [problem for split in ("val", "test") for problem in SPLITS[split]]
    missed = [
        sample(next(p for p in TRAIN if p.family == problem.family), problem.reference_solution, index)
        for index, problem in enumerate(held_out)
    ]
    seen: list[Sample] = []
    rows = gold(missed, [wrong(one) for one in missed], judge=judge_with(verifier, seen), hindsight=99)
    assert len(seen) > 20
    assert {PROBLEMS[one.problem_id].split for one in seen} == {"train"}
    assert rows == [], "a program of a held-out variant solves none of train: the splits are disjoint"


def test_hints_fade_and_are_in_the_prompts_of_training_problems_alone():
    config = ExperimentConfig(foothold={"hints": 0.5, "hints_until": 6})
    shares = [hinted_share(config.foothold, number) for number in range(1, 8)]
    assert shares == pytest.approx([0.5, 0.4, 0.3, 0.2, 0.1, 0, 0])
    before = {problem.problem_id for problem in TRAIN}
    for number in range(1, 7):
        shown = with_hints(TRAIN, config, number)
        now = {one.problem_id for one, plain in zip(shown, TRAIN, strict=True) if one != plain}
        assert len(now) == round(12 * shares[number - 1])
        assert now <= before, "a problem that has lost its hint gets none again"
        before = now
    hinted = [one for one, plain in zip(with_hints(TRAIN, config, 1), TRAIN, strict=True) if one != plain]
    for problem in hinted:
        _, begin = problem.description.split("A solution begins so:\n\n")
        assert problem.reference_solution.startswith(begin)
        assert 0 < len(begin) <= len(problem.reference_solution) / 2
        assert problem.model_copy(update={"description": PROBLEMS[problem.problem_id].description}) in TRAIN
    asked = requests(hinted, lambda problem: problem.description, config, "train", 1, 1)
    plain = requests([PROBLEMS[p.problem_id] for p in hinted], lambda p: p.description, config, "train", 1, 1)
    assert [one.seed for one in asked] == [one.seed for one in plain]
    assert with_hints(TRAIN, ExperimentConfig(), 1) == TRAIN


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"foothold.partial": 0.5, "model.kind": "modular"}, r"foothold.partial = 0.5 is about programs"),
        ({"foothold.partial": 0.5, "foothold.partial_until": 1}, r"partial_until = 1 helps in no round"),
        ({"foothold.hints": 0.5, "foothold.hints_until": 1}, r"hints_until = 1 helps in no round"),
        ({"foothold.hindsight": 3, "model.kind": "modular"}, "foothold.hindsight = 3"),
        ({"foothold.hints": 0.5, "model.kind": "modular"}, "foothold.hints"),
        *(
            ({f"foothold.{key}": value, "arm": arm}, f"foothold.{key} = {value} joins the gold.*arm '{arm}'")
            for arm in ("reinforce", "static_rft")
            for key, value in {"references": 2, "partial": 0.5, "hindsight": 3}.items()
        ),
        ({"foothold.hints": 0.5, "arm": "reinforce"}, "changes the prompts that arm 'reinforce'"),
    ],
)
def test_a_foothold_without_a_use_is_refused_before_anything_is_written(tmp_path, changes, says):
    with pytest.raises(ConfigError, match=says) as error:
        admit(str(tmp_path / "runs"), override(ExperimentConfig(), (), **changes))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("draws", "bound"), [(1, 0.95), (8, 0.3123), (128, 0.02313), (1000, 0.002991)])
def test_no_success_bounds_the_chance_of_one(draws, bound):
    assert never_solved(draws) == pytest.approx(1 - 0.05 ** (1 / draws)) == pytest.approx(bound, rel=1e-3)
    assert (1 - never_solved(draws)) ** draws == pytest.approx(0.05)
    assert never_solved(draws) < 3 / draws


def test_what_was_learnt_from_nothing_is_counted_with_its_bound():
    def evaluated(solved, n=16):
        return [
            Evaluation(
                problem_id=str(problem),
                split=split,
                family="f",
                difficulty=1,
                n=n,
                correct=n if problem == 0 else 0,
                greedy_correct=problem in solved,
            )
            for split, ids in (("train", (0, 1)), ("val", (2, 3, 4)))
            for problem in ids
        ]

    found = from_nothing({0: evaluated({3}), 1: evaluated(set()), 5: evaluated({1, 2, 3})})
    assert set(found) == {"train · pass@K = 0", "val · pass@K = 0"}
    val = found["val · pass@K = 0"]
    assert (val.problems, val.solved, val.draws) == (2, 1, 16)
    assert val.bound == pytest.approx(1 - 0.05 ** (1 / 16))
    assert "1 of 2 problems" in val.sentence("val")
    assert "below 0.171 a draw (95 %" in val.sentence("val")
    assert never_solved(0) == 1.0
    assert "was not drawn from" in from_nothing({0: evaluated({3}, n=0)})["val · wrong at first"].sentence("val")
    assert from_nothing({}) == {}
