"""Each check of the probe is taken out in turn: the model that it is there for then goes wrong and nothing says so."""
# ruff: noqa: TID253

import pytest
import torch

from axiom.config import TrainingConfig
from axiom.learners import probe
from axiom.learners.probe import LENGTHS, _Tokens
from tests.models.architectures import tiny_config, tiny_model
from tests.models.test_architectures import EXAMPLES, TRAINING, VOCABULARY, lawful

QUERIES = TrainingConfig(max_length=128, target_modules=("q_proj",))


def drawn_by_the_probe(model):
    """The tokens of its first example."""
    return _Tokens(model).draw(LENGTHS[0])


def architecture(model_type, **settings):
    return lambda folder: tiny_model(tiny_config(model_type, **settings)).save_pretrained(folder)


def only_one_token_leaks(folder):
    """Its convolution sees nothing but a token that stands early in the probe's first example, not at its end."""
    model = tiny_model(tiny_config("lfm2"))
    leaking = drawn_by_the_probe(model)[0]
    with torch.no_grad():
        embedding, gate_32 = model.get_input_embeddings().weight, model.model.layers[0].conv.in_proj.weight[:32]
        embedding[:, 0] = 0.0
        embedding[leaking, 0] = 3.0
        gate_32.zero_()
        gate_32[:, 0] = 5.0
    model.save_pretrained(folder)
    others = [ids[:] for ids, _ in EXAMPLES]
    others[0][-1] = leaking
    return list(zip(others, [start for _, start in EXAMPLES], strict=True))


def only_one_token_has_large_logits(folder):
    """Its cap changes little of small logits, and those behind one token, which the probe does not draw, are large."""
    model = tiny_model(tiny_config("gemma2", final_logit_softcapping=30.0, tie_word_embeddings=False))
    rare = next(token for token in range(5, VOCABULARY) if token not in drawn_by_the_probe(model))
    with torch.no_grad():
        embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        model.model.norm.weight.zero_()
        for layer in model.model.layers:
            layer.post_attention_layernorm.weight[0] = layer.post_feedforward_layernorm.weight[0] = -1.0
        head.copy_(0.02 * torch.randn(head.shape))
        embedding[:, 0] = 0.0
        embedding[rare, 0] = 100.0
        head[7, 0] = 10.0
    model.save_pretrained(folder)
    return [([*ids[:5], rare, *ids[6:]], 3) for ids, _ in EXAMPLES]


GROWING = {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}, "max_position_embeddings": 24}
CHECKS = {
    "_unusable": (architecture("bert", is_decoder=False), TRAINING, None),
    "_plain_head": (only_one_token_has_large_logits, QUERIES, True),
    "_difference": (architecture("roberta"), TRAINING, None),
    "_leak": (only_one_token_leaks, QUERIES, None),
    "_merged_difference": (architecture("jamba"), TRAINING, None),
    "_drawn_difference": (architecture("roberta"), TRAINING, None),
    "rotary_limit": (architecture("llama", **GROWING), TRAINING, None),
}
"""By the name of a check: what saves a model, what is trained, and what the check says of a model that is right."""


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS)
def test_without_a_check_a_model_goes_wrong(check, tmp_path, monkeypatch):
    build, training, right = CHECKS[check]
    examples = build(tmp_path / "model") or EXAMPLES
    lawful(tmp_path, training, examples)
    monkeypatch.setattr(probe, check, lambda *_: right)
    with pytest.raises(AssertionError):
        lawful(tmp_path, training, examples)


def test_routers_of_experts_are_left_alone_and_one_that_is_named_costs_sampling_nothing(tmp_path):
    tiny_model(tiny_config("phimoe")).save_pretrained(tmp_path / "model")
    path, way = lawful(tmp_path)
    assert path.packed
    assert way == "slots"
    assert lawful(tmp_path, TrainingConfig(max_length=128, target_modules=("router",))) == (None, "slots")
