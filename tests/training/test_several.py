"""Training in several processes gives the update of one; a process that fails or dies ends the round."""

import os
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from safetensors.torch import load_file

from axiom.config import ExperimentConfig, ModelConfig, TrainingConfig
from axiom.errors import ConfigError, EngineError, OutOfMemoryError
from axiom.learners import check_engine
from axiom.learners.proof import train_path
from axiom.models import Policy
from axiom.models.ways import OWN
from axiom.sampling import Trace
from axiom.training import Example, Round, Setup
from axiom.training.batches import Encoded, shares
from axiom.training.ranks import Ranks
from axiom.training.trainer import Alone, open_trainer
from tests.models.tiny_model import make_tiny_model

pytestmark = pytest.mark.slow

BASE = Policy("base", None)
WEIGHTS = (1.0, 0.5, -0.7, 2.0, -1.5, 1.0, 0.3)
EXAMPLES = [Example("def f(x):" + "x" * n, " return x" + "y" * (7 * n % 11), WEIGHTS[n % 7]) for n in range(11)]
"""Of unequal lengths and weights; in steps of five the last has one, which one of two processes has nothing of."""
CONFIG = TrainingConfig(learning_rate=1e-2, batch_size=1, gradient_accumulation=5, epochs=2, data_parallel=2)
LONG = CONFIG.model_copy(update={"max_length": 20_000})
SHARDED = CONFIG.model_copy(update={"fsdp": True})


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return ModelConfig(path=str(make_tiny_model(tmp_path_factory.mktemp("model"))), dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def two(model):
    """Two processes, joined by gloo; one that was ended is started anew when it is needed."""
    ranks = Ranks(model, 2)
    yield ranks
    ranks.release()


def fit(trainer, model, out, config, previous=BASE, path=None, examples=EXAMPLES, on_step=lambda _: None):
    this = Round(previous, out, 1, 1, first_step=5, on_step=on_step)
    return trainer.train(examples, this, Setup(model, config, path or train_path(model, config)))


def assert_same(left, right):
    """Adapter and moments, within what another order of sums gives."""
    for name in ("adapter_model", "optimizer"):
        ours, theirs = (load_file(folder / f"{name}.safetensors") for folder in (left, right))
        assert ours.keys() == theirs.keys()
        for key, value in ours.items():
            assert (value - theirs[key]).norm() <= 2e-3 * value.norm(), key


@pytest.mark.parametrize(
    ("config", "path"), [(CONFIG, None), (SHARDED, None), (SHARDED, OWN)], ids=["data", "fsdp", "fsdp-own-code"]
)
def test_two_processes_take_the_steps_of_one(model, two, tmp_path, config, path):
    """Over two rounds: the second goes on with the adapter and the moments of the first."""
    rounds = {}
    for name, trainer in (("one", Alone()), ("two", two)):
        heard = []
        first = fit(trainer, model, tmp_path / name / "a", config, path=path, on_step=heard.append)
        assert heard == first
        before = Policy("a", tmp_path / name / "a")
        rounds[name] = [*first, *fit(trainer, model, tmp_path / name / "b", config, before, path)]
    for ours, theirs in zip(rounds["one"], rounds["two"], strict=True):
        assert theirs.loss == pytest.approx(ours.loss, rel=1e-4, abs=1e-6)
        assert theirs.grad_norm == pytest.approx(ours.grad_norm, rel=1e-4)
        same = {"loss": 0.0, "grad_norm": 0.0}
        assert theirs.model_copy(update=same) == ours.model_copy(update=same)
    assert [step.examples for step in rounds["two"]] == [5, 5, 1] * 4
    for part in "ab":
        assert_same(tmp_path / "one" / part, tmp_path / "two" / part)
    assert (tmp_path / "one/b/adapter_config.json").read_bytes() == (
        tmp_path / "two/b/adapter_config.json"
    ).read_bytes()


@pytest.mark.parametrize("config", [CONFIG, SHARDED], ids=["data", "fsdp"])
def test_two_processes_score_as_one(model, two, tmp_path, config):
    fit(two, model, tmp_path / "a", config)
    traces = [Trace((3, 4, 5), (6, 7, 8, 9), ()), Trace((9, 8), (7, 6), ())]
    setup = Setup(model, config, train_path(model, config))
    for policy in (BASE, Policy("a", tmp_path / "a")):
        one, both = (t.score(traces, policy, setup) for t in (Alone(), two))
        assert both == pytest.approx(one, abs=1e-4)
    assert both.shape == (6,)
    texts = [Encoded(list(trace.prompt + trace.tokens), len(trace.prompt), 1.0) for trace in traces]
    one, both = (t.divergences(texts, policy, BASE, setup) for t in (Alone(), two))
    assert [len(nats) for nats in both] == [4, 2]
    assert np.concatenate(both) == pytest.approx(np.concatenate(one), rel=1e-3, abs=1e-6)
    assert np.concatenate(one).max() > 1e-4


def test_each_process_drops_its_own_inputs(model, two, tmp_path):
    """Two equal examples: processes that dropped alike would take the step of one of them."""
    dropping = CONFIG.model_copy(update={"lora_dropout": 0.5, "gradient_accumulation": 2, "epochs": 1})
    pair = [EXAMPLES[3], EXAMPLES[3]]
    first = fit(two, model, tmp_path / "a", dropping, examples=pair)
    again = fit(two, model, tmp_path / "b", dropping, examples=pair)
    (alone,) = fit(two, model, tmp_path / "c", dropping, examples=pair[:1])
    assert first == again
    assert first[0].loss == pytest.approx(alone.loss), "the update is still zero"
    assert first[0].grad_norm != pytest.approx(alone.grad_norm, rel=1e-3)
    assert (tmp_path / "a/adapter_model.safetensors").read_bytes() == (
        tmp_path / "b/adapter_model.safetensors"
    ).read_bytes()


def test_a_process_that_dies_ends_the_round_and_the_next_starts_them_again(model, two, tmp_path):
    def kill(step):
        if step.step == 7:
            os.kill(two._processes[1].process.pid, signal.SIGKILL)

    many = CONFIG.model_copy(update={"epochs": 200})
    fit(two, model, tmp_path / "before", CONFIG)
    pids = [process.process.pid for process in two._processes]
    with pytest.raises(EngineError, match=r"training process 1 \(pid \d+\) died with status -9"):
        fit(two, model, tmp_path / "lost", many, on_step=kill)
    assert not two.loaded
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    assert not (tmp_path / "lost/adapter_model.safetensors").exists()
    fit(two, model, tmp_path / "after", CONFIG)
    assert (tmp_path / "after/adapter_model.safetensors").read_bytes() == (
        tmp_path / "before/adapter_model.safetensors"
    ).read_bytes()


def test_an_error_in_a_process_is_that_of_one_process(model, two, tmp_path):
    short = CONFIG.model_copy(update={"max_length": 32})
    with pytest.raises(ConfigError, match=r"max_length = 32 leaves out every example"):
        fit(two, model, tmp_path, short, examples=[Example("p" * 50, "t" * 9, 1.0)] * 2)


def test_memory_that_runs_out_in_a_process_is_told_as_that(model, two, tmp_path):
    fit(two, model, tmp_path, LONG)
    process = two._processes[1].process
    size = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0]) * resource.getpagesize()
    limit = size + (32 << 20)  # what it is asked is read, and does not fit
    resource.prlimit(process.pid, resource.RLIMIT_AS, (limit, limit))
    with pytest.raises(OutOfMemoryError, match="memory ran out"):
        fit(two, model, tmp_path, LONG, examples=[Example("p" * 9000, "t" * 9000, 1.0)] * 2)
    assert not two.loaded


