"""The ledger from a run's files, the schedule that a yoked run replays, and what two ledgers differ in."""

import dataclasses
import functools
import json

import pytest
from hypothesis import given, strategies as st

from axiom.config import ExperimentConfig, load_config
from axiom.errors import ConfigError, DataError
from axiom.experiment import Experiment, iteration_folder
from axiom.experiment.gate import admit
from axiom.experiment.ledger import COMPARED, SHOWN, Entry, Schedule, disagreement, read, totals, write
from axiom.experiment.running import Runtime
from axiom.progress import Progress, listen
from axiom.records import Gold, LossStep, Record
from axiom.selection.arms import Quota
from axiom.store import Writer
from axiom.tasks.train import train


def gold(problem: str, target: str, iteration: int, reason: str = "verified") -> Gold:
    return Gold(
        sample_id=f"{iteration}:{problem}:{target}",
        problem_id=problem,
        iteration=iteration,
        weight=1.0,
        reason=reason,
        target=target,
    )


def losses(iteration: int, *loss_tokens: int) -> list[LossStep]:
    return [
        LossStep(
            iteration=iteration,
            step=10 * iteration + n,
            loss=1.0,
            learning_rate=0.25,
            examples=2,
            loss_tokens=tokens,
            tokens=5 * tokens,
            grad_norm=1.0,
        )
        for n, tokens in enumerate(loss_tokens)
    ]


ROUNDS = {
    1: (
        [gold("b", "2", 1), gold("a", "1", 1)],
        losses(1, 7, 9),
        {"examples": 2, "problems": 2, "dropped": 0, "longest": 5, "passes": 2, "loss_tokens_so_far": 16},
    ),
    2: (
        [gold("c", "3", 2), gold("a", "0", 2), gold("b", "2", 1, "replayed"), gold("d", "4", 2)],
        losses(2, 4, 5, 6),
        {"examples": 3, "problems": 3, "dropped": 1, "longest": 6, "passes": 2, "loss_tokens_so_far": 31},
    ),
    3: ([], [], {"examples": 0, "problems": 0, "dropped": 0, "longest": 0, "passes": 0, "loss_tokens_so_far": 31}),
}
DRAWN = {1: 8, 2: 6, 3: 0}


@pytest.fixture
def root(tmp_path) -> str:
    return str(tmp_path)


def expert(root: str, mode: str = "continue", name: str = "expert", without: tuple[str, ...] = ()) -> Experiment:
    """Three rounds of four: what their stages left, without some figures that earlier versions did not keep."""
    config = ExperimentConfig(name=name, iterations=4, training={"mode": mode})
    experiment = Experiment.create(root, config)
    experiment.save()
    for number, (rows, steps, info) in ROUNDS.items():
        put = functools.partial(stage, experiment, iteration_folder(number))
        sampled = [gold(str(n), "", number) for n in range(DRAWN[number])]
        put("samples", {"samples": (sampled, Gold)}, {"seconds": 2.0})
        put("gold", {"gold": (rows, Gold)}, {"unmet": ("examples",)} if number == 2 else {})
        kept = {key: value for key, value in info.items() if key not in without}
        put("adapter", {"losses": (steps, LossStep)}, kept)
        put("iteration", {}, {})
    return experiment


def stage(
    experiment: Experiment,
    folder: str,
    name: str,
    tables: dict[str, tuple[list, type[Record]]],
    info: dict[str, object],
) -> None:
    def work(out: Writer) -> None:
        for table, (rows, record) in tables.items():
            out.table(table, rows, record)
        out.info.update(info)

    experiment.stages.run(name, folder, settings=1, version="1", inputs={}, work=work)


def seconds(experiment: Experiment, number: int) -> float:
    stages = [experiment.stages.manifest(name, iteration_folder(number)) for name in ("samples", "adapter")]
    return sum(manifest.info["seconds"] for manifest in stages)


def test_a_ledger_holds_each_finished_round(root):
    experiment = expert(root)
    first, second, third = read(experiment)
    assert first == Entry(1, 8, 2, 2, 2, 16, 2, 0.5, 1, first.seconds, 0, 10, ())
    assert second == Entry(2, 6, 3, 3, 3, 15, 3, 0.75, 0, second.seconds, 1, 12, ("examples",))
    assert third == Entry(3, 0, 0, 0, 0, 0, 0, 0.0, 0, third.seconds, 0, 0, ())
    assert [entry.seconds for entry in (first, second, third)] == [
        pytest.approx(seconds(experiment, number), abs=1e-9) for number in (1, 2, 3)
    ]


def test_a_round_that_is_not_finished_ends_the_ledger(root, tmp_path):
    experiment = expert(root)
    (tmp_path / "expert" / iteration_folder(2) / "iteration.manifest.json").unlink()
    assert [entry.iteration for entry in read(Experiment.open(root, "expert"))] == [1]
    assert experiment.config.iterations == 4


