"""The whole row: killed anywhere it resumes, and the artifacts are those of an undisturbed run.

On a tiny model that writes filters, and in the long run on the real one, which takes minutes a run.
"""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from axiom.evaluation import evaluate
from axiom.experiment import Experiment
from axiom.progress import Progress, listen
from axiom.records import Distance, Evaluation, Gold, LossStep, Metric, Outcome, Sample, Verdict
from axiom.selection import accepted, select
from axiom.store import StageStore
from tests.processes import alone, said, start_to_kill

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_server")]

TINY = """
name = "tiny"
seed = 5
iterations = 2
[problems]
families = ["list_filter"]
difficulty = [1, 1]
train_size = 6
val_size = 4
test_size = 2
hidden_cases = 6
[model]
path = "PATH"
dtype = "float32"
device = "cpu"
[sampling]
engine = "transformers"
samples_per_problem = 4
max_new_tokens = 190
temperature = 0.6
batch_size = 8
[replay]
rounds = 1
[training]
batch_size = 4
gradient_accumulation = 1
learning_rate = 5e-4
[evaluation]
samples_per_problem = 2
pass_at = [1, 2]
"""


TIMED = ("verdicts", "eval_verdicts", "metrics", "iteration")
"""Stages whose tables hold seconds, or handles of such; every other one has the same bytes whenever it is computed."""


@pytest.fixture(scope="module", params=["tiny", pytest.param("smollm2-135m", marks=pytest.mark.long)])
def preset(request, programmer, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("preset") / "tiny.toml"
    path.write_text(TINY.replace("PATH", str(programmer) if request.param == "tiny" else request.param))
    return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, preset, one_server) -> tuple[Experiment, str]:
    root = str(tmp_path_factory.mktemp("undisturbed") / "artifacts")
    out = said("run", str(preset), "--root", root)
    return Experiment.open(root, "tiny"), out


def stage_names(experiment: Experiment) -> list[tuple[str, str]]:
    names = [("problems", "problems")]
    for number in range(experiment.config.iterations + 1):
        folder = f"iterations/{number:04d}"
        stages = [n for n in experiment.folder.join(folder).names() if n.endswith(".manifest.json")]
        names += [(name.removesuffix(".manifest.json"), folder) for name in stages]
    return names


def test_it_says_what_it_did(undisturbed):
    experiment, out = undisturbed
    assert "Greedy accuracy with 95% Wilson intervals" in out
    assert "Undetermined: 3 evaluations so far, a verdict needs 12" in out
    assert experiment.folder.exists("report.html")
    assert len(re.findall(r"^iteration ./2  train ", out, re.M)) == 3
    assert "Sampling engine against trainer" in (experiment.folder.read_bytes("report.html")).decode()
    shown = [m for m in experiment.stages.read("", "metrics", Metric) if m.name == "policy_mismatch"]
    assert [row.iteration for row in shown] == [0, 1, 2]
    assert all(0 < row.value < 0.25 and row.n > 0 for row in shown)


def test_every_table_holds_what_its_arrow_promises(undisturbed):
    experiment, _ = undisturbed
    stages, config = experiment.stages, experiment.config
    assert {split: len(rows) for split, rows in experiment.problems.items()} == {"train": 6, "val": 4, "test": 2}
    for number in (1, 2):
        folder = f"iterations/{number:04d}"
        samples = stages.read(folder, "samples", Sample)
        verdicts = {v.sample_id: v for v in stages.read(folder, "verdicts", Verdict)}
        gold = stages.read(folder, "gold", Gold)
        assert gold, "without any, nothing is trained and the tests below tell little"
        assert len(samples) == 6 * config.sampling.samples_per_problem == len(verdicts)
        fresh = [row for row in gold if row.reason == "verified"]
        assert all(verdicts[row.sample_id].outcome is Outcome.PASSED for row in fresh)
        assert len(stages.read(folder, "evaluation", Evaluation)) == 12
        losses = stages.read(folder, "losses", LossStep)
        assert sum(step.examples for step in losses) == len(gold)
        assert len({sample.policy_version for sample in samples}) == 1
    metrics = stages.read("", "metrics", Metric)
    assert {row.iteration for row in metrics} == {0, 1, 2}
    assert {"greedy_accuracy", "pass@1", "pass@2", "gold", "solved"} <= {row.name for row in metrics}


