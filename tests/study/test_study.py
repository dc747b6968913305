"""Studies: the file's faults, what counts as generalised, the comparison's verdicts, and a whole small study."""

import dataclasses
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from axiom.cli.studies import app
from axiom.config import ExperimentConfig
from axiom.errors import ConfigError, DataError
from axiom.experiment import Experiment, ledger
from axiom.experiment.ledger import Entry, disagreement
from axiom.experiment.running import handing_on, running
from axiom.flows import study as flow
from axiom.flows.experiment import without_server
from axiom.flows.operation import Operation
from axiom.flows.side_by_side import siblings
from axiom.grokking import Curve
from axiom.models import Policy
from axiom.records import Gold, LossStep, Metric, Sample, Verdict
from axiom.report import study as report, study_charts as charts
from axiom.sampling import Request
from axiom.selection import accepted
from axiom.selection.arms import ARMS
from axiom.study import (
    Outcome,
    Reading,
    Study,
    by_arm,
    compare,
    compare_arms,
    gather,
    load_study,
    measurements,
    paragraphs,
    plan,
    read,
    run_name,
    stable_from,
    survival,
)
from axiom.study.parallel import Room
from axiom.study.power import plans, read_figures
from axiom.training import Example, Round
from tests.models.tiny_model import make_tiny_model
from tests.rows import metric_row

PRESET = """
iterations = 4
[model]
kind = "modular"
[modular]
p = 7
embedding = 8
hidden = 8
steps_per_iteration = 2
[sampling]
samples_per_problem = 2
temperature = 3.0
[replay]
rounds = 100
"""
STUDY = 'name = "tiny"\npreset = "preset.toml"\nseeds = 6\n'


@pytest.fixture
def study_file(tmp_path):
    (tmp_path / "preset.toml").write_text(PRESET)

    def write(text=STUDY):
        path = tmp_path / "study.toml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (STUDY.replace("6", "5"), "at least 6"),
        (STUDY + 'arms = ["expert_iteration", "frozen", "static_rft"]\n', "seeds = 6 .* with 2 arms .* at least 7"),
        (STUDY + "confidence = 0.99\n", "cannot fall to 0.01 with fewer than 8"),
        (STUDY + 'arms = ["expert_iteration"]\n', "one more"),
        (STUDY + 'arms = ["static_rft", "frozen"]\n', "expert_iteration"),
        (STUDY + 'arms = ["expert_iteration", "magic"]\n', "arms"),
        (STUDY + "sedes = 7\n", "sedes"),
        (STUDY + 'split = "validation"\n', "split"),
        (STUDY.replace("6", "7") + 'arms = ["expert_iteration", "frozen", "frozen"]\n', "an arm twice"),
        ("name = ", "not TOML"),
        (STUDY + "generalised_accuracy = 1.5\n", "generalised_accuracy"),
    ],
)
def test_a_study_that_cannot_answer_is_refused_in_one_sentence(study_file, text, says):
    with pytest.raises(ConfigError, match=says) as error:
        load_study(study_file(text))
    assert "\n" not in str(error.value)


