"""The base model with a trainable adapter, made by peft, and the adapter's files."""
# ruff: noqa: TID253  (imported only by the training loop, which is itself imported lazily)

import copy
import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers.pytorch_utils import Conv1D

from axiom.config import ModelConfig, TrainingConfig
from axiom.errors import ConfigError
from axiom.models import (
    FINGERPRINT_KEY,
    Policy,
    attention,
    check_adapter,
    fingerprint,
    load_model,
    own_random,
    read_settings,
    resolve_device,
    resolve_model,
)
from axiom.models.merging import Merger, originals
from axiom.models.ways import TrainPath
from axiom.seeds import derive
from axiom.training import Kept
from axiom.training.group import shard
from axiom.training.lowrank import ADAPTER, Factors, fuse_norms
from axiom.training.passes import GraphedPasses

WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"


@dataclass(frozen=True)
class Trainable:
    """The base model with an adapter, the way its passes are computed, and on a GPU the captured ones.

    Where `sharded`, other processes have the rest of the base model's weights.
    """

    adapted: PeftModel
    factors: Factors
    path: TrainPath
    graphed: GraphedPasses | None
    merger: Merger
    sharded: bool = False

    @property
    def model(self) -> Any:
        """The causal language model inside."""
        return self.adapted.get_base_model()


def prepare(
    model: ModelConfig,
    config: TrainingConfig,
    previous: Policy,
    seed: int,
    path: TrainPath,
    kept: Kept | None = None,
    sharded: bool = False,
) -> Trainable:
    """The base model with the adapter to be trained in its starting state.

    That is the previous adapter in the mode `continue`, else a fresh one; `merge` adds the previous one to the base.
    What `kept` holds is used again.
    """
    trainable = opened(model, config, path, kept or Kept(), sharded)
    trainable.factors.gradient_P.zero_()
    if previous.adapter is not None:
        check_adapter(model, previous.adapter)
    merge(trainable, previous.adapter if config.mode == "merge" else None)
    if config.mode == "continue" and previous.adapter is not None:
        _check_settings(previous.adapter, config, trainable.adapted)
        foreign = load_factors(trainable.adapted, previous.adapter)
        if foreign is not None:
            raise _other_layers(previous.adapter, config, foreign)
    else:
        start_anew(trainable.adapted, derive(seed, "adapter"))
    return trainable


def load_factors(adapted: PeftModel, adapter: Path) -> str | None:
    """Give the layers the factors that `save_adapter` wrote; the name of one that only one side has, if there is any.

    Peft's own loading renames layers of some mixtures of experts, and passes over those that it then does not find.
    """
    own, saved = _factors(adapted), load_file(adapter / WEIGHTS)
    if own.keys() != saved.keys():
        return min(own.keys() ^ saved.keys())
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_(saved[name])
    return None


def _factors(adapted: PeftModel) -> dict[str, torch.Tensor]:
    """The adapter's factors by the names that they have in its file."""
    found: dict[str, torch.Tensor] = get_peft_model_state_dict(
        adapted, adapter_name=ADAPTER, save_embedding_layers=False
    )
    return found


def merge(trainable: Trainable, adapter: Path | None) -> None:
    """Add `adapter` to the base weights, in place of what was added before.

    Raises ConfigError where they are sharded.
    """
    if trainable.sharded and adapter is not None:
        raise ConfigError(
            f"training.fsdp splits the weights that adapter {str(adapter)!r} is to be added to; set training.fsdp = "
            f"false, or training.mode = 'continue' with the adapter's rank and alpha"
        )
    with torch.no_grad():
        for name, weight in trainable.merger.weights(adapter):
            _base_weight(trainable.model, name).copy_(weight)


def opened(model: ModelConfig, config: TrainingConfig, path: TrainPath, kept: Kept, sharded: bool = False) -> Trainable:
    """The model with an adapter in any state, from `kept` if it is there; with `sharded`, this process's part of it.

    Loading and capturing again would cost as much as a small round of training.
    """
    key = (model, path, sharded, config.lora_r, config.lora_alpha, config.lora_dropout, config.target_modules)
    if key not in kept.held:
        kept.release()
        with own_random():  # peft draws factors, which are then drawn from the seed
            kept.held[key] = (
                _part(model, config, path) if sharded else quickened(adapt(load_model(model), config), path)
            )
    found = kept.held[key]
    assert isinstance(found, Trainable)
    return found


def _part(model: ModelConfig, config: TrainingConfig, path: TrainPath) -> Trainable:
    """A sharded model never is whole on a GPU. Its passes gather weights, which no captured pass does."""
    adapted = adapt(load_model(model.model_copy(update={"device": "cpu"})), config)
    shard(adapted, resolve_device(model))
    return replace(quickened(adapted, replace(path, captured=False)), sharded=True)


def adapt(base: Any, config: TrainingConfig) -> PeftModel:
    """The model with peft's layers, all its own code, and no dropout but the adapter's."""
    base.set_attn_implementation("eager")
    adapted = get_peft_model(base, lora_config(config, base), adapter_name=ADAPTER).eval()
    for layer in adapted.modules():
        if isinstance(layer, LoraLayer):
            layer.lora_dropout.train()
    return adapted


