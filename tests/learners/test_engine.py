"""What vLLM would reject or pass over is refused before a run writes anything, with the way out."""

import ast

import pytest

from axiom.config import load_config
from axiom.errors import ConfigError
from axiom.learners import check
from axiom.learners.engine import longest_context
from tests.models.architectures import tiny_config, tiny_model, tiny_wrapper
from tests.models.tiny_model import make_tiny_model


@pytest.fixture
def folder(tmp_path):
    """A byte tokenizer; the model of a test goes beside it."""
    return make_tiny_model(tmp_path / "model")


def admit(folder, **changes):
    plain = {"model.path": str(folder), "model.device": "cpu", "sampling.engine": "vllm"}
    check(load_config(None, **(plain | {"sampling.vllm.max_model_len": 256} | changes)))


def refusal(folder, **changes):
    with pytest.raises(ConfigError) as caught:
        admit(folder, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_length_beyond_the_model_s_is_refused(folder):
    admit(folder, **{"sampling.vllm.max_model_len": 512})
    sentence = "sampling.vllm.max_model_len = 513 is more than the 512 tokens that the model takes; set .* = 512"
    with pytest.raises(ConfigError, match=sentence):
        admit(folder, **{"sampling.vllm.max_model_len": 513})
    admit(folder, **{"sampling.vllm.max_model_len": 513, "sampling.engine": "transformers"})


@pytest.mark.parametrize("weights", ["merged", "adapter"])
@pytest.mark.parametrize("model_type", ["mixtral", "qwen3_moe", "deepseek_v3"])
def test_an_adapter_of_experts_is_refused_and_one_of_attention_is_not(folder, model_type, weights):
    tiny_model(tiny_config(model_type, max_position_embeddings=1024)).save_pretrained(folder)
    merged = {"sampling.vllm.weights": weights}
    said = refusal(folder, **merged)
    assert ".mlp." in said
    assert "vLLM takes no adapter of it; set sampling.engine = 'transformers' or training.target_modules = ['" in said
    named = ast.literal_eval(said.rpartition("training.target_modules = ")[2])
    admit(folder, **merged, **{"training.target_modules": named})
    admit(folder, **{"sampling.engine": "transformers"})


def test_merged_weights_that_the_files_name_otherwise_are_refused(folder):
    tiny_model(tiny_wrapper("gemma3")).save_pretrained(folder)
    said = refusal(folder, **{"sampling.vllm.weights": "merged"})
    assert "under another name" in said
    assert "set sampling.vllm.weights = 'adapter'" in said
    admit(folder, **{"sampling.vllm.weights": "adapter"})


LENGTHS = {
    "plain": ("llama", {}, 256),
    "linear": ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}}, 1024),
    "dynamic": ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}, 512),
    "yarn": ("llama", {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4}}, 256),
    "learned": ("gpt2", {}, 256),
    "no positions": ("bloom", {}, None),
}


@pytest.mark.parametrize("case", LENGTHS)
def test_the_longest_text_is_what_the_settings_say(case):
    model_type, changes, expected = LENGTHS[case]
    assert longest_context(tiny_config(model_type, **changes)) == expected


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in LENGTHS if LENGTHS[case][-1]])
def test_the_longest_text_is_the_longest_that_vllm_takes(folder, case):
    from vllm.config import ModelConfig

    model_type, changes, longest = LENGTHS[case]
    tiny_model(tiny_config(model_type, **changes)).save_pretrained(folder)
    assert ModelConfig(str(folder), max_model_len=longest).max_model_len == longest
    with pytest.raises(ValueError, match="max_model_len"):
        ModelConfig(str(folder), max_model_len=longest + 1)