def test_a_missing_study_and_a_bad_setting(study_file, tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        load_study(tmp_path / "absent.toml")
    study = load_study(study_file(STUDY + '[settings]\n"selection.replya" = 3\n'))
    with pytest.raises(ConfigError, match="did you mean"):
        plan(study, 0)


@pytest.mark.parametrize(
    ("settings", "split", "says"),
    [
        ({"iterations": 1}, "val", "evaluates each run 2 times"),
        ({"evaluation.every": 4}, "val", "evaluates each run 2 times"),
        ({}, "ood_longer", "has no problems of"),
        ({}, "humaneval", "has no problems of"),
        ({"model.kind": "language", "problems.test_size": 0}, "test", "has no problems of"),
        ({"model.kind": "language", "problems.ood_size": 4}, "ood_family", "has no problems of"),
        ({"model.kind": "language", "problems.ood_size": 4}, "ood_longer", None),
        ({"iterations": 2}, "test", None),
        ({"evaluation.every": 3}, "train", None),
    ],
)
def test_a_study_that_could_see_no_run_generalise_is_refused(study_file, settings, split, says):
    study = load_study(study_file()).model_copy(update={"settings": settings, "split": split})
    if says is None:
        assert len(plan(study, 0)) == 2
        return
    with pytest.raises(ConfigError, match=says):
        plan(study, 0)


@pytest.mark.parametrize("option", [("--shard", "1/2"), ("--parallel", "2")], ids=" ".join)
def test_a_study_that_is_submitted_is_not_split_by_hand(study_file, option):
    done = CliRunner().invoke(app, ["study", str(study_file()), "--submit", "cpu", *option])
    assert "leave out --shard and --parallel" in str(done.exception)


def test_the_expert_arm_of_a_seed_runs_first_and_the_others_replay_it(study_file):
    arms = '["static_rft", "frozen", "expert_iteration", "random_accept"]'
    text = STUDY.replace("6", "7") + f'arms = {arms}\n[settings]\n"sampling.temperature" = 2.5\n'
    study = load_study(study_file(text))
    configs = plan(study, 3)
    assert configs[0].arm == "expert_iteration"
    assert {config.arm: config.yoke for config in configs} == {
        "expert_iteration": "",
        "frozen": "",
        "static_rft": "tiny-expert_iteration-s03",
        "random_accept": "tiny-expert_iteration-s03",
    }
    assert {config.seed for config in configs} == {3}
    assert {config.sampling.temperature for config in configs} == {2.5}
    assert len(study.runs()) == 28 == len(set(study.runs()))
    assert not any(config.yoke for config in plan(study.model_copy(update={"yoked": False}), 0))


def curve(values):
    return Curve.of(np.arange(float(len(values))), [1.0] * len(values), values)


def test_generalised_means_reached_and_kept():
    assert stable_from(curve([0.1] * 5 + [0.95] * 10), 0.9) == 5
    assert stable_from(curve([0.1] * 15), 0.9) is None
    assert stable_from(curve([0.1] * 5 + [0.95] * 4 + [0.3] * 3), 0.9) is None
    assert stable_from(curve([0.1] * 5 + [0.95] * 3 + [0.3] * 3 + [0.95] * 4), 0.9) == 11
    assert stable_from(curve([0.1] * 5 + [0.95] * 3 + [0.86] * 3 + [0.95] * 4), 0.9) == 5
    assert stable_from(curve([0.95, 0.95]), 0.9) is None
    assert stable_from(curve([0.0, 0.15, 0.15, *[0.0] * 6]), 0.1) is None, "a low level can be lost as well"
    assert stable_from(curve([0.0] * 4 + [0.15] * 3 + [0.06] * 3), 0.1) == 3


def outcome(arm, seed, time, horizon=40.0, examples=10, unmet=()):
    ledger = (Entry(1, 100, 10, examples, 10, 30, 5, 0.01, 1, 1.0, unmet=unmet),)
    metric = metric_row(
        iteration=0,
        split="val",
        value=0.5,
        low=0.0,
        high=1.0,
        n=10,
    )
    yoke = "" if arm == "expert_iteration" else f"expert_iteration-{seed}"
    return Outcome(
        f"{arm}-{seed}", arm, seed, yoke, min(time, horizon), time < horizon, horizon, "gradual", 0.9, (metric,), ledger
    )


def arms(shift, pairs=10, spread=1.0, **other):
    rng = np.random.default_rng(0)
    expert = [outcome("expert_iteration", seed, 20 + rng.normal(0, 3)) for seed in range(pairs)]
    static = [outcome("static_rft", run.seed, run.time + shift + rng.normal(0, spread), **other) for run in expert]
    return expert, static


def test_a_clear_difference_is_found_and_says_which_way():
    found = compare(*arms(5.0), "iteration", 0.02)
    assert found.difference == pytest.approx(5.0, abs=1.0)
    assert found.p == pytest.approx(2 / 2**10)
    assert found.low <= found.difference <= found.high
    assert "expert_iteration generalises sooner than static_rft" in found.paragraph()
    backwards = compare(*arms(-5.0), "iteration", 0.02)
    assert "static_rft generalises sooner than expert_iteration" in backwards.paragraph()


def test_comparisons_in_which_nothing_was_seen_are_told_together():
    decided = compare(*arms(5.0), "iteration", 0.02)
    never = [
        dataclasses.replace(decided, other=name, expert_generalised=0, other_generalised=0) for name in ("a", "b", "c")
    ]
    told = paragraphs([never[0], decided, *never[1:]])
    assert told[1:] == [decided.paragraph()]
    assert "no run of expert_iteration, nor of a, b, c, was seen to generalise within" in told[0]
    assert "Nothing follows" in told[0]
    assert paragraphs([decided, never[0]]) == [decided.paragraph(), never[0].paragraph()]
    apart = [
        never[0],
        dataclasses.replace(never[1], refusal="examples of round 3"),
        dataclasses.replace(never[2], left_out={"c": [4]}),
    ]
    assert paragraphs(apart) == [one.paragraph() for one in apart]


def test_no_difference_claims_neither_difference_nor_equality():
    paragraph = compare(*arms(0.0), "iteration", 0.02).paragraph()
    assert "does not follow that one arm generalises sooner, nor that they are alike" in paragraph
    assert "80 % power" in paragraph


def test_runs_that_never_generalise_count_with_the_horizon():
    expert, static = arms(100.0)
    found = compare(expert, static, "iteration", 0.02)
    assert (found.expert_generalised, found.other_generalised) == (10, 0)
    assert found.other_mean == 40.0
    assert found.log_rank_p < 0.001


def test_disagreeing_ledgers_refuse_the_verdict_and_name_the_number():
    found = compare(*arms(5.0, examples=14), "iteration", 0.02)
    assert found.refusal == "static_rft-0: examples of round 1 is 14 against the expert arm's 10"
    assert "No verdict" in found.paragraph()


def test_a_run_that_replays_another_experts_schedule_gives_no_verdict():
    expert, static = arms(5.0)
    static[3] = dataclasses.replace(static[3], yoke="expert_iteration-4")
    found = compare(expert, static, "iteration", 0.02)
    assert found.refusal == "static_rft-3 replays the schedule of expert_iteration-4, not of expert_iteration-3"


def test_runs_of_other_settings_and_options_beside_a_study_are_refused(study_file, tmp_path):
    study, root = load_study(study_file()), str(tmp_path / "runs")
    for arm, rate in (("expert_iteration", 1e-3), ("static_rft", 2e-3)):
        run = plan(study.model_copy(update={"settings": {"training.learning_rate": rate}}), 0)
        Experiment(root, next(config for config in run if config.arm == arm)).save()
    names = [run_name(study, arm, 0) for arm in study.arms]
    with pytest.raises(DataError, match=r"differ in training.learning_rate \(0.001 and 0.002\)"):
        gather(root, names, Reading())
    for option in ("--split", "--level", "--confidence"):
        value = "test" if option == "--split" else "0.8"
        told = CliRunner().invoke(app, ["compare", str(study_file()), option, value, "--root", root])
        assert isinstance(told.exception, ConfigError)
        assert str(told.exception).startswith(f"{option} {value} cannot be given with a study file")


def test_examples_that_gave_way_to_tokens_are_declared_and_allow_a_verdict():
    paragraph = compare(*arms(5.0, examples=14, unmet=("examples",)), "iteration", 0.02).paragraph()
    assert "generalises sooner" in paragraph
    assert "trained on 140 examples for 100 of expert_iteration" in paragraph
    assert "loss tokens within 0.0%" in paragraph


def test_an_arm_without_data_rests_and_the_verdict_says_so():
    """What it lacks is no fault of the yoke; an arm that has data and trains on less is another matter."""
    expert, other = arms(5.0)
    empty = {"problems": 0, "examples": 0, "fresh": 0, "loss_tokens": 0, "optimizer_steps": 0, "learning_rate": 0.0}
    rests = dataclasses.replace(other[0].ledger[0], **empty, resets=0, unmet=("problems", "examples"))
    resting = [dataclasses.replace(other[0], ledger=(rests,)), *other[1:]]
    found = compare(expert, resting, "iteration", 0.02)
    assert found.refusal is None
    assert found.rested == (1, 1, expert[0].ledger[0].loss_tokens)
    assert "had nothing to train on; expert_iteration trained on 30 loss tokens there" in found.paragraph()
    assert found.token_gap == 0
    idle = dataclasses.replace(rests, unmet=())
    assert compare(expert, [dataclasses.replace(other[0], ledger=(idle,)), *other[1:]], "iteration", 0.02).refusal


def test_within_a_percentage_is_never_less_than_the_gap():
    found = compare(*arms(5.0), "iteration", 0.02)
    for gap in (0.0004, 0.0101, 0.02, 0.0):
        said = float(re.search(r"within ([\d.]+)%", dataclasses.replace(found, token_gap=gap).paragraph())[1])
        assert gap <= said / 100 + 1e-12 < gap + 0.001


def test_where_no_run_generalised_nothing_is_said_of_times_or_power():
    expert = [outcome("expert_iteration", seed, 99.0) for seed in range(8)]
    found = compare(expert, [outcome("static_rft", seed, 99.0) for seed in range(8)], "trained_tokens", 0.02)
    assert math.isnan(found.detectable)
    assert "No run was seen to generalise within 40 trained tokens." in found.paragraph()
    assert "Nothing follows" in found.paragraph()
    assert not {"power", "nan", "0.00"} & set(found.paragraph().replace(".", " ").split())


def test_equal_differences_say_nothing_of_power_but_decide():
    expert = [outcome("expert_iteration", seed, 10.0) for seed in range(8)]
    found = compare(expert, [outcome("static_rft", seed, 15.0) for seed in range(8)], "iteration", 0.02)
    assert "nothing can be said of the difference" in found.paragraph()
    assert "It follows that expert_iteration generalises sooner" in found.paragraph()
    assert json.loads(report.figures({"x": []}, [found]), parse_constant=pytest.fail)


def test_the_power_is_that_of_the_level_that_decides():
    expert, static = arms(1.0, pairs=10)
    others = {name: [dataclasses.replace(run, arm=name) for run in static] for name in ("static_rft", "frozen")}
    alone, *both = (
        compare(expert, static, "iteration", 0.02),
        *compare_arms({"expert_iteration": expert} | others, Reading()),
    )
    differences = [b.time - a.time for a, b in zip(expert, static, strict=True)]
    assert both[0].detectable == survival.detectable(differences, alpha=0.025) > alone.detectable
    assert both[0].family_p == min(1.0, 2 * alone.p)
    with pytest.raises(DataError, match=r"at least 7 pairs to reach p <= 0.05 among 2 comparisons"):
        compare_arms({"expert_iteration": expert[:6]} | others, Reading())


@pytest.mark.parametrize("few", [1, 3])
def test_an_arm_with_few_pairs_takes_no_verdict_from_the_others(few):
    expert, static = arms(3.0, pairs=9)
    short = [dataclasses.replace(run, arm="frozen", yoke="") for run in static[:few]]
    alone = compare_arms({"expert_iteration": expert, "static_rft": static}, Reading())[0]
    for others in ({"static_rft": static, "frozen": short}, {"frozen": short, "static_rft": static}):
        found = {one.other: one for one in compare_arms({"expert_iteration": expert} | others, Reading())}
        assert found["static_rft"].p == alone.p
        assert found["static_rft"].family_p == min(1.0, 2 * alone.p)
        assert (found["frozen"].pairs, found["frozen"].family_p > 0.05) == (few, True)
        assert "So few pairs cannot decide among 2 comparisons" in found["frozen"].paragraph()
        assert "It does not follow that one arm generalises sooner" in found["frozen"].paragraph()


def test_the_confidence_is_that_of_the_interval_of_the_test_and_of_the_text():
    narrow, wide = (compare(*arms(1.1), "iteration", 0.02, confidence=level) for level in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high
    assert "(80 % bootstrap" in narrow.paragraph()
    assert "(99 % bootstrap" in wide.paragraph()
    assert 0.01 < narrow.p < 0.2
    assert "It follows" in narrow.paragraph()
    assert "It does not follow" in wide.paragraph()
    groups = by_arm([run for runs in arms(3.0) for run in runs])
    bands = [json.dumps(charts.survival(groups, "iteration", level).to_dict()) for level in (0.8, 0.99)]
    assert "80 % intervals" in bands[0]
    assert bands[0].replace("80 %", "99 %") != bands[1]


@pytest.mark.parametrize("setting", ["patience = 3", "only_if_improved = true"])
def test_a_study_refuses_arms_that_decide_for_themselves_how_long_they_train(study_file, setting):
    study = load_study(study_file(STUDY + f'[settings]\n"training.{setting.replace(" =", chr(34) + " =")}\n'))
    with pytest.raises(
        ConfigError, match=r"cannot run with training\.(patience = 3|only_if_improved = true): each arm"
    ):
        plan(study, 0)


def test_a_plan_shows_more_power_for_larger_effects_and_more_seeds(study_file):
    study = load_study(study_file(STUDY.replace("6", "9")))
    (found,) = plans(study)
    assert found.fewest == 6
    assert found.alpha == pytest.approx(0.05)
    assert 9 in found.seeds
    chances = np.array(found.chances)
    assert (np.diff(chances, axis=0) >= -0.05).all()
    assert (np.diff(chances, axis=1) >= -0.05).all()
    at_16 = found.chances[found.effects.index(pytest.approx(0.75, abs=0.01))][found.seeds.index(16)]
    assert at_16 == pytest.approx(0.80, abs=0.06), "a t test of 16 pairs finds 0.75 standard deviations with 80 %"


def test_a_plan_from_a_pilot_is_in_its_units_and_a_dumb_pilot_is_refused(study_file, tmp_path):
    study = load_study(study_file(STUDY))
    expert, static = arms(2.0, pairs=5)
    groups = by_arm([*expert, *static])
    (tmp_path / "figures.json").write_text(report.figures(groups, []))
    pilot = read_figures(tmp_path)
    assert pilot["static_rft"] == pytest.approx([b.time - a.time for a, b in zip(expert, static, strict=True)])
    (found,) = plans(study, pilot)
    assert found.unit == "iterations"
    assert found.effects[3] == pytest.approx(np.std(pilot["static_rft"], ddof=1))
    for nothing in ({"static_rft": [0.0, 0.0, 0.0]}, {"static_rft": [1.0]}, {"frozen": [1.0, 2.0]}):
        with pytest.raises(DataError, match="do not show the scatter"):
            plans(study, nothing)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_figures(tmp_path / "absent")


def test_five_pairs_and_one_arm_are_refused():
    with pytest.raises(DataError, match="at least 6 pairs"):
        compare(*arms(5.0, pairs=5), "iteration", 0.02)
    with pytest.raises(DataError, match="two arms"):
        compare_arms({"expert_iteration": arms(1.0)[0]}, Reading())
    expert, static = arms(1.0)
    with pytest.raises(DataError, match="share no seed"):
        compare(expert[:5], static[5:], "iteration", 0.02)
    with pytest.raises(DataError, match="leave one out"):
        by_arm([*expert, dataclasses.replace(expert[0], name="twin")])


def test_charts_and_page_hold_every_arm(tmp_path):
    groups = by_arm([run for runs in arms(3.0) for run in runs])
    found = compare_arms(groups, Reading())
    made = charts.all_of(groups, found, "iteration", "val")
    assert set(made) == {"survival", "incidence", "slopes", "differences", "curves"}
    for chart in made.values():
        assert json.dumps(chart.to_dict())
    page = report.page("tiny", groups, [found[0].paragraph()], made)
    assert found[0].paragraph() in page
    assert page.count("<svg") == 5
    assert "<script" not in page
    kept = json.loads(report.figures(groups, found))
    assert len(kept["runs"]) == 20
    assert kept["comparisons"][0]["p"] == found[0].p
    assert measurements(groups).height == 20


@pytest.mark.slow
def test_a_learner_that_is_handed_on_computes_what_a_new_one_does(tmp_path):
    """Its next runs have another seed, learning rate, rank or allocation of the draws. A run that failed and one of
    another engine's settings leave it to nobody."""
    base = {"path": str(make_tiny_model(tmp_path / "model")), "device": "cpu", "dtype": "float32"}

    def learn(root, seed, rate=1e-2, rank=16, top_p=1.0, fail=False, **draws):
        config = ExperimentConfig(
            name=f"seed-{seed}",
            seed=seed,
            model=base,
            training={"learning_rate": rate, "lora_r": rank},
            prompts={"template": "plain"},
            sampling={"engine": "transformers", "top_p": top_p} | draws,
        )
        with running(Experiment(str(tmp_path / root), config)) as run:
            learner, out = run.learner, tmp_path / root / f"adapter-{seed}-{rate}-{rank}-{top_p}"
            verifier = run.verifier
            learner.train([Example("ab", "cd", 1.0)] * 4, Round(Policy("base", None), out, seed, 1))
            learner.sampler.use(Policy("trained", out))
            drawn = list(learner.sampler.sample([Request("r", "ab", 4, 1.0, 1.0, 8, seed)]))
            if fail:
                raise ValueError("a run that fails")
        return learner.sampler, verifier, drawn, (out / "adapter_model.safetensors").read_bytes()

    draws = {"allocation": "adaptive", "samples_per_problem": 6, "min_draws": 2}
    changes = ({}, {"rate": 1e-3}, {"rate": 1e-3, "rank": 8}, draws)
    with handing_on():
        first, *others = learn("study", 0), *(learn(f"study-{n}", 1, **change) for n, change in enumerate(changes))
        assert {(id(sampler), id(verifier)) for sampler, verifier, *_ in [first, *others]} == {
            (id(first[0]), id(first[1]))
        }
        cut = learn("cut", 1, top_p=0.5)
        assert cut[0] is not first[0]
        assert cut[1] is first[1]
        with pytest.raises(ValueError, match="fails"):
            learn("failing", 2, top_p=0.5, fail=True)
        assert learn("last", 3, top_p=0.5)[0] is not cut[0]
    for change, found in zip(changes, others, strict=True):
        assert found[2:] == learn(f"alone-{len(change)}", 1, **change)[2:] != first[2:]


def axiom(folder, *command):
    environment = os.environ | {"PREFECT_HOME": str(folder / "prefect"), "AXIOM_ROOT": str(folder / "runs")}
    done = subprocess.run(
        [sys.executable, "-m", "axiom.cli", *command],
        env=environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def in_turn(path: Path, folder: Path, seeds: int) -> None:
    """The first seeds of a study in this process and without Prefect."""
    study, root = load_study(path), str(folder / "runs")
    with handing_on():
        for seed in range(seeds):
            runs = plan(study, seed)
            for run in runs:
                without_server(run, root, Operation(gpu="never", beside=siblings(runs, run)))
                ledger.write(Experiment.open(root, run.name))


@pytest.fixture
def in_workers(tmp_path, monkeypatch):
    """Runs a shard of a study in two processes without Prefect, whatever the machine has room for."""
    monkeypatch.setattr(flow, "room", lambda *_: Room(2, "", 1))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))

    def run(path: Path, shard: int = 0, shards: int = 1) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("PREFECT_API_URL", raising=False)
            flow.without_server(str(path), str(tmp_path / "runs"), shard, shards, parallel=2)

    return run


@pytest.mark.slow
@pytest.mark.usefixtures("one_server")
def test_all_arms_of_a_seed_run_agree_in_their_ledgers_and_are_reused(study_file, in_workers, tmp_path):
    """The second time in turn, under Prefect and from the command line: what workers have left is the same to it."""
    path = study_file(STUDY.replace("6", "9") + f"arms = {list(ARMS)}\n")
    in_workers(path, 0, 9)
    root = str(tmp_path / "runs")
    study = load_study(path)
    runs = {arm: read(Experiment.open(root, run_name(study, arm, 0)), Reading()) for arm in ARMS}
    expert = runs.pop("expert_iteration")
    assert len(expert.ledger) == 4
    for arm, run in runs.items():
        written = json.loads((tmp_path / "runs" / run.name / "ledger.json").read_text())
        assert [Entry(**entry | {"unmet": tuple(entry["unmet"])}) for entry in written] == list(run.ledger)
        if run.yoke:
            assert disagreement(expert.ledger, run.ledger, study.ledger_tolerance) is None, arm
    assert sum(entry.drawn for entry in runs["static_rft"].ledger) == sum(entry.drawn for entry in expert.ledger)
    assert not any(entry.optimizer_steps for entry in runs["frozen"].ledger)
    for arm in ("unverified", "random_accept", "static_rft", "frozen"):
        opened = Experiment.open(root, run_name(study, arm, 0))
        solved = {row.iteration: row.value for row in runs[arm].metrics if row.name == "solved"}
        for number in range(1, 5):
            samples, verdicts = (
                opened.stages.read(f"iterations/{number:04d}", name, record)
                for name, record in (("samples", Sample), ("verdicts", Verdict))
            )
            right = {row.problem_id for row in accepted(samples, verdicts)}
            assert solved.get(number) == (len(right) if samples else None), (arm, number)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("iterations/*/*.parquet")}
    axiom(tmp_path, "study", str(path), "--shard", "1/9")
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("iterations/*/*.parquet")}


