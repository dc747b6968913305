"""A law over the models that transformers ships: trained and sampled as by their own code and peft, or refused.

The reference knows nothing of axiom: eager attention, peft's layers, one text at a time, no cache.
"""
# ruff: noqa: TID253

import copy
import functools
import warnings
from dataclasses import replace

import pytest
import torch
from peft import get_peft_model
from safetensors.torch import load_file
from transformers import AutoConfig
from transformers.masking_utils import chunked_causal_mask_function, sliding_window_causal_mask_function

from axiom.config import ModelConfig, SamplingConfig, TrainingConfig
from axiom.learners.probe import _open, _shortened, probe
from axiom.models import auto_class
from axiom.models.attention import Segments, Unsupported, attend, layout, mask, reset_rotary
from axiom.models.merging import Merger, originals, put_in_force
from axiom.models.ways import QUICK
from axiom.sampling import Request
from axiom.sampling.transformers import Draft, Ending, decode
from axiom.training.batches import Encoded, pack
from axiom.training.lora import adapt, load_factors, lora_config, quickened, save_adapter
from axiom.training.passes import run_pass
from tests.models.architectures import (
    MODEL_TYPES,
    NOT_BUILT,
    QUICK_TYPES,
    VOCABULARY,
    WRAPPERS,
    tiny_config,
    tiny_model,
    tiny_wrapper,
)

TRAINING, SAMPLING = TrainingConfig(max_length=128), SamplingConfig(max_new_tokens=8)
LENGTHS, STARTS = (37, 11, 26), (20, 4, 9)


def texts(lengths, seed=7):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(3, VOCABULARY, (length,), generator=generator).tolist() for length in lengths]


@functools.lru_cache(maxsize=1)
def opened(folder):
    kind = auto_class(AutoConfig.from_pretrained(folder))
    return kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


EXAMPLES = list(zip(texts(LENGTHS), STARTS, strict=True))


def fresh(folder):
    return copy.deepcopy(opened(folder))


def randomised(adapted):
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    return adapted


def trained(adapted):
    return {name: weight for name, weight in adapted.named_parameters() if weight.requires_grad}


def own_logits(model, ids):
    reset_rotary(model)
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float()


def peft_gradients(model, training, examples):
    """Loss and gradients by peft and the model's own code, one text at a time."""
    adapted = randomised(get_peft_model(model, lora_config(training, model))).eval()
    count, total = sum(len(ids) - start for ids, start in examples), 0.0
    for ids, start in examples:
        losses = torch.nn.functional.cross_entropy(
            own_logits(adapted, ids)[start - 1 : -1], torch.tensor(ids[start:]), reduction="sum"
        )
        (losses / count).backward()
        total += losses.item() / count
    return total, {name: weight.grad for name, weight in trained(adapted).items()}


def sees_no_later_token(folder):
    (ids,) = texts([23])
    with torch.no_grad():
        before, after = own_logits(fresh(folder), ids), own_logits(fresh(folder), [*ids[:-1], 5])
    assert float((before - after)[:-1].abs().max()) <= 1e-3 * float(before.std())


def agrees_in_training(folder, path, training=TRAINING, examples=EXAMPLES):
    expected, gradients = peft_gradients(fresh(folder), training, examples)
    trainable = quickened(randomised(adapt(fresh(folder), training)), path)
    encoded = [Encoded(ids, start, 1.0) for ids, start in examples]
    found = run_pass(trainable.model, trainable.factors, pack(encoded, sum(e.loss_weight for e in encoded)), path)
    assert float(found) == pytest.approx(expected, rel=1e-4)
    usual = sum(float(g.norm()) ** 2 for g in gradients.values() if g is not None) ** 0.5 / len(gradients) ** 0.5
    assert set(trainable.factors.names) == set(gradients)
    for name, weight in zip(trainable.factors.names, trainable.factors.parameters, strict=True):
        reference = gradients[name] if gradients[name] is not None else torch.zeros_like(weight)
        assert float((weight.grad - reference).norm()) <= 1e-3 * (float(reference.norm()) + 0.1 * usual), name
    return trainable


def agrees_when_saved(folder, trainable, out, training=TRAINING):
    model = ModelConfig(path=str(folder), dtype="float32", device="cpu")
    save_adapter(trainable, model, out, None)
    sampler = fresh(folder)
    merger = Merger(originals(dict(sampler.named_parameters()).__getitem__), "cpu")
    (ids,) = texts([29])
    with torch.no_grad():
        before = own_logits(sampler, ids)
        put_in_force(sampler, merger, out)
        merged = own_logits(sampler, ids)
        put_in_force(sampler, merger, None)
        assert torch.equal(own_logits(sampler, ids), before), "the base weights come back"
        expected = own_logits(randomised(get_peft_model(sampler, lora_config(training, sampler))).eval(), ids)
    again = adapt(fresh(folder), training)
    assert load_factors(again, out) is None
    for (name, weight), saved in zip(trained(again).items(), trained(trainable.adapted).values(), strict=True):
        assert torch.equal(weight, saved), name
    assert float((merged - expected).abs().max()) <= 1e-3 * float(expected.std())
    assert not torch.allclose(merged, before)


