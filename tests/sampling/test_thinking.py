"""Completions end at texts, and reasoning has a budget of its own."""

import pytest

from axiom.config import ModelConfig, SamplingConfig
from axiom.learners.proof import decode_way
from axiom.sampling import Request
from axiom.sampling.thinking import END, draw
from axiom.sampling.transformers import TransformersSampler
from tests.models.tiny_model import make_tiny_model

PROMPTS = ["def f(x):", "a", "The quick brown fox", "def g("]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    model = ModelConfig(path=str(make_tiny_model(tmp_path_factory.mktemp("model"))), dtype="float32", device="cpu")
    return TransformersSampler(model, SamplingConfig(), decode_way(model, SamplingConfig()))


def ask(n=3, temperature=0.9, limit=30, stop=()):
    return [Request(str(i), text, n, temperature, 1.0, limit, 100 + i, stop) for i, text in enumerate(PROMPTS)]


def texts(completions):
    return {(c.request_id, c.index): c for c in completions}


def test_a_completion_ends_before_the_first_of_its_stop_texts(engine):
    free = texts(engine.sample(ask()))
    stop = tuple({c.text[6:8] for c in free.values() if len(c.text) > 20})[:3]
    assert stop
    stopped = texts(engine.sample(ask(stop=stop)))
    for key, whole in free.items():
        places = [whole.text.find(one) for one in stop if one in whole.text]
        expected = whole.text[: min(places)] if places else whole.text
        assert stopped[key].text == expected
        assert (stopped[key].stop is not None) == bool(places)
        assert stopped[key].token_count <= whole.token_count
    assert any(c.stop for c in stopped.values())
    assert {c.finish_reason for c in stopped.values() if c.stop} == {"stop"}


def test_without_a_budget_nothing_changes(engine):
    assert texts(draw(engine, ask(), 0)) == texts(engine.sample(ask()))


def test_reasoning_that_reaches_its_budget_is_ended_and_answered(engine):
    requests = ask(limit=8)
    found = texts(draw(engine, requests, 12))
    plain = texts(engine.sample(ask(limit=12)))
    assert len(found) == 12
    reasoned = {key: c for key, c in found.items() if c.thinking_tokens}
    assert reasoned
    for key, completion in reasoned.items():
        thought, answer = completion.text.split(END)
        assert completion.thinking_tokens == 12
        assert thought.rstrip() == plain[key].text.rstrip()
        assert completion.token_count <= 12 + 8
        assert answer.startswith("\n\n")
    for key, completion in found.items():
        if not completion.thinking_tokens:  # it ended by itself within the budget: an answer without reasoning
            assert completion.text == plain[key].text


def test_the_same_seed_reasons_the_same(engine):
    assert texts(draw(engine, ask(), 10)) == texts(draw(engine, ask(), 10))
    assert texts(draw(engine, ask(n=1, temperature=0.0), 10)) == texts(draw(engine, ask(n=1, temperature=0.0), 10))