WRITING = """
iterations = 2
[problems]
families = ["list_filter"]
difficulty = [1, 1]
train_size = 6
val_size = 3
test_size = 0
hidden_cases = 6
[model]
dtype = "float32"
device = "cpu"
[sampling]
engine = "transformers"
samples_per_problem = 12
temperature = 0.6
max_new_tokens = 190
[sandbox]
workers = 1
[selection]
max_per_problem = 3
[replay]
rounds = 3
[training]
batch_size = 2
gradient_accumulation = 1
epochs = 2
learning_rate = 1e-3
"""


def language_study(folder, programmer, arms, seeds, longest=160):
    (folder / "preset.toml").write_text(WRITING.replace("[model]", f'[model]\npath = "{programmer}"'))
    settings = f'[settings]\n"training.max_length" = {longest}\n'
    path = folder / "study.toml"
    path.write_text(f'name = "words"\npreset = "preset.toml"\nseeds = {seeds}\narms = {list(arms)}\n{settings}')
    return path, load_study(path)


def ledgers(folder, study, arms, seed):
    runs = {arm: Experiment.open(str(folder / "runs"), run_name(study, arm, seed)) for arm in arms}
    return {arm: read(run, study.reading()).ledger for arm, run in runs.items()}, runs["expert_iteration"].stages