def agrees_in_sampling(folder, way):
    prompts = texts((3, 21, 14, 14))
    request = Request("law", "", 1, 0.0, 1.0, 8, 0)
    drafts = [Draft(request, 0, prompt, number) for number, prompt in enumerate(prompts)]
    reference = fresh(folder)
    for draft in decode(fresh(folder), drafts, Ending(frozenset(), None), way, batch_size=3):
        with torch.no_grad():
            text, start = draft.prompt + draft.tokens, len(draft.prompt)
            if way == "recompute":  # positions may depend on the length so far
                logits = torch.stack([own_logits(reference, text[:end])[-1] for end in range(start, len(text))])
            else:
                logits = own_logits(reference, text)[start - 1 : -1]
        chosen = logits.gather(1, torch.tensor(draft.tokens)[:, None])[:, 0]
        assert float((logits.amax(-1) - chosen).max()) <= 1e-3 * float(logits.std())
        expected = float(logits.log_softmax(-1).gather(1, torch.tensor(draft.tokens)[:, None]).sum())
        assert draft.logprob == pytest.approx(expected, abs=1e-2)


def holds(model_type, folder):
    """The law; returns how the model is computed."""
    warnings.simplefilter("ignore")
    tiny_model(tiny_config(model_type)).save_pretrained(folder / "model")
    return lawful(folder)


def lawful(folder, training=TRAINING, examples=EXAMPLES):
    """The law of the model in `folder / "model"`; returns how it is computed."""
    opened.cache_clear()
    config = ModelConfig(path=str(folder / "model"), dtype="float32", device="cpu")
    learnt, sampled = probe(config, training, SAMPLING)
    for proof in (learnt, sampled):
        assert proof.refused is None or ("\n" not in proof.refused and ";" in proof.refused)
    if learnt.path is not None:
        sees_no_later_token(folder / "model")
        trainable = agrees_in_training(folder / "model", learnt.path, training, examples)
        agrees_when_saved(folder / "model", trainable, folder / "adapter", training)
    if sampled.way is not None:
        agrees_in_sampling(folder / "model", sampled.way)
    return learnt.path, sampled.way


USUAL = ("llama", "mistral", "qwen2", "qwen3", "olmo2", "gpt2", "smollm3")
CAPS_SINKS_SCALES = ("gemma2", "gpt_oss", "granite", "cohere")
ONE_BY_ONE = ("falcon", "bloom", "mpt", "qwen3_next")