def test_each_policy_s_distance_and_the_diversity_of_each_round_are_measured(undisturbed):
    experiment, _ = undisturbed
    metrics = [row for row in experiment.stages.read("", "metrics", Metric) if row.pooled]
    distance = {row.iteration: row for row in metrics if row.name == "kl_from_base"}
    assert (distance[0].value, distance[0].low, distance[0].high, distance[0].n) == (0, 0, 0, 4)
    assert all(0 < distance[number].value < 5 for number in (1, 2))
    for number in (1, 2):
        each = experiment.stages.read(f"iterations/{number:04d}", "distance", Distance)
        assert [row.problem_id for row in each] == [problem.problem_id for problem in experiment.problems["val"]]
        here = {row.name: row for row in metrics if row.iteration == number}
        solved = here["solved"].value
        assert here["distinct_programs"].n == here["distinct_behaviours"].n == solved
        assert (
            here["accepted_samples"].value >= here["distinct_programs"].value >= here["distinct_behaviours"].value >= 1
        )


def test_a_second_run_computes_nothing(undisturbed, preset):
    """Without Prefect: what was done under it is the same to it."""
    experiment, _ = undisturbed
    told: list[Progress] = []
    before = {p: p.stat().st_mtime_ns for p in Path(experiment.root).rglob("iterations/**/*.*")}
    with listen(told.append):
        alone(experiment.root, preset)
    assert {p: p.stat().st_mtime_ns for p in Path(experiment.root).rglob("iterations/**/*.*")} == before
    assert [progress.reused for progress in told if progress.stage == "done"] == [True] * 3


def test_killed_at_two_moments_it_resumes_to_the_same_artifacts(tmp_path, preset, undisturbed):
    """Killed without Prefect, whose client would take longer to import than the run takes, and resumed under it."""
    reference, _ = undisturbed
    seen: set[str] = set()
    manifests = tmp_path / "artifacts" / "tiny"
    for _ in range(2):
        process = start_to_kill(tmp_path, preset)
        deadline = time.monotonic() + 400
        while process.exitcode is None and time.monotonic() < deadline:
            now = {str(path) for path in (*manifests.glob("problems/*.json"), *manifests.glob("iterations/*/*.json"))}
            if len(now) >= len(seen) + 3:
                seen = now
                break
            time.sleep(0.02)
        assert process.exitcode is None
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
    said("resume", "tiny", "--root", str(tmp_path / "artifacts"))
    resumed = Experiment.open(str(tmp_path / "artifacts"), "tiny")
    assert stage_names(resumed) == stage_names(reference)
    for stage, folder in stage_names(reference):
        ours, theirs = resumed.stages.manifest(stage, folder), reference.stages.manifest(stage, folder)
        assert resumed.stages.intact(ours), (stage, folder)
        if stage not in TIMED:
            assert ours.digest == theirs.digest, (stage, folder)
    assert not list(manifests.rglob(".tmp-*"))
    for number in (1, 2):
        assert_follows_from_its_inputs(resumed, f"iterations/{number:04d}")


def assert_follows_from_its_inputs(experiment: Experiment, folder: str) -> None:
    """What was selected and measured is what the samples on disk give, however often the run was killed."""
    stages = experiment.stages
    samples, verdicts = stages.read(folder, "samples", Sample), stages.read(folder, "verdicts", Verdict)
    assert [row.sample_id for row in samples] == [row.sample_id for row in verdicts]
    fresh = [row for row in stages.read(folder, "gold", Gold) if row.reason == "verified"]
    assert fresh == select(accepted(samples, verdicts), experiment.config.selection)
    asked, judged = stages.read(folder, "eval_samples", Sample), stages.read(folder, "eval_verdicts", Verdict)
    measured = stages.read(folder, "evaluation", Evaluation)
    assert measured == evaluate(experiment.problems_by_id.values(), asked, judged)
    policy = {row.policy_version for row in asked}
    assert policy == {f"{Path(folder).name}-{stages.manifest('adapter', folder).digest[:12]}"} or not fresh


def test_a_damaged_table_is_recomputed_and_nothing_else(undisturbed, preset):
    experiment, _ = undisturbed
    folder = Path(experiment.root).parent
    table = folder / "artifacts/tiny/iterations/0001/gold.parquet"
    whole = table.read_bytes()
    table.write_bytes(whole[:100])
    adapter = folder / "artifacts/tiny/iterations/0001/adapter/adapter_model.safetensors"
    before = adapter.stat().st_mtime_ns
    alone(experiment.root, preset)
    assert table.read_bytes() == whole
    assert adapter.stat().st_mtime_ns == before
    assert StageStore(experiment.folder).manifest("gold", "iterations/0001")