@pytest.mark.slow
def test_every_yoked_arm_of_a_language_model_keeps_to_the_experts_ledger(tmp_path, programmer):
    """Reference solutions are shorter than anything the expert arm finds, so there examples must give way to tokens."""
    yoked = [arm for arm in ARMS if ARMS[arm].yoked]
    arms = ["expert_iteration", "frozen", *yoked]
    path, study = language_study(tmp_path, programmer, arms, 9)
    in_turn(path, tmp_path, 1)
    runs, stages = ledgers(tmp_path, study, arms, 0)
    expert = runs["expert_iteration"]
    assert all(entry.examples for entry in expert), "an expert that finds nothing proves nothing"
    assert any(entry.dropped for entry in expert), "the longest way to write a filter is too long"
    steps = [stages.read(f"iterations/{n:04d}", "losses", LossStep) for n in (1, 2)]
    golds = [stages.read(f"iterations/{n:04d}", "gold", Gold) for n in (1, 2)]
    for entry, taken, gold in zip(expert, steps, golds, strict=True):
        assert entry.examples + entry.dropped == len(gold)
        assert sum(step.examples for step in taken) == 2 * entry.examples, "in two epochs"
    numbers = [step.step for taken in steps for step in taken]
    assert numbers == list(range(1, len(numbers) + 1)), "each step has its own number, over all rounds"
    measured = {row.iteration: row.optimizer_step for row in stages.read("", "metrics", Metric)}
    assert measured[2] == len(numbers)
    for arm in yoked:
        assert disagreement(expert, runs[arm], study.ledger_tolerance) is None, arm
        wanted, trained = (sum(entry.loss_tokens for entry in ledger) for ledger in (expert, runs[arm]))
        assert abs(trained - wanted) <= max(0.02 * wanted, expert[-1].longest / 2), arm
        assert [entry.optimizer_steps for entry in runs[arm]] == [entry.optimizer_steps for entry in expert], arm
    assert any("examples" in entry.unmet for entry in runs["sft_reference"])
    assert not any(entry.optimizer_steps for entry in runs["frozen"])


@pytest.mark.slow
def test_a_study_of_a_language_model_ends_in_a_verdict(tmp_path, programmer):
    path, study = language_study(tmp_path, programmer, ["expert_iteration", "sft_reference"], 6, longest=200)
    in_turn(path, tmp_path, study.seeds)
    command = ["compare", str(path), "--out", str(tmp_path / "page"), "--root", str(tmp_path / "runs")]
    told = CliRunner().invoke(app, command, catch_exceptions=False).stdout
    for seed in range(6):
        runs, _ = ledgers(tmp_path, study, study.arms, seed)
        assert all(sum(entry.examples for entry in ledger) for ledger in runs.values()), "no gold, nothing compared"
    assert "No verdict" not in told
    [figures] = json.loads((tmp_path / "page/figures.json").read_text())["comparisons"]
    [found] = Study.load(path, str(tmp_path / "runs")).compare()
    assert (figures["refusal"], figures["p"]) == (None, found.p)