@pytest.mark.slow
@pytest.mark.parametrize("model_type", sorted(set(QUICK_TYPES) - {*USUAL, *CAPS_SINKS_SCALES, *ONE_BY_ONE}))
def test_a_model_is_trained_and_sampled_as_by_its_own_code_or_refused(model_type, tmp_path):
    holds(model_type, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", WRAPPERS)
def test_a_language_model_inside_a_model_of_images_is_one(model_type, tmp_path):
    tiny_model(tiny_wrapper(model_type)).save_pretrained(tmp_path / "model")
    path, way = lawful(tmp_path)
    assert path is not None
    assert way is not None
    names = load_file(tmp_path / "adapter/adapter_model.safetensors")
    assert not [name for name in names if "vision" in name or "router" in name]


@pytest.mark.long
@pytest.mark.parametrize(
    "model_type", [name for name in MODEL_TYPES if name not in (*QUICK_TYPES, *WRAPPERS, *NOT_BUILT)]
)
def test_the_same_of_what_else_transformers_has(model_type, tmp_path):
    holds(model_type, tmp_path)


@pytest.mark.parametrize("model_type", USUAL)
def test_the_usual_models_keep_every_quick_part(model_type, tmp_path):
    path, way = holds(model_type, tmp_path)
    assert path.packed
    assert path.fused
    assert not path.own_head
    assert way == "slots"


@pytest.mark.parametrize("model_type", CAPS_SINKS_SCALES)
def test_caps_sinks_and_scales_keep_the_pack_and_the_slots(model_type, tmp_path):
    path, way = holds(model_type, tmp_path)
    assert path.packed
    assert path.own_head == (model_type != "gpt_oss")
    assert way == "slots"


@pytest.mark.parametrize("model_type", [*ONE_BY_ONE[:-1], pytest.param(ONE_BY_ONE[-1], marks=pytest.mark.slow)])
def test_what_the_pack_gets_wrong_goes_one_by_one(model_type, tmp_path):
    path, way = holds(model_type, tmp_path)
    assert not path.packed
    assert way != "slots"


WRONG_PATHS = {
    "cohere": QUICK,
    "gemma2": QUICK,
    "granite": QUICK,
    "falcon": replace(QUICK, own_head=True),
    "bloom": replace(QUICK, own_head=True),
    "qwen3_next": replace(QUICK, own_head=True),
}
"""Ways that the probe rules out, each by another of its comparisons."""


@pytest.mark.parametrize("model_type", WRONG_PATHS)
def test_a_way_that_the_probe_rules_out_trains_wrongly(model_type, tmp_path):
    tiny_model(tiny_config(model_type)).save_pretrained(tmp_path)
    opened.cache_clear()
    (training,) = probe(ModelConfig(path=str(tmp_path), device="cpu"), TRAINING, None)
    assert (training.path.packed, training.path.own_head) != (True, WRONG_PATHS[model_type].own_head)
    with pytest.raises(AssertionError):
        agrees_in_training(tmp_path, WRONG_PATHS[model_type])


def test_a_window_holds_beyond_the_lengths_of_the_probe(tmp_path):
    """The mask is asked for the longest text that may come, and a chunk is no window."""
    with pytest.raises(Unsupported, match="no sliding window"), layout(Segments((5, 6), None, 40)):
        mask(1, chunked_causal_mask_function(8, torch.zeros(1, dtype=torch.long)))
    with layout(Segments((5, 6), None, 8)):
        assert mask(1, chunked_causal_mask_function(8, torch.zeros(1, dtype=torch.long))) is None
    with layout(Segments((5, 6), None, 40)):
        assert mask(1, sliding_window_causal_mask_function(8)).axiom_window == 8
        assert mask(1) is None


@pytest.mark.parametrize("unknown", [{"position_bias": torch.ones(1)}, {"dropout": 0.1}, {"is_causal": False}])
def test_attention_raises_on_what_it_does_not_know(unknown):
    states = torch.randn(1, 2, 5, 4)
    with pytest.raises(Unsupported), layout(Segments((5,), None, 5)):
        attend(torch.nn.Module(), states, states, states, None, **unknown)
    with pytest.raises(Unsupported), layout(Segments((5,), None, 5)):
        attend(torch.nn.Module(), states, states, states, torch.zeros(1, 1, 5, 5))


@pytest.mark.parametrize(
    "rotary",
    [
        {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4},
        {
            "rope_type": "longrope",
            "short_factor": [1.0] * 4,
            "long_factor": [4.0] * 4,
            "rope_theta": 1e4,
            "original_max_position_embeddings": 24,
        },
    ],
)
def test_positions_that_depend_on_the_length_are_computed_for_each_text(rotary, tmp_path):
    config = tiny_config("llama", rope_parameters=rotary, max_position_embeddings=24)
    tiny_model(config).save_pretrained(tmp_path / "model")
    opened.cache_clear()
    training, sampling = probe(ModelConfig(path=str(tmp_path / "model"), device="cpu"), TRAINING, SAMPLING)
    assert not training.path.packed
    assert sampling.way == "recompute"
    agrees_in_training(tmp_path / "model", training.path)
    agrees_in_sampling(tmp_path / "model", sampling.way)


EIGHT = {
    "qwen2": {"layer_types": ["full_attention"] * 8},
    "qwen3_next": {"layer_types": ["linear_attention", "full_attention"] * 4},
}
"""Settings that list all of eight layers."""


@pytest.mark.parametrize(
    "model_type",
    [
        "llama",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("qwen2", "gpt2", "granite", "mistral", "bloom")),
    ],
)
def test_a_proof_by_some_of_the_layers_is_that_of_all(model_type, tmp_path, monkeypatch):
    """Whole models are loaded, and a model that needs a fallback is proved with all of its layers."""
    tiny_model(tiny_config(model_type, num_hidden_layers=8, **EIGHT.get(model_type, {}))).save_pretrained(tmp_path)
    model = ModelConfig(path=str(tmp_path), dtype="float32", device="cpu")
    assert _shortened(_open(model))
    quick = probe(model, TRAINING, SAMPLING)
    monkeypatch.setattr("axiom.learners.probe.DEPTH", 8)
    assert not _shortened(_open(model))
    assert quick == probe(model, TRAINING, SAMPLING)


@pytest.mark.parametrize("model_type", ["gemma2", "gpt_oss", "qwen3_next", "llama", "olmo2"])
def test_a_model_of_several_kinds_of_layers_is_proved_with_all_of_them(model_type, tmp_path):
    tiny_model(tiny_config(model_type, num_hidden_layers=8, **EIGHT.get(model_type, {}))).save_pretrained(tmp_path)
    base = _open(ModelConfig(path=str(tmp_path), dtype="float32", device="cpu"))
    if model_type == "llama":  # one layer has another number than the config says
        base.model.layers[6].self_attn.scaling *= 2
    if model_type == "olmo2":
        base.model.layers[6].post_attention_layernorm = torch.nn.Identity()
    assert not _shortened(base)
    assert len(base.get_decoder().layers) == base.config.num_hidden_layers == 8
