"""The base model with a trainable adapter, made by peft, and the adapter's files."""
# ruff: noqa: TID253  (imported only by the training loop, which is itself imported lazily)

import copy
import gc
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import Linear as LoraLinear
from safetensors.torch import load_file, save_file

from axiom import attention
from axiom.config import ModelConfig, TrainingConfig
from axiom.errors import ConfigError
from axiom.models import FINGERPRINT_KEY, Policy, check_adapter, fingerprint, load_model, resolve_model
from axiom.sampling.merging import Merger, checkpoint_reader
from axiom.seeds import derive
from axiom.training.lowrank import ADAPTER, Factors, fuse_norms
from axiom.training.passes import GraphedPasses

WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"


@dataclass(frozen=True)
class Trainable:
    """The base model with an adapter, and on a GPU its captured passes."""

    adapted: PeftModel
    factors: Factors
    graphed: GraphedPasses | None
    merger: Merger

    @property
    def model(self) -> Any:
        """The causal language model inside."""
        return self.adapted.get_base_model()


def prepare(model: ModelConfig, config: TrainingConfig, previous: Policy, seed: int) -> Trainable:
    """The base model with the adapter to be trained in its starting state.

    That is the previous adapter in the mode `continue`, else a fresh one; `merge` adds the previous one to the base.
    """
    trainable = _trainable(model, _Lora.of(config))
    trainable.factors.gradient_P.zero_()
    merged = previous.adapter if config.mode == "merge" else None
    if previous.adapter is not None:
        check_adapter(model, previous.adapter)
    with torch.no_grad():
        for name, weight in trainable.merger.weights(merged):
            _base_weight(trainable.model, name).copy_(weight)
    if config.mode == "continue" and previous.adapter is not None:
        _check_settings(previous.adapter, config)
        set_peft_model_state_dict(trainable.adapted, load_file(previous.adapter / WEIGHTS), ADAPTER)
    else:
        _start_anew(trainable.adapted, derive(seed, "adapter"))
    trainable.adapted.train()
    return trainable


@dataclass(frozen=True)
class _Lora:
    """The part of the training config that decides the adapter's shape."""

    r: int
    alpha: int
    dropout: float
    targets: str | tuple[str, ...]

    @classmethod
    def of(cls, config: TrainingConfig) -> "_Lora":
        return cls(config.lora_r, config.lora_alpha, config.lora_dropout, config.target_modules)


@lru_cache(maxsize=1)
def _trainable(model: ModelConfig, lora: _Lora) -> Trainable:
    """Kept between iterations: loading and capturing anew would cost as much as a small round of training."""
    base = load_model(model)
    base.set_attn_implementation(attention.NAME)
    adapted = get_peft_model(base, _settings(lora), adapter_name=ADAPTER)
    fuse_norms(base)
    factors = Factors([layer for layer in adapted.modules() if isinstance(layer, LoraLinear)], base.dtype)
    graphed = GraphedPasses(base, factors) if base.device.type == "cuda" else None
    device = str(base.device)
    merger = Merger(checkpoint_reader(resolve_model(model.path), device), device)
    return Trainable(adapted, factors, graphed, merger)


def forget() -> None:
    """Free the model that is kept between iterations."""
    _trainable.cache_clear()
    gc.collect()  # captured passes and the model refer to each other
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _base_weight(model: Any, name: str) -> torch.nn.Parameter:
    module, _, leaf = name.rpartition(".")
    layer = model.get_submodule(module)
    return getattr(layer.get_base_layer() if isinstance(layer, LoraLinear) else layer, leaf)


def _start_anew(adapted: PeftModel, seed: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for layer in adapted.modules():
            if isinstance(layer, LoraLinear):
                layer.reset_lora_parameters(ADAPTER, init_lora_weights=True)


def _check_settings(adapter: Path, config: TrainingConfig) -> None:
    found = json.loads((adapter / SETTINGS).read_text(encoding="utf-8"))
    for key, field in (("r", "lora_r"), ("lora_alpha", "lora_alpha")):
        if found[key] != getattr(config, field):
            raise ConfigError(
                f"training.{field} = {getattr(config, field)} cannot continue adapter {str(adapter)!r}, which has "
                f"{found[key]}; set training.{field} = {found[key]} or training.mode = 'restart'"
            )


def lora_config(config: TrainingConfig) -> LoraConfig:
    """Peft's settings for `config`."""
    return _settings(_Lora.of(config))


def _settings(lora: _Lora) -> LoraConfig:
    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    return LoraConfig(
        r=lora.r, lora_alpha=lora.alpha, lora_dropout=lora.dropout, task_type="CAUSAL_LM", target_modules=targets
    )  # fmt: skip


def save_adapter(trainable: Trainable, model: ModelConfig, out: Path, merged: Path | None) -> None:
    """Write adapter_model.safetensors and adapter_config.json, the layout that peft and vLLM read.

    What was `merged` into the base for this round is saved with it: the update of both is one adapter of the sum of
    their ranks.
    """
    out.mkdir(parents=True, exist_ok=True)
    state = get_peft_model_state_dict(trainable.adapted, save_embedding_layers=False)
    settings = copy.deepcopy(trainable.adapted.peft_config[ADAPTER])
    assert isinstance(settings, LoraConfig)
    if merged is not None:
        earlier = load_file(merged / WEIGHTS)
        state = {name: _stacked(name, earlier[name], tensor) for name, tensor in state.items()}
        ranks = json.loads((merged / SETTINGS).read_text(encoding="utf-8"))["r"] + settings.r
        settings.lora_alpha, settings.r = settings.lora_alpha * ranks // settings.r, ranks
    state = {name: tensor.contiguous().cpu() for name, tensor in state.items()}
    mark = fingerprint(resolve_model(model.path))
    # One key alone: safetensors writes several in an order that differs from run to run, and digests with it.
    save_file(state, out / WEIGHTS, {FINGERPRINT_KEY: mark})
    settings.base_model_name_or_path = model.path
    settings.inference_mode = True
    settings.save_pretrained(str(out))


def _stacked(name: str, earlier: torch.Tensor, later: torch.Tensor) -> torch.Tensor:
    """Two adapters' factors side by side along the rank: `[B B'] [A; A']` is `B A + B' A'`."""
    return torch.cat([earlier, later.cpu()], dim=0 if ".lora_A." in name else 1)
