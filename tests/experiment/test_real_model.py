"""A whole run of the real model with the real engine: flow, sampling by vLLM, sandbox, LoRA training and report."""

import re
from pathlib import Path

import pytest

from axiom.experiment import Experiment, iteration_folder
from axiom.records import Evaluation, Gold, LossStep, Metric, Outcome, Sample, Verdict
from tests.processes import finish, start

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_server"), pytest.mark.timeout(900)]

PRESET = """
name = "real"
iterations = 2
[problems]
families = ["string_transform"]
difficulty = [1, 1]
train_size = 4
val_size = 2
test_size = 0
hidden_cases = 6
[model]
path = "smollm2-135m"
device = "cpu"
[sampling]
engine = "vllm"
samples_per_problem = 4
max_new_tokens = 48
[sampling.vllm]
max_model_len = 1024
[sandbox]
workers = 1
[selection]
max_per_problem = 1
"""


def test_the_real_model_is_sampled_judged_trained_and_measured(tmp_path):
    preset = tmp_path / "real.toml"
    preset.write_text(PRESET)
    out = finish(start(tmp_path, "run", str(preset)))
    assert len(re.findall(r"^iteration ./2  train ", out, re.M)) == 3
    experiment = Experiment.open(str(tmp_path / "artifacts"), "real")
    stages, policies = experiment.stages, set[str]()
    for number in (1, 2):
        folder = iteration_folder(number)
        verdicts = {row.sample_id: row.outcome for row in stages.read(folder, "verdicts", Verdict)}
        samples, gold = stages.read(folder, "samples", Sample), stages.read(folder, "gold", Gold)
        assert len(samples) == len(verdicts) == 16
        assert gold, "without any, nothing is trained"
        assert all(verdicts[row.sample_id] is Outcome.PASSED for row in gold if row.iteration == number)
        assert sum(step.examples for step in stages.read(folder, "losses", LossStep)) == len(gold)
        assert (Path(experiment.root) / "real" / folder / "adapter/adapter_model.safetensors").exists()
        assert len(stages.read(folder, "evaluation", Evaluation)) == 6
        policies |= {row.policy_version for row in samples}
    assert len(policies) == 2, "the second round is drawn by what the first has trained"
    shown = [row for row in stages.read("", "metrics", Metric) if row.name == "policy_mismatch"]
    assert [row.iteration for row in shown] == [0, 1, 2]
    assert all(0 < row.value < 0.1 for row in shown), "the engine's weights are the trainer's"
    assert "Sampling engine against trainer" in experiment.folder.read_bytes("report.html").decode()
