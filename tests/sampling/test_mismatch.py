"""An engine that answers with other weights than the policy's is noticed, and rounding is not taken for that."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from axiom.config import ExperimentConfig
from axiom.errors import EngineError
from axiom.evaluation import Counters, mismatch_metrics
from axiom.experiment import Experiment
from axiom.experiment.running import running
from axiom.learners import LanguageLearner
from axiom.models import Policy
from axiom.sampling import Request
from axiom.sampling.mismatch import LIMIT, Mismatch, measure, share_in_force, wrong
from axiom.sampling.thinking import draw
from axiom.tasks.generate import generate
from axiom.tasks.sample import sample
from axiom.training import Example, Kept, Round
from axiom.training.loop import train
from axiom.training.scoring import score
from tests.models.tiny_model import make_tiny_model

BASE = Policy("base", None)
PROMPTS = [f"def f{number}(x):" for number in range(12)]
WAYS = {
    "plain": {},
    "greedy": {"temperature": 0.0},
    "hot": {"temperature": 1.7},
    "nucleus": {"top_p": 0.7},
    "stopped": {"stop": ("a", "q")},
    "reasoning": {"thinking": 9},
}


def experiment(folder, dtype="float32", **training):
    training = {"learning_rate": 3e-2, "lora_dropout": 0.1, "batch_size": 2, "gradient_accumulation": 1} | training
    model = {"path": str(folder / "model"), "device": "cpu", "dtype": dtype}
    return ExperimentConfig.model_validate({"model": model, "training": training})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, two adapters one after the other, and the second at half and at twice its scale."""
    folder = tmp_path_factory.mktemp("policies")
    make_tiny_model(folder / "model")
    config = experiment(folder)
    examples = [Example(prompt, " return x + 1", 1.0) for prompt in PROMPTS]
    previous = BASE
    for name in ("first", "second"):
        train(examples, Round(previous, folder / name, 1, 1), config.model, config.training)
        previous = Policy(name, folder / name)
    for name, scale in (("half", 0.5), ("double", 2.0)):
        shutil.copytree(folder / "second", folder / name)
        settings = json.loads((folder / name / "adapter_config.json").read_text())
        settings["lora_alpha"] *= scale
        (folder / name / "adapter_config.json").write_text(json.dumps(settings))
    return folder


def policy(folder, name):
    return BASE if name == "base" else Policy(name, folder / name)


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def learner(folder, request):
    found = LanguageLearner(experiment(folder, request.param))
    yield found
    found.close()


def traces(sampler, temperature=1.0, top_p=1.0, stop=(), thinking=0, traced=4):
    asked = [Request(str(i), text, 2, temperature, top_p, 30, 50 + i, stop) for i, text in enumerate(PROMPTS)]
    return [trace for completion in draw(sampler, asked, thinking, traced) for trace in completion.traces]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "name", ["second", *(pytest.param(name, marks=pytest.mark.slow) for name in ("base", "first"))]
)
def test_the_right_weights_differ_by_rounding_however_they_are_drawn_from(learner, folder, name, way):
    learner.sampler.use(policy(folder, name))
    drawn = traces(learner.sampler, **WAYS[way])
    found = learner.mismatch(policy(folder, name), drawn)
    assert found.tokens == sum(len(trace.tokens) for trace in drawn) > 0
    assert 0 < found.mean <= (1e-4 if learner._config.model.dtype == "float32" else 0.1)
    assert found.mean <= found.highest
    assert 0 <= found.kl <= found.highest


@pytest.mark.parametrize(
    ("due", "in_force"),
    [
        ("second", "base"),
        ("second", "first"),
        ("second", "half"),
        ("second", "double"),
        ("first", "base"),
        ("first", "second"),
        ("base", "second"),
    ],
)
def test_other_weights_in_force_end_the_sampling(learner, folder, due, in_force):
    for before in {"base": ["base"], "second": ["first"], "first": ["second"]}[due]:
        learner.sampler.use(policy(folder, before))
        learner.mismatch(policy(folder, before), traces(learner.sampler))
    learner.sampler.use(policy(folder, in_force))
    with pytest.raises(EngineError, match=rf"transformers does not answer with policy '{due}': over \d+ .*; run it"):
        learner.mismatch(policy(folder, due), traces(learner.sampler))


