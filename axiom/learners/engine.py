"""What the vLLM engine does not take of a model or an adapter, told before a run writes anything."""

import copy
from typing import Any

from axiom.config import ExperimentConfig
from axiom.errors import ConfigError
from axiom.models import resolve_model, weight_names

LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "max_seq_length")
"""Settings that name the longest text of a model, as vLLM reads them."""
SCALED_ALREADY = frozenset({"longrope", "llama3", "yarn"})
"""Kinds of rotary positions whose longest text the settings give as it is; vLLM multiplies that of others."""


def check_engine(config: ExperimentConfig, skeleton: Any) -> None:
    """Raise ConfigError where vLLM would reject the model's length, or the weights that training changes."""
    limit, asked = longest_context(skeleton.config), config.sampling.vllm.max_model_len
    if limit is not None and asked > limit:
        raise ConfigError(
            f"sampling.vllm.max_model_len = {asked} is more than the {limit} tokens that the model takes; set "
            f"sampling.vllm.max_model_len = {limit}"
        )
    heads = getattr(skeleton.config.get_text_config(), "num_attention_heads", 0)
    parts = config.sampling.vllm.tensor_parallel
    if heads % parts:
        raise ConfigError(
            f"sampling.vllm.tensor_parallel = {parts} does not divide the model's {heads} attention heads; set a "
            f"divisor of {heads}"
        )
    from axiom.sampling.vllm import weights_in_force

    trained = _trained(config, skeleton)
    targets = f"training.target_modules = {config.training.target_modules!r}"
    experts = [name for name, linear in trained.items() if not linear]
    if experts:
        layers = sorted({name.split(".")[-2] for name, linear in trained.items() if linear and "attn" in name})
        raise ConfigError(
            f"{targets} trains {experts[0]}, which is no linear layer, and vLLM takes no adapter of it; set "
            f"sampling.engine = 'transformers'" + (f" or training.target_modules = {layers}" if layers else "")
        )
    if weights_in_force(config.model, config.sampling) == "merged":
        unknown = sorted(trained.keys() - weight_names(resolve_model(config.model.path)))
        if unknown:
            raise ConfigError(
                f"{targets} trains {unknown[0]}, which the model's files have under another name, so that it cannot be "
                f"merged for vLLM; set sampling.vllm.weights = 'adapter' or sampling.engine = 'transformers'"
            )


def longest_context(settings: Any) -> int | None:
    """Tokens of the longest text that vLLM lets a model have; None where nothing bounds it."""
    text = settings.get_text_config()
    found = [getattr(text, name, None) for name in LENGTHS]
    lengths = [float(length) for length in found if length is not None]
    if not lengths:
        return None
    longest = min(lengths) * _factor(settings)
    return int(max(longest, getattr(settings, "model_max_length", None) or 0))


def _factor(settings: Any) -> float:
    """What rotary positions stretch the longest text by; those of Gemma 3 are stretched in its settings already."""
    rotary = getattr(settings.get_text_config(), "rope_parameters", None) or {}
    kinds = [kind for kind in rotary.values() if isinstance(kind, dict)] or [rotary]
    scales = [kind.get("factor") for kind in kinds if kind.get("rope_type") not in SCALED_ALREADY]
    return 1.0 if "gemma3" in settings.model_type else next((scale for scale in reversed(scales) if scale), 1.0)


def _trained(config: ExperimentConfig, skeleton: Any) -> dict[str, bool]:
    """The weights that training changes by name, and whether each is that of a linear layer."""
    from peft.tuners.lora import LoraLayer
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    from axiom.training.lora import adapt

    modules = dict(skeleton.named_modules())
    found = {}
    for place, layer in adapt(copy.deepcopy(skeleton), config.training).get_base_model().named_modules():
        if isinstance(layer, LoraLayer):
            name = place.replace(".base_layer", "")
            parameter = getattr(layer, "parameter_name", "weight")
            found[f"{name}.{parameter}"] = isinstance(modules[name], Linear | Conv1D)
    return found
