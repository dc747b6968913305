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
from axiom.training.loss import divergence
from axiom.training.passes import logits, scores, to_device

LOOKED_AT_TOGETHER = 8
"""Texts in one pass of `divergences`."""
MOST_LOGITS = 1 << 26
"""Logits of one policy that `divergences` holds at one time: 256 MB."""


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
    with _in_force(policy, model, config, kept, path, sharded, merged) as (scoring, way):
        return _scored(scoring, way, traces, config.max_length)


def divergences(
    texts: Sequence[Encoded],
    *,
    model: ModelConfig,
    config: TrainingConfig,
    policy: Policy,
    base: Policy,
    kept: Kept,
    path: TrainPath = OWN,
    sharded: bool = False,
) -> list[np.ndarray]:
    """KL(policy || base) of the next token in nats, at the positions of each text that predict its tokens from `start`.

    The sum is over the whole vocabulary. A text is looked at up to `config.max_length` tokens, or to the length from
    which positions depend on that of the whole text. `kept` serves `train` afterwards, with the same `path`. Of a
    `sharded` model all processes compute the same.
    """
    trained = opened(model, config, path, kept, sharded).model
    most = _longest(trained, config.max_length)
    cut = [Encoded(text.tokens[:most], text.start, 1.0) for text in texts]
    found = []
    for group in _groups(cut, trained.get_output_embeddings().weight.shape[0]):
        both = []
        for one in (policy, base):
            with _in_force(one, model, config, kept, path, sharded) as (scoring, way):
                both.append(logits(scoring, to_device(pack(group, 1.0), scoring.device), way))
        nats_N = divergence(*both).cpu().numpy()
        found += np.split(nats_N, np.cumsum([text.loss_tokens for text in group])[:-1])
    parts = iter(found)
    return [next(parts) if text.loss_tokens > 0 else np.empty(0) for text in cut]


def _groups(texts: Sequence[Encoded], vocabulary: int) -> Iterator[list[Encoded]]:
    """The texts that have positions to look at, in their order, as many at once as there is room for their logits."""
    group: list[Encoded] = []
    for text in texts:
        if text.loss_tokens <= 0:
            continue
        positions = sum(one.loss_tokens for one in [*group, text])
        if group and (len(group) == LOOKED_AT_TOGETHER or positions * vocabulary > MOST_LOGITS):
            yield group
            group = []
        group.append(text)
    if group:
        yield group


def _longest(model: Any, max_length: int) -> int:
    """Tokens of the longest text whose log-probabilities are those of training."""
    return min(max_length, rotary_limit(model) or max_length)


@contextmanager
def _in_force(
    policy: Policy,
    model: ModelConfig,
    config: TrainingConfig,
    kept: Kept,
    path: TrainPath,
    sharded: bool,
    merged: bool = False,
) -> Iterator[tuple[Any, TrainPath]]:
    """The trainer's model with `policy` in force and without dropout, and the way in which it computes."""
    if policy.adapter is not None and special_settings(policy.adapter):
        adapted: Any = read_by_peft(load_model(model), policy.adapter).eval()
        adapted.set_attn_implementation("eager")
        yield adapted.get_base_model(), OWN
        return
    trainable = opened(model, config, path, kept, sharded)
    _hold(trainable, policy.adapter, config, merged)
    with _without_dropout(trainable):
        trainable.factors.before_pass()
        yield trainable.model, trainable.path


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
    most = _longest(model, max_length)
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