@pytest.mark.parametrize("purpose", ["train", pytest.param("eval", marks=pytest.mark.slow)])
def test_a_run_measures_each_sampling_and_stops_before_wrong_samples_are_kept(folder, tmp_path, monkeypatch, purpose):
    tree = experiment(folder).model_dump(mode="json") | {"name": "run", "iterations": 1}
    tree["model"]["adapter"] = str(folder / "second")
    tree["prompts"] = {"template": str(tmp_path / "short.jinja")}
    (tmp_path / "short.jinja").write_text("{{ signature[:9] }}")
    tree["sampling"] |= {"samples_per_problem": 2, "max_new_tokens": 24, "temperature": 1.5}
    tree["problems"] |= {
        "families": ["list_filter"],
        "difficulty": [1, 1],
        "train_size": 4,
        "val_size": 4,
        "test_size": 0,
    }
    config = ExperimentConfig.model_validate(tree)
    with running(Experiment.create(str(tmp_path / "artifacts"), config)) as run:
        problems = generate.fn(run)
        monkeypatch.setattr(run.learner.sampler, "use", lambda policy: None)
        with pytest.raises(EngineError, match="does not answer with policy 'base'"):
            sample.fn(run, problems, None, purpose, run.streaming(purpose), iteration=1)
        assert not any("samples" in name for name in run.experiment.folder.join("iterations", "0001").names())
        monkeypatch.undo()
        with run.streaming(purpose) as stream:
            handle = sample.fn(run, problems, None, purpose, stream, iteration=1)
        assert 0 < handle.info["mismatch"]["mean"] < 1e-3


def test_scoring_leaves_training_as_it_was(folder, tmp_path):
    config, kept = experiment(folder), Kept()
    examples = [Example(prompt, " return x", 1.0) for prompt in PROMPTS[:4]]
    found = []
    for number, scored in enumerate((None, "second", "half")):
        if scored:
            learner = LanguageLearner(config)
            drawn = traces(learner.sampler)
            score(drawn, model=config.model, config=config.training, policy=policy(folder, scored), kept=kept)
        train(
            examples,
            Round(policy(folder, "first"), tmp_path / str(number), 4, 2),
            config.model,
            config.training,
            kept=kept,
        )
        found.append((tmp_path / str(number) / "adapter_model.safetensors").read_bytes())
    assert found[0] == found[1] == found[2]


def test_merged_factors_and_patterns_are_scored_as_the_engine_merges_them(folder, tmp_path):
    """An adapter of another rank than is trained, and one with settings that only peft merges."""
    learner = LanguageLearner(experiment(folder, lora_r=4, mode="restart"))
    shutil.copytree(folder / "first", tmp_path / "rooted")
    settings = json.loads((tmp_path / "rooted" / "adapter_config.json").read_text())
    (tmp_path / "rooted" / "adapter_config.json").write_text(json.dumps(settings | {"use_rslora": True}))
    for adapter in (folder / "second", tmp_path / "rooted"):
        learner.sampler.use(Policy("given", adapter))
        assert learner.mismatch(Policy("given", adapter), traces(learner.sampler)).mean < 1e-4
    learner.sampler.use(policy(folder, "first"))
    with pytest.raises(EngineError):
        learner.mismatch(Policy("given", tmp_path / "rooted"), traces(learner.sampler))


def test_what_is_too_long_to_be_trained_is_left_out(folder):
    learner = LanguageLearner(experiment(folder, max_length=32))
    learner.sampler.use(BASE)
    drawn = traces(learner.sampler)
    room = [max(0, min(len(t.prompt) + len(t.tokens), 32) - len(t.prompt)) for t in drawn]
    assert learner.mismatch(BASE, drawn).tokens == sum(room) < sum(len(t.tokens) for t in drawn)
    assert learner.mismatch(BASE, [replace(drawn[0], prompt=(1,) * 40)]) is None
    assert learner.mismatch(BASE, []) is None


