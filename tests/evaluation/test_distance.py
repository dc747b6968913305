"""The distance of a policy from the base model is the divergence of the whole next-token distribution, and no less."""
# ruff: noqa: TID253

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from scipy.stats import t

from axiom.config import ExperimentConfig, load_config
from axiom.evaluation import Counters
from axiom.evaluation.distance import distance_metrics, distances, held
from axiom.learners.modular import ModularLearner, Pairs, logits, new_network
from axiom.models import Policy, load_model, load_tokenizer
from axiom.models.ways import OWN, QUICK
from axiom.records import Distance
from axiom.training import Example, Kept, Round, loss, scoring
from axiom.training.batches import encoded
from axiom.training.loop import train
from axiom.training.scoring import divergences
from tests.models.tiny_model import make_tiny_model
from tests.report.stores import problem

BASE = Policy("base", None)
ANSWERS = [Example(f"def f{number}(x):", " return x" + " + 1" * number, 1.0) for number in range(5)]
WAYS = {"own": OWN, "quick": QUICK}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model with an adapter, the same at a rank of its own, and one whose update is zero."""
    folder = tmp_path_factory.mktemp("policies")
    make_tiny_model(folder / "model")
    config = settings(folder)
    train(ANSWERS, Round(BASE, folder / "trained", 1, 1), config.model, config.training)
    wide = config.training.model_copy(update={"lora_r": 4, "lora_alpha": 8})
    train(ANSWERS, Round(BASE, folder / "wide", 2, 1), config.model, wide)
    shutil.copytree(folder / "trained", folder / "zero")
    tensors = load_file(folder / "zero" / "adapter_model.safetensors")
    mark = {"axiom": "zero"} | _metadata(folder / "trained" / "adapter_model.safetensors")
    zeroed = {name: tensor * (".lora_B." not in name) for name, tensor in tensors.items()}
    save_file(zeroed, folder / "zero" / "adapter_model.safetensors", mark)
    return folder


def _metadata(path):
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        return file.metadata() or {}


def settings(folder, **training):
    training = {"learning_rate": 3e-2, "lora_dropout": 0.1, "batch_size": 1, "gradient_accumulation": 1} | training
    return ExperimentConfig.model_validate(
        {"model": {"path": str(folder / "model"), "device": "cpu", "dtype": "float32"}, "training": training}
    )


def measured(folder, name, base=BASE, path=QUICK, answers=ANSWERS, **training):
    config = settings(folder, **training)
    texts = encoded(answers, load_tokenizer(config.model))
    policy = BASE if name == "base" else Policy(name, folder / name)
    return divergences(
        texts, model=config.model, config=config.training, policy=policy, base=base, kept=Kept(), path=path
    )


def by_transformers(folder, name):
    """The sum over the whole vocabulary, from the logits of transformers' and peft's own code, in float64."""
    config = settings(folder)
    tokenizer, found = load_tokenizer(config.model), []
    base = load_model(config.model).eval()
    tuned = PeftModel.from_pretrained(load_model(config.model), folder / name).eval()
    for answer in ANSWERS:
        prompt, target = (
            tokenizer(text, add_special_tokens=False)["input_ids"] for text in (answer.prompt, answer.target)
        )
        ids = torch.tensor([[*prompt, *target]])
        with torch.no_grad():
            ours, theirs = (model(input_ids=ids).logits[0].double().log_softmax(-1) for model in (tuned, base))
        found.append((ours.exp() * (ours - theirs)).sum(-1)[len(prompt) - 1 :].numpy())
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["trained", "wide"])
def test_it_is_the_sum_over_the_vocabulary_that_transformers_gives(folder, name, way):
    expected = by_transformers(folder, name)
    assert max(found.max() for found in expected) > 0.1, "a policy that has not moved would show nothing"
    found = measured(folder, name, path=WAYS[way])
    assert [len(nats) for nats in found] == [len(answer.target) + 1 for answer in ANSWERS]  # a byte a token
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("name", ["base", "zero"])
def test_it_is_zero_for_the_base_model_and_for_an_adapter_without_an_update(folder, name):
    assert all((nats == 0).all() for nats in measured(folder, name))


def test_it_is_never_negative_and_counts_from_the_base_that_is_given(folder):
    start = Policy("wide", folder / "wide")
    assert all((nats >= 0).all() for nats in measured(folder, "trained"))
    assert all((nats == 0).all() for nats in measured(folder, "wide", base=start))
    from_base, from_start = measured(folder, "trained"), measured(folder, "trained", base=start)
    assert not np.allclose(np.concatenate(from_base), np.concatenate(from_start))


def test_it_does_not_depend_on_what_is_looked_at_together(folder, monkeypatch):
    together = measured(folder, "trained")
    monkeypatch.setattr(scoring, "MOST_LOGITS", 1)
    for ours, theirs in zip(measured(folder, "trained"), together, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)


def test_a_long_answer_is_looked_at_as_far_as_training_reaches_and_a_long_prompt_not_at_all(folder):
    answers = [replace(ANSWERS[4], prompt="x" * 40), ANSWERS[4]]
    cut, short = measured(folder, "trained", answers=answers, max_length=32)
    (whole,) = measured(folder, "trained", answers=answers[1:])
    assert len(cut) == 0
    assert len(short) == 32 - len(ANSWERS[4].prompt)
    assert short == pytest.approx(whole[: len(short)], rel=1e-4, abs=1e-6)


def test_rounding_neither_makes_it_negative_nor_hides_a_small_step():
    generator = torch.Generator().manual_seed(0)
    base = 8 * torch.randn(20, 50_000, generator=generator)
    step = torch.randn(20, 50_000, generator=generator)
    for size in (0.0, 1e-4, 1e-2):
        found = loss.divergence(base + size * step, base)
        assert (found >= 0).all()
        exact = base.double() + (base + size * step - base).double()
        ours, theirs = exact.log_softmax(-1), base.double().log_softmax(-1)
        assert found.numpy() == pytest.approx((ours.exp() * (ours - theirs)).sum(-1).numpy(), rel=1e-2, abs=1e-12)


def test_tokens_that_are_ruled_out_add_nothing():
    ours = torch.tensor([[0.0, float("-inf"), float("-inf")]])
    theirs = torch.tensor([[0.0, 0.0, float("-inf")]])
    assert loss.divergence(ours, theirs).item() == pytest.approx(np.log(2))


def test_the_small_network_has_the_same_measure(tmp_path):
    config = load_config(None, ["model.kind=modular", "modular.p=11", "iterations=1"])
    learner = ModularLearner(config)
    pairs = [(a, b) for a in range(4) for b in range(a, 4)]
    examples = [Example(f"{a}+{b}", str((a + b) % 11), 1.0) for a, b in pairs]
    learner.train(examples, Round(BASE, tmp_path, 1, 1))
    found = learner.divergences(examples, Policy("one", tmp_path), BASE)
    network, at = load_file(tmp_path / "network.safetensors"), Pairs(np.array(pairs))
    with torch.no_grad():
        ours, theirs = (
            logits(one, at).double().log_softmax(-1) for one in (network, new_network(config.modular, config.seed))
        )
    assert np.concatenate(found) == pytest.approx((ours.exp() * (ours - theirs)).sum(-1).numpy(), rel=1e-4)
    assert all((nats == 0).all() for nats in learner.divergences(examples, BASE, BASE))


def test_the_same_validation_problems_are_looked_at_spread_over_all_of_them():
    splits = {"val": [problem(str(n), "f", "val") for n in range(10)], "train": [problem("t", "f", "train")]}
    assert [one.problem_id for one in held(splits, 4)] == ["0", "2", "5", "7"]
    assert len(held(splits, 99)) == 10
    assert held({"train": splits["train"]}, 4) == []


def test_the_metric_is_a_mean_over_problems_with_student_s_interval():
    asked = [problem(str(n), "f", "val") for n in range(4)]
    rows = distances(asked, [np.array([0.1, 0.3]), np.array([0.6]), np.array([]), np.array([0.1])])
    assert [(row.problem_id, row.positions) for row in rows] == [("0", 2), ("1", 1), ("3", 1)]
    (metric,) = distance_metrics(rows, 3, Counters(7), 0.9)
    assert (metric.split, metric.iteration, metric.optimizer_step, metric.n) == ("val", 3, 7, 3)
    assert metric.value == pytest.approx(0.3)
    low, high = t.interval(0.9, 2, 0.3, np.std([0.2, 0.6, 0.1], ddof=1) / 3**0.5)
    assert (metric.low, metric.high) == (max(0.0, low), pytest.approx(high))
    (alone,) = distance_metrics([Distance(problem_id="x", positions=1, kl=0.2)], 0, Counters(), 0.95)
    assert (alone.low, alone.high) == (None, None)
    assert distance_metrics([], 0, Counters(), 0.95) == []
