"""What the trainer's model gives tokens that an engine drew: one pass over all of them, without a gradient."""
# ruff: noqa: TID253  (imported where it scores)

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft.tuners.lora import LoraLayer

from axiom.config import ModelConfig, TrainingConfig
from axiom.models import Policy, load_model, read_settings
from axiom.models.attention import rotary_limit
from axiom.models.merging import read_by_peft, special_settings
from axiom.models.ways import OWN, TrainPath
from axiom.sampling import Trace
from axiom.training import Kept
from axiom.training.batches import Encoded, pack
from axiom.training.lora import SETTINGS, Trainable, load_factors, merge, opened
from axiom.training.passes import scores, to_device


def score(
    traces: Sequence[Trace],
    *,
    model: ModelConfig,
    config: TrainingConfig,
    policy: Policy,
    kept: Kept,
    merged: bool = False,
    path: TrainPath = OWN,
    sharded: bool = False,
) -> np.ndarray:
    """Log-probabilities that the trainer's model with `policy` in force gives the drawn tokens, trace after trace.

    They are of temperature 1. Tokens beyond `config.max_length`, or where positions depend on the length of the whole
    text, have nan. `merged` adds the adapter to the weights, which rounds the sum. `kept` serves `train` afterwards,
    with the same `path`. Of a `sharded` model all processes score the same.
    """
    if policy.adapter is not None and special_settings(policy.adapter):
        adapted: Any = read_by_peft(load_model(model), policy.adapter).eval()
        adapted.set_attn_implementation("eager")
        return _scored(adapted.get_base_model(), OWN, traces, config.max_length)
    trainable = opened(model, config, path, kept, sharded)
    _hold(trainable, policy.adapter, config, merged)
    with _without_dropout(trainable):
        trainable.factors.before_pass()
        return _scored(trainable.model, trainable.path, traces, config.max_length)


def _hold(trainable: Trainable, adapter: Path | None, config: TrainingConfig, merged: bool) -> None:
    """Put `adapter` in force: in the factors if they have its shape, else by merging it into the base weights."""
    by_factors = adapter is not None and not merged and _fits(adapter, config)
    if adapter is not None and by_factors and load_factors(trainable.adapted, adapter) is None:
        merge(trainable, None)
        return
    merge(trainable, adapter)
    with torch.no_grad():
        trainable.factors.values_P.zero_()


def _fits(adapter: Path, config: TrainingConfig) -> bool:
    found = read_settings(adapter / SETTINGS)
    return (found["r"], found["lora_alpha"]) == (config.lora_r, config.lora_alpha)


@contextmanager
def _without_dropout(trainable: Trainable) -> Iterator[None]:
    layers = [layer.lora_dropout for layer in trainable.adapted.modules() if isinstance(layer, LoraLayer)]
    try:
        for layer in layers:
            layer.eval()
        yield
    finally:
        for layer in layers:
            layer.train()


def _scored(model: Any, path: TrainPath, traces: Sequence[Trace], max_length: int) -> np.ndarray:
    most = min(max_length, rotary_limit(model) or max_length)
    texts = [Encoded([*trace.prompt, *trace.tokens][:most], len(trace.prompt), 1.0) for trace in traces]
    within = [text for text in texts if text.loss_tokens > 0]
    found = scores(model, to_device(pack(within, 1.0), model.device), path).tolist() if within else []
    parts = iter(found)
    return np.array(
        [
            next(parts) if place < text.loss_tokens else np.nan
            for trace, text in zip(traces, texts, strict=True)
            for place in range(len(trace.tokens))
        ]
    )