def test_every_part_of_the_requests_is_traced(folder):
    learner = LanguageLearner(experiment(folder))
    asked = [Request(str(i), text, 2, 1.0, 1.0, 4, i) for i, text in enumerate(PROMPTS)]
    with_trace = [c for c in learner.sampler.sample(asked, 4) if c.traces]
    assert len(with_trace) == 4
    for completion in with_trace:
        assert sum(completion.traces[0].logprobs) == pytest.approx(completion.logprob)
        assert len(completion.traces[0].tokens) == completion.token_count
    assert len([c for c in learner.sampler.sample(asked, 99) if c.traces]) == 24
    assert not any(c.traces for c in learner.sampler.sample(asked))


def test_the_divergence_is_that_of_the_two_distributions():
    """k3 over draws of a known pair of distributions, beside the sum that defines the divergence."""
    rng = np.random.default_rng(0)
    engine, trainer = (np.log(rng.dirichlet(np.ones(20))) for _ in range(2))
    drawn = rng.choice(20, 200_000, p=np.exp(engine))
    exact = float((np.exp(engine) * (engine - trainer)).sum())
    assert measure(engine[drawn], trainer[drawn]).kl == pytest.approx(exact, rel=0.05)
    assert measure(np.array([-1.0, -2.0]), np.array([-1.5, np.nan])) == Mismatch(
        1, 0.5, 0.5, pytest.approx(0.1065, abs=1e-4)
    )


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0, 2.0, -1.0])
def test_the_share_in_force_holds_against_noise_and_outliers(share):
    rng = np.random.default_rng(1)
    right, other = rng.normal(-1, 1, 160), rng.normal(-1, 1, 160)
    engine = other + share * (right - other) + rng.normal(0, 0.03, 160)
    engine[:8] += 2.0
    assert share_in_force(engine, right, other, 0.02) == pytest.approx(share, abs=0.05)
    assert (wrong(engine, right, {"it": other}, "bfloat16") is None) == (share == 1.0)


def test_policies_that_rounding_hides_are_not_told_apart():
    rng = np.random.default_rng(2)
    for _ in range(200):
        right = rng.normal(-1, 1, 160)
        other, engine = right + rng.normal(0, 0.02, 160), right + rng.standard_t(2, 160) * 0.03
        assert wrong(engine, right, {"it": other}, "bfloat16") is None
    assert wrong(right + 2 * LIMIT["bfloat16"], right, {}, "bfloat16")
    assert wrong(right + 2 * LIMIT["float32"], right, {}, "float32")


def test_an_iterations_samplings_are_one_metric_over_all_their_tokens():
    found = mismatch_metrics([Mismatch(10, 0.1, 0.2, 0.01), Mismatch(30, 0.3, 0.9, 0.05)], 3, Counters())
    values = {row.name: (row.value, row.n) for row in found}
    assert values["policy_mismatch"] == (pytest.approx(0.25), 40)
    assert values["policy_mismatch_max"] == (0.9, 40)
    assert values["policy_mismatch_kl"] == (pytest.approx(0.04), 40)
    assert mismatch_metrics([], 3, Counters()) == []


def rounded(rng, tokens, step, share):
    """Log-probabilities of engine, right and other policy, each with rounding that differs widely between tokens."""
    scale, base = 0.01 * np.exp(rng.normal(0, 1, tokens)), rng.normal(-1, 1, tokens)
    return [base + part * step + scale * rng.standard_t(3, tokens) for part in (share, 1.0, 0.0)]


def refused(rng, tokens, size, share):
    """Whether the engine is refused after a step of this typical size, of which it has this share in force."""
    engine, right, other = rounded(rng, tokens, size * rng.standard_t(3, tokens), share)
    return wrong(engine, right, {"the base model": other}, "bfloat16") is not None


def test_rounding_alone_is_no_wrong_policy_however_uneven_it_is():
    rng = np.random.default_rng(0)
    assert sum(refused(rng, tokens, 0.0, 1.0) for tokens in (64, 192, 400) for _ in range(200)) <= 6


@pytest.mark.parametrize("share", [0.0, 0.5, 2.0])
def test_a_wrong_policy_shows_through_uneven_rounding(share):
    rng = np.random.default_rng(1)
    assert sum(refused(rng, 192, 0.15, share) for _ in range(100)) >= 98
    assert sum(refused(rng, 192, 0.15, 1.0) for _ in range(100)) <= 1