def quickened(adapted: PeftModel, path: TrainPath) -> Trainable:
    """Put the quick parts of `path` in the place of the model's own; a later call replaces an earlier one's."""
    base: Any = adapted.get_base_model()
    for layer in base.modules():
        layer.__dict__.pop("forward", None)
    base.set_attn_implementation(attention.NAME if path.packed else "eager")
    if path.fused:
        fuse_norms(base)
    factors = Factors(adapted, base.dtype, path.fused)
    graphed = GraphedPasses(base, factors, path) if base.device.type == "cuda" and path.captured else None
    merger = Merger(originals(partial(_base_weight, base)), str(base.device))
    return Trainable(adapted, factors, path, graphed, merger)


def _base_weight(model: Any, name: str) -> torch.nn.Parameter:
    module, _, leaf = name.rpartition(".")
    layer = model.get_submodule(module)
    return getattr(layer.get_base_layer() if isinstance(layer, LoraLayer) else layer, leaf)


def start_anew(adapted: PeftModel, seed: int) -> None:
    """Fresh factors, drawn from `seed`: their update is zero."""
    with own_random():
        torch.manual_seed(seed)
        for layer in adapted.modules():
            if isinstance(layer, LoraLayer):
                layer.reset_lora_parameters(ADAPTER, init_lora_weights=True)


def check_continues(adapter: Path, config: TrainingConfig, base: Any) -> None:
    """Raise ConfigError unless training can go on with `adapter` on the model `base`, which needs no weights for it."""
    adapted = get_peft_model(base, lora_config(config, base), adapter_name=ADAPTER)
    _check_settings(adapter, config, adapted)
    with safe_open(adapter / WEIGHTS, "np") as file:
        foreign = _factors(adapted).keys() ^ set(file.keys())
    if foreign:
        raise _other_layers(adapter, config, min(foreign))


def _other_layers(adapter: Path, config: TrainingConfig, example: str) -> ConfigError:
    return ConfigError(
        f"adapter {str(adapter)!r} has other layers than training.target_modules = {config.target_modules!r} trains, "
        f"{example} for one; set training.target_modules as it was or training.mode = 'restart'"
    )


def _check_settings(adapter: Path, config: TrainingConfig, adapted: PeftModel) -> None:
    """The scale of an update is part of what it is."""
    found, trained = read_settings(adapter / SETTINGS), adapted.peft_config[ADAPTER]
    for key, field in (("r", "lora_r"), ("lora_alpha", "lora_alpha")):
        if found[key] != getattr(config, field):
            raise ConfigError(
                f"training.{field} = {getattr(config, field)} cannot continue adapter {str(adapter)!r}, which has "
                f"{found[key]}; set training.{field} = {found[key]} or training.mode = 'restart'"
            )
    for key in ("use_rslora", "rank_pattern", "alpha_pattern"):
        if (found.get(key) or None) != (getattr(trained, key) or None):
            raise ConfigError(
                f"adapter {str(adapter)!r} has {key} = {found.get(key)!r}, with which training does not go on; set "
                f"training.mode = 'restart'"
            )


def lora_config(config: TrainingConfig, base: Any) -> LoraConfig:
    """Peft's settings for `config` on the model `base`.

    "all-linear" are the linear layers of the language model: not those of a tower of images, which no text reaches, and
    not the routers of experts that are a kind of linear layer and return more than its product.
    """
    targets = config.target_modules if isinstance(config.target_modules, str) else list(config.target_modules)
    wrapped = base.config.get_text_config() is not base.config
    language = set((base.get_decoder() if wrapped else base).modules())
    left_out = [
        name
        for name, layer in base.named_modules()
        if isinstance(layer, torch.nn.Linear | Conv1D) and (layer not in language or "Router" in type(layer).__name__)
    ]
    return LoraConfig(
        exclude_modules=(left_out or None) if isinstance(targets, str) else None,
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        task_type="CAUSAL_LM",
        target_modules=targets,
    )


def save_adapter(trainable: Trainable, model: ModelConfig, out: Path, merged: Path | None) -> None:
    """Write adapter_model.safetensors and adapter_config.json, the layout that peft and vLLM read.

    What was `merged` into the base for this round is saved with it: the update of both is one adapter of the sum of
    their ranks.
    """
    out.mkdir(parents=True, exist_ok=True)
    state = _factors(trainable.adapted)
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
    if not isinstance(settings.target_modules, str):  # a set, whose order is each process's own
        settings.target_modules = sorted(settings.target_modules or ())
    settings.save_pretrained(str(out))


def _stacked(name: str, earlier: torch.Tensor, later: torch.Tensor) -> torch.Tensor:
    """Two adapters' factors side by side along the rank: `[B B'] [A; A']` is `B A + B' A'`."""
    return torch.cat([earlier, later.cpu()], dim=0 if ".lora_A." in name else 1)