@pytest.mark.parametrize("stage_name", ["samples", "gold", "adapter"])
def test_a_stage_that_was_removed_from_a_finished_round_is_named(root, stage_name):
    experiment = expert(root)
    experiment.folder.remove(f"{iteration_folder(2)}/{stage_name}.manifest.json")
    with pytest.raises(DataError, match=f"0002/{stage_name}.manifest.json of 'expert' is missing .* resume expert "):
        read(experiment)


def test_training_that_restarts_begins_at_the_base_model_each_round_it_trains(root):
    assert [entry.resets for entry in read(expert(root, mode="restart"))] == [1, 1, 0]


def test_figures_that_earlier_versions_did_not_keep_are_read_from_the_rows(root):
    earlier = read(expert(root, without=("problems", "dropped", "longest", "passes")))
    assert [entry.problems for entry in earlier] == [2, 4, 0]
    assert {(entry.dropped, entry.longest) for entry in earlier} == {(0, 0)}
    one_pass = read(expert(root, name="other", without=("passes",)))
    assert [entry.longest for entry in one_pass] == [5, 6, 0]


def test_the_ledger_is_written_beside_the_run_and_reads_back(root, tmp_path):
    experiment = expert(root)
    entries = write(experiment)
    written = json.loads((tmp_path / "expert/ledger.json").read_text())
    assert [Entry(**row | {"unmet": tuple(row["unmet"])}) for row in written] == entries == read(experiment)


def test_totals_sum_what_can_be_summed(root):
    entries = read(expert(root))
    summed = totals(entries)
    assert summed == {
        "drawn": 14,
        "problems": 5,
        "examples": 5,
        "fresh": 5,
        "loss_tokens": 31,
        "optimizer_steps": 5,
        "learning_rate": 1.25,
        "resets": 1,
        "seconds": sum(entry.seconds for entry in entries),
        "dropped": 1,
    }
    assert set(SHOWN) <= set(summed)


def test_a_schedule_is_what_the_expert_trained_less_what_was_spent(root):
    expert(root)
    schedule = Schedule(root, "expert")
    assert schedule.quota(1, spent=0) == Quota(2, 2, 2, 8.0, 1)
    assert schedule.quota(2, spent=15) == Quota(3, 3, 3, 8.0, 2)
    assert schedule.quota(3, spent=30) == Quota(0, 0, 0, 1.0, 0), "a round without gold counts as one pass"


def test_a_schedule_that_is_not_there_says_what_to_do(root):
    with pytest.raises(ConfigError, match="no experiment 'nobody'"):
        Schedule(root, "nobody")
    expert(root)
    schedule = Schedule(root, "expert")
    for ask in (lambda: schedule.quota(4, spent=0), lambda: schedule.final_gold(4)):
        with pytest.raises(ConfigError, match=r"yoke = 'expert' has not finished round 4.*axiom resume expert --root"):
            ask()
    expert(root, name="old", without=("loss_tokens_so_far",))
    with pytest.raises(ConfigError, match="yoke = 'old' was made by a version that kept no count"):
        Schedule(root, "old").quota(1, spent=0)


def test_a_schedule_waits_for_the_round_that_an_expert_is_at(root):
    """For no round of one that has ended; and it sees a round that was finished in the moment of the end."""
    made, said = expert(root), []
    schedule = Schedule(root, "expert")

    def finish(progress: Progress) -> None:
        said.append(progress.doing)
        if len(said) == 2:
            put = functools.partial(stage, made, iteration_folder(4))
            put("samples", {"samples": ([], Gold)}, {"seconds": 2.0})
            put("gold", {"gold": ([], Gold)}, {})
            put("adapter", {"losses": ([], LossStep)}, ROUNDS[3][2])
            put("iteration", {}, {})

    with made.locked(), listen(finish):
        schedule.check(4, whole=False)
        with pytest.raises(ConfigError, match="has not finished round 4"):
            schedule.check(4, whole=True)
        with pytest.raises(ConfigError, match="has not finished round 5"):
            schedule.check(5, whole=False)
        assert schedule.quota(4, spent=31) == Quota(0, 0, 0, 0.0, 0)
    assert said == ["waiting for round 4 of expert, whose schedule this run replays"] * 2
    with pytest.raises(ConfigError, match="has not finished round 5"):
        schedule.quota(5, spent=31)


def test_the_final_gold_has_each_target_of_each_problem_once_and_first_found_first(root):
    expert(root)
    found = Schedule(root, "expert").final_gold(3)
    assert [(row.problem_id, row.target) for row in found] == [
        ("a", "0"),
        ("a", "1"),
        ("b", "2"),
        ("c", "3"),
        ("d", "4"),
    ]
    assert {row.reason for row in found} == {"verified"}
    assert [row.problem_id for row in Schedule(root, "expert").final_gold(1)] == ["a", "b"]


def test_the_digest_follows_the_gold_of_every_round(root):
    experiment = expert(root)
    digests = {Schedule(root, "expert").digest, Schedule(root, "expert").digest}
    assert len(digests) == 1
    stage(experiment, iteration_folder(4), "gold", {"gold": ([gold("e", "5", 4)], Gold)}, {})
    digests.add(Schedule(root, "expert").digest)
    (experiment.folder.remove(f"{iteration_folder(1)}/gold.manifest.json"))
    digests.add(Schedule(root, "expert").digest)
    assert len(digests) == 3


