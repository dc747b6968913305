"""The transformers engine: it says what `model.generate` says, whatever the batch, and follows its adapter."""
# ruff: noqa: TID253

import dataclasses

import numpy as np
import pytest
import torch

from axiom.config import ModelConfig, SamplingConfig, TrainingConfig
from axiom.errors import ConfigError
from axiom.learners.proof import decode_way
from axiom.models import Policy, load_model, load_tokenizer
from axiom.sampling import Request, choose_engine, open_sampler
from axiom.sampling.choice import choose, uniforms
from axiom.sampling.transformers import TransformersSampler
from axiom.training import Example, Round
from axiom.training.loop import train
from tests.models.tiny_model import make_tiny_model

PROMPTS = [
    "def f(x):",
    "def f(x): return",
    "a",
    "The quick brown fox jumps over",
    "def g(",
    "zzzzzzzzzzzzzzzzzzzz",
    "def f(y)",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return ModelConfig(path=str(make_tiny_model(tmp_path_factory.mktemp("model"))), dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def adapter(model, tmp_path_factory):
    out = tmp_path_factory.mktemp("adapter")
    examples = [Example(prompt, "yes yes", 1.0) for prompt in PROMPTS]
    train(examples, Round(Policy("base", None), out, 1, 1), model, TrainingConfig(learning_rate=5e-2, epochs=3))
    return out


def sampler(model, batch_size=0):
    return TransformersSampler(model, SamplingConfig(batch_size=batch_size), decode_way(model, SamplingConfig()))


def ask(prompts=PROMPTS, n=1, temperature=0.0, top_p=1.0, limit=24):
    return [Request(str(i), text, n, temperature, top_p, limit, 100 + i) for i, text in enumerate(prompts)]


def answers(engine, requests):
    found = {(c.request_id, c.index): c for c in engine.sample(requests)}
    assert len(found) == sum(request.n for request in requests)
    return found


@pytest.mark.parametrize("batch_size", [0, 1, 3])
def test_greedy_is_what_generate_writes(model, batch_size):
    reference, tokenizer = load_model(model), load_tokenizer(model)
    found = answers(sampler(model, batch_size), ask())
    for number, text in enumerate(PROMPTS):
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        out = reference.generate(ids, do_sample=False, max_new_tokens=24)[0, ids.shape[1] :]
        completion = found[str(number), 0]
        assert completion.text == tokenizer.decode(out, skip_special_tokens=True)
        assert completion.token_count == len(out)
        assert completion.finish_reason == ("stop" if int(out[-1]) == 0 else "length")


@pytest.mark.slow
def test_what_a_sequence_is_batched_with_does_not_change_it(model):
    requests = ask(n=5, temperature=0.9)
    alone = answers(sampler(model, 1), requests)
    for batch_size in (4, 7, 64):
        together = answers(sampler(model, batch_size), requests[::-1])
        assert {key: c.text for key, c in together.items()} == {key: c.text for key, c in alone.items()}
    assert len({c.text for c in alone.values()}) > len(PROMPTS), "the samples of one prompt differ"


def test_logprob_sums_over_the_tokens_at_temperature_one(model, monkeypatch):
    reference, tokenizer, engine = load_model(model), load_tokenizer(model), sampler(model)
    tokens, complete = {}, engine._completion

    def noted(draft):  # the text would not do: bytes that are no text do not survive decoding
        tokens[draft.request.request_id, draft.index] = list(draft.tokens)
        return complete(draft)

    monkeypatch.setattr(engine, "_completion", noted)
    found = answers(engine, ask(n=2, temperature=1.3, limit=12))
    for key, completion in found.items():
        prompt, body = tokenizer(PROMPTS[int(completion.request_id)])["input_ids"], tokens[key]
        assert len(body) == completion.token_count
        with torch.inference_mode():
            logits = reference(torch.tensor([prompt + body])).logits[0].log_softmax(-1)
        expected = sum(float(logits[len(prompt) - 1 + i, token]) for i, token in enumerate(body))
        assert completion.logprob == pytest.approx(expected, abs=1e-3)
    assert len({completion.logprob for completion in found.values()}) == 2 * len(PROMPTS)


def test_limits_of_one_batch_are_each_request_s_own(model):
    requests = [dataclasses.replace(r, max_new_tokens=3 * i + 1) for i, r in enumerate(ask())]
    for (request_id, _), completion in answers(sampler(model, 3), requests).items():
        assert completion.token_count <= 3 * int(request_id) + 1


def test_no_requests_no_completions(model):
    assert list(sampler(model).sample([])) == []


def test_an_adapter_is_merged_and_taken_out_without_a_trace(model, adapter):
    from peft import PeftModel

    engine = sampler(model)
    before = answers(engine, ask())
    engine.use(Policy("trained", adapter))
    reference = PeftModel.from_pretrained(load_model(model), adapter)
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.inference_mode():
        torch.testing.assert_close(engine.model(ids).logits, reference(ids).logits, atol=1e-4, rtol=1e-4)
    assert answers(engine, ask()) != before
    engine.use(Policy("base", None))
    assert answers(engine, ask()) == before
    base = load_model(model).state_dict()
    assert all(torch.equal(base[name], value) for name, value in engine.model.state_dict().items())


def test_an_adapter_of_another_base_is_refused(adapter, tmp_path):
    other = ModelConfig(path=str(make_tiny_model(tmp_path, seed=9)), dtype="float32", device="cpu")
    with pytest.raises(ConfigError, match=r"was trained on .* set model.path to its base"):
        sampler(other).use(Policy("foreign", adapter))


def test_a_folder_without_an_adapter_is_refused(model, tmp_path):
    with pytest.raises(ConfigError, match=r"lacks adapter_model.safetensors"):
        sampler(model).use(Policy("nothing", tmp_path))


def test_tokens_are_drawn_in_proportion():
    weights = torch.tensor([0.5, 0.3, 0.15, 0.05, 0.0])
    logits = torch.full((20_000, 300), float("-inf"))
    logits[:, [3, 40, 200, 290, 7]] = weights.log()
    rows = len(logits)
    uniform = torch.from_numpy(uniforms(np.arange(rows, dtype=np.uint64) * 7919, np.zeros(rows, dtype=np.uint64)))
    tokens, logprobs = choose(logits, torch.ones(rows), torch.ones(rows), uniform)
    counts = torch.bincount(tokens, minlength=300)[[3, 40, 200, 290, 7]] / rows
    assert counts.tolist() == pytest.approx(weights.tolist(), abs=4 * (0.25 / rows) ** 0.5)
    assert logprobs.exp().sum() / rows == pytest.approx(float((weights**2).sum()), abs=0.01)


def test_the_nucleus_holds_top_p_and_no_more():
    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log().repeat(4_000, 1)
    uniform = torch.linspace(0, 1 - 1e-9, 4_000, dtype=torch.float64)
    tokens, _ = choose(logits, torch.ones(4_000), torch.full((4_000,), 0.6), uniform)
    assert set(tokens.tolist()) == {0, 1}
    assert float((tokens == 0).float().mean()) == pytest.approx(4 / 7, abs=0.01)


def test_uniforms_are_uniform_and_never_one():
    grid = uniforms(np.repeat(np.arange(200, dtype=np.uint64), 200), np.tile(np.arange(200, dtype=np.uint64), 200))
    assert grid.min() >= 0
    assert grid.max() < 1
    assert len(np.unique(grid)) == len(grid)
    assert grid.mean() == pytest.approx(0.5, abs=0.01)
    assert np.corrcoef(grid[:-1], grid[1:])[0, 1] == pytest.approx(0, abs=0.02)


def test_the_choice_of_engine_is_said_aloud(model):
    engine, why = choose_engine(model, SamplingConfig())
    assert engine == "transformers"
    assert "because" in why
    found, said = open_sampler(model, SamplingConfig(engine="transformers"))
    assert found.name == "transformers"
    assert "sampling.engine" in said