def test_a_trainer_stays_while_its_processes_are_as_many(model):
    one = open_trainer(model, TrainingConfig())
    assert isinstance(one, Alone)
    assert open_trainer(model, TrainingConfig(lora_r=8), one) is one
    two = open_trainer(model, CONFIG, one)
    assert isinstance(two, Ranks)
    assert open_trainer(model, SHARDED, two) is two
    assert isinstance(open_trainer(model, TrainingConfig(), two), Alone)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"data_parallel": 9},
            r"data_parallel = 9 is more than the 8 examples of an optimizer step; lower it, or raise",
        ),
        ({"fsdp": True}, r"fsdp has one GPU to split the weights over, as training.data_parallel = 1; set"),
        ({"fsdp": True, "data_parallel": 2, "mode": "merge"}, r"mode = 'merge' cannot add to the weights"),
    ],
)
def test_what_several_processes_cannot_do_is_refused_before_a_run(settings, message):
    model = {"path": "smollm2-135m", "device": "cpu"}
    with pytest.raises(ConfigError, match=message):
        check_engine(ExperimentConfig.model_validate({"model": model, "training": settings}))


def test_more_gpus_than_are_visible_are_refused(monkeypatch):
    monkeypatch.setattr("axiom.training.trainer.resolve_device", lambda _: "cuda")
    monkeypatch.setattr("axiom.training.trainer.devices", lambda: ("0", "1", "2"))
    model = ModelConfig(path="smollm2-135m")
    with pytest.raises(ConfigError, match=r"data_parallel = 4 is more than the 3 GPUs that are visible; lower it"):
        open_trainer(model, TrainingConfig(data_parallel=4))
    found = open_trainer(model, TrainingConfig(data_parallel=0))
    assert isinstance(found, Ranks)
    assert found.count == 3
    few = open_trainer(model, TrainingConfig(data_parallel=0, gradient_accumulation=2))
    assert isinstance(few, Ranks)
    assert few.count == 2


@given(st.lists(st.integers(1, 300), max_size=40), st.integers(1, 5))
def test_shares_have_every_example_once_and_are_balanced(lengths, parts):
    batch = [Encoded([1] * length, 0, 1.0) for length in lengths]
    found = shares(batch, parts)
    assert sorted(id(one) for part in found for one in part) == sorted(map(id, batch))
    tokens = [sum(len(one.tokens) for one in part) for part in found]
    assert max(tokens) - min(tokens) <= max(lengths, default=0)