ONE = Entry(1, 100, 20, 30, 10, 300, 5, 0.5, 0, 1.5)


@given(st.sampled_from(COMPARED), st.integers(-40, 40), st.sampled_from([0.0, 0.02, 0.1]), st.integers(0, 30))
def test_ledgers_agree_within_the_tolerance_and_tokens_within_one_example_too(name, more, tolerance, longest):
    """Whoever of the two has the longer example; a figure that the arm's data could not meet is passed over."""
    want = getattr(ONE, name)
    for theirs, ours in ((longest, 0), (0, longest)):
        one = dataclasses.replace(ONE, longest=theirs)
        other = dataclasses.replace(ONE, longest=ours, **{name: want + more})
        slack = longest if name == "loss_tokens" else 0
        says = disagreement([one], [other], tolerance)
        if abs(more) <= max(tolerance * want, slack) + 1e-9:
            assert says is None
        else:
            assert says == f"{name} of round 1 is {want + more:g} against the expert arm's {want:g}"
        if name != "loss_tokens":
            assert disagreement([one], [dataclasses.replace(other, unmet=(name,))], tolerance) is None


@given(st.lists(st.integers(-6, 6), min_size=1, max_size=6), st.sampled_from([0.0, 0.01]))
def test_tokens_that_are_a_little_off_in_each_round_may_not_add_up(off, tolerance):
    """Each round within one example of six tokens, and so all rounds up to each."""
    rounds = range(1, len(off) + 1)
    ours = [dataclasses.replace(ONE, iteration=n, loss_tokens=300 + off[n - 1], longest=6) for n in rounds]
    theirs = [dataclasses.replace(ONE, iteration=n, longest=6) for n in rounds]
    beyond = [n for n in rounds if abs(sum(off[:n])) > max(6, 300 * n * tolerance)]
    says = disagreement(theirs, ours, tolerance)
    if beyond:
        after = sum(row.loss_tokens for row in ours[: beyond[0]])
        assert says == f"loss_tokens of rounds 1 to {beyond[0]} is {after} against the expert arm's {300 * beyond[0]}"
    else:
        assert says is None


def test_a_ledger_of_fewer_rounds_says_so():
    assert disagreement([ONE, ONE], [ONE], 0.0) == "1 rounds against the expert arm's 2"


def test_a_round_for_which_the_arm_had_no_data_is_passed_over_and_no_other():
    """No examples because there were none: neither the round nor its tokens count against the arm."""
    after = dataclasses.replace(ONE, iteration=2)
    nothing = {"problems": 0, "examples": 0, "loss_tokens": 0, "optimizer_steps": 0, "learning_rate": 0.0}
    rested = dataclasses.replace(ONE, **nothing, unmet=("problems", "examples"))
    assert rested.rested
    assert disagreement([ONE, after], [rested, after], 0.0) is None
    idle = dataclasses.replace(rested, unmet=())
    assert not idle.rested
    assert disagreement([ONE, after], [idle, after], 0.0) == "problems of round 1 is 0 against the expert arm's 20"
    fewer = dataclasses.replace(ONE, examples=10, loss_tokens=100, unmet=("examples",))
    assert not fewer.rested
    assert disagreement([ONE], [fewer], 0.0) == "loss_tokens of round 1 is 100 against the expert arm's 300"


def test_a_round_of_earlier_versions_dropped_nothing_and_has_no_slack():
    assert totals([ONE])["dropped"] == 0
    other = dataclasses.replace(ONE, loss_tokens=301)
    assert disagreement([ONE], [other], 0.0) == "loss_tokens of round 1 is 301 against the expert arm's 300"


def test_a_schedule_has_the_level_of_each_round_and_a_run_with_another_curriculum_does_not_replay_it(root):
    made = expert(root)
    stage(made, iteration_folder(2), "history", {}, {"level": 3})
    schedule = Schedule(root, "expert")
    assert [schedule.level(number) for number in (1, 2)] == [None, 3]
    other = ExperimentConfig(name="other", yoke="expert", iterations=3, curriculum={"kind": "linear"})
    with pytest.raises(ConfigError, match=r"yoke = 'expert' ran with another \[curriculum\]"):
        admit(root, other)


@pytest.mark.parametrize("arm", ["sft_reference", "wrong_only"])
def test_an_arm_that_rests_with_its_expert_says_so(root, arm):
    expert(root)
    made = Experiment.create(root, load_config(None, ["model.kind=modular"], name="mine", arm=arm, yoke="expert"))
    made.save()
    told: list[str] = []
    with listen(lambda progress: told.append(progress.note) if progress.stage == "warning" else None):
        for number in (1, 3):
            folder = iteration_folder(number)
            none = made.stages.run("gold", folder, settings=None, version="1", inputs={}, work=_no_gold)
            train.fn(Runtime(made), none, None, iteration=number)
    assert "no program was accepted" in told[0]
    assert "the expert run 'expert' trained on nothing in this iteration" in told[1]


def _no_gold(out: Writer) -> None:
    out.table("gold", [], Gold)
