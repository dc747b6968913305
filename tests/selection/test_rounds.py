"""Whole runs with all of selection on: each round does what is set, and one that was killed leaves the same bytes."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from axiom.experiment import Experiment, iteration_folder
from axiom.experiment.ledger import disagreement, read
from axiom.progress import listen
from axiom.records import Gold, History, Metric, PassedOver, Sample
from tests.processes import alone, start_to_kill

pytestmark = pytest.mark.slow

WRITING = """
iterations = 3
[problems]
families = ["list_filter"]
difficulty = [1, 2]
train_size = 8
val_size = 3
test_size = 0
hidden_cases = 6
[model]
path = "{model}"
dtype = "float32"
device = "cpu"
[sampling]
engine = "transformers"
samples_per_problem = 12
temperature = 0.6
max_new_tokens = 190
allocation = "adaptive"
[sandbox]
workers = 1
[selection]
strategy = "diverse"
max_per_problem = 2
max_rows = 3
weight = "inverse_solve_rate"
min_gold = 1
[replay]
share = 0.4
strategy = "forgetting"
[curriculum]
kind = "linear"
rounds = 1
[training]
batch_size = 4
gradient_accumulation = 1
learning_rate = 1e-3
"""
COUNTING = """
iterations = 6
[model]
kind = "modular"
[modular]
p = 19
steps_per_iteration = 20
[sampling]
samples_per_problem = 6
temperature = 4.0
allocation = "adaptive"
[selection]
strategy = "uniform"
max_rows = 40
weight = "inverse_solve_rate"
min_gold = 12
[replay]
share = 0.5
strategy = "forgetting"
capacity = 60
[curriculum]
kind = "self_paced"
low = 0.05
high = 0.9
"""
"""The same without programs, in seconds: with a buffer that overflows, and paced in place of levels."""
EXACT = ("samples", "history", "gold", "passed_over", "buffer", "adapter", "eval_samples", "evaluation")
"""Stages whose bytes do not depend on the clock."""


@dataclass(frozen=True)
class Run:
    """A run that nothing disturbed: its preset, what it told and what it left."""

    preset: Path
    told: list[str]
    left: Experiment


def run_of(folder: Path, name: str, text: str) -> Run:
    preset = folder / f"{name}.toml"
    preset.write_text(text)
    told: list[str] = []
    with listen(lambda progress: told.append(progress.note)):
        left = alone(folder / "artifacts", preset, name=name)
    return Run(preset, told, left)


@pytest.fixture(scope="module")
def counting(tmp_path_factory) -> Run:
    return run_of(tmp_path_factory.mktemp("counting"), "counting", COUNTING)


@pytest.fixture(scope="module")
def writing(tmp_path_factory, programmer) -> Run:
    return run_of(tmp_path_factory.mktemp("writing"), "writing", WRITING.format(model=programmer))


def digests(experiment: Experiment) -> dict[tuple[int, str], str]:
    found = {}
    for number in range(1, experiment.config.iterations + 1):
        for stage in EXACT:
            manifest = experiment.stages.manifest(stage, iteration_folder(number))
            assert manifest is not None, (number, stage)
            found[number, stage] = manifest.digest
    return found


def test_each_round_of_programs_does_what_its_settings_say(writing):
    experiment = writing.left
    problems, drawn = experiment.problems_by_id, {}
    for number in range(1, 4):
        folder = iteration_folder(number)
        samples = experiment.stages.read(folder, "samples", Sample)
        history = experiment.stages.read(folder, "history", History)
        gold = experiment.stages.read(folder, "gold", Gold)
        drawn[number] = {problems[row.problem_id].difficulty for row in samples}
        assert len(samples) == 8 * 12, "a round draws as often at every level"
        assert {row.level for row in history} == {1 if number == 1 else 2}
        assert sum(row.draws for row in history) == number * 96
        assert gold, "without any the test tells little"
        assert sum(row.weight for row in gold) / len(gold) == pytest.approx(1)
        fresh = [row for row in gold if row.reason != "replayed"]
        assert {row.reason for row in fresh} == {"verified, diverse"}
        assert len(fresh) <= 3
        assert len(gold) - len(fresh) <= round(len(fresh) * 0.4 / 0.6)
    assert drawn == {1: {1}, 2: {1, 2}, 3: {1, 2}}
    assert "level 2" in "\n".join(writing.told)


def test_each_round_of_numbers_does_what_its_settings_say(counting):
    whole, replayed = counting.left, 0
    for number in range(1, 7):
        folder = iteration_folder(number)
        history = {row.problem_id: row for row in whole.stages.read(folder, "history", History)}
        gold = whole.stages.read(folder, "gold", Gold)
        fresh = [row for row in gold if row.reason != "replayed"]
        replayed += len(gold) - len(fresh)
        assert len(whole.stages.read(folder, "samples", Sample)) == 6 * len(history)
        rates = [history[row.problem_id].recent_passes / history[row.problem_id].recent_draws for row in fresh]
        assert all(0.05 <= rate <= 0.9 for rate in rates)
        assert len(fresh) <= 40
        assert len(gold) <= 2 * len(fresh)
        assert len(whole.stages.read(folder, "buffer", Gold)) <= 60
        left = whole.stages.read(folder, "passed_over", PassedOver)
        assert {row.why for row in left} <= {"duplicate", "max_rows", "self_paced"}
    assert replayed
    metrics = whole.stages.read("", "metrics", Metric)
    assert {row.name for row in metrics} >= {"replayed", "replay_staleness", "groups_mixed", "groups_all_wrong"}


@pytest.mark.parametrize("name", ["writing", "counting"])
def test_killed_at_many_moments_it_resumes_to_the_same_bytes(tmp_path, name, request):
    """With levels, diverse programs and a share of old gold, and with what the modular network has in their place."""
    undisturbed = request.getfixturevalue(name)
    folder, seen, kills = tmp_path / "artifacts" / name, 0, 0
    process = start_to_kill(tmp_path, undisturbed.preset, f"name={name}")
    for _ in range(3):
        deadline = time.monotonic() + 400
        while process.exitcode is None and time.monotonic() < deadline:
            now = len(list(folder.glob("iterations/*/*.json")))
            if now >= seen + 9:
                seen = now
                break
            time.sleep(0.005)
        if process.exitcode is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
        kills += 1
        process = start_to_kill(tmp_path, undisturbed.preset, f"name={name}")
    process.join()
    assert (process.exitcode, kills >= 2) == (0, True)
    assert digests(Experiment.open(str(tmp_path / "artifacts"), name)) == digests(undisturbed.left)


@pytest.mark.parametrize("arm", ["random_accept", "sft_reference"])
def test_a_yoked_arm_keeps_to_the_experts_ledger(counting, arm):
    expert = counting.left
    entries = read(alone(expert.root, counting.preset, f"arm={arm}", f"yoke={expert.config.name}", name=arm))
    assert disagreement(read(expert), entries, 0.02) is None
    assert any(entry.optimizer_steps for entry in entries)
