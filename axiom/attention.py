"""Attention as this project's decoding and packing need it, registered with transformers as `axiom`.

Axes: B rows, Q query tokens, K key tokens, H query heads, G key heads (H a multiple of G), D head size.
"""
# ruff: noqa: TID253  (imported only by the sampler and the trainer, which are themselves imported lazily)

from functools import lru_cache
from itertools import accumulate
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

NAME = "axiom"
"""The implementation's name; transformers builds no mask for it, the caller hands one over or none is needed."""


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    segments: tuple[int, ...] | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of `query_BHQD` over `key_BGKD`; returns `output_BQHD`.

    `attention_mask_B1QK` is added to the scores. With `segments` the one row holds sequences of those lengths end to
    end, each causal and blind to the others.
    """
    if segments is not None:
        return _packed(query, key, value, scaling, segments), None
    rows, heads, length, size = query.shape
    groups = key.shape[1]
    if length == 1:
        # The heads that share a key head become its queries: one small product instead of H/G copies of the cache.
        grouped = query.view(rows, groups, heads // groups, size)
        out = scaled_dot_product_attention(grouped, key, value, attention_mask, scale=scaling)
        return out.reshape(rows, 1, heads, size), None
    out = scaled_dot_product_attention(
        query, *_repeat(key, value, heads), attn_mask=attention_mask, is_causal=attention_mask is None, scale=scaling
    )
    return out.transpose(1, 2).contiguous(), None


def _packed(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None, segments: tuple[int, ...]
) -> torch.Tensor:
    key, value = _repeat(key, value, query.shape[1])
    if query.is_cuda and query.dtype == torch.bfloat16:
        return _variable_length(query, key, value, scaling, segments)
    parts = zip(*(tensor.split(segments, dim=2) for tensor in (query, key, value)), strict=True)
    outs = [_causal(*part, scaling) for part in parts]
    return torch.cat(outs, dim=2).transpose(1, 2).contiguous()


def _causal(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None) -> torch.Tensor:
    """Attention of one short sequence. On a CPU, forward and backward take half of what the fused kernel takes."""
    if query.is_cuda:
        return scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = (query @ key.transpose(-1, -2)).float() * scale + _future(query.shape[2])
    return scores.softmax(-1).to(value.dtype) @ value


@lru_cache(maxsize=64)
def _future(length: int) -> torch.Tensor:
    """Minus infinity where a key stands after its query."""
    return torch.full((length, length), float("-inf")).triu(1)


def _variable_length(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None, segments: tuple[int, ...]
) -> torch.Tensor:
    """FlashAttention over all segments in one launch; nested tensors are the way to it that keeps its gradient."""
    offsets = _offsets(segments, query.device)
    longest = max(segments)
    nested = [
        torch.nested.nested_tensor_from_jagged(tensor[0].transpose(0, 1), offsets, max_seqlen=longest).transpose(1, 2)
        for tensor in (query, key, value)
    ]
    out = scaled_dot_product_attention(*nested, is_causal=True, scale=scaling)
    return out.transpose(1, 2).values()[None]


@lru_cache(maxsize=4)
def _offsets(segments: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Where each segment begins, and the end; the same for every layer of a pass."""
    return torch.tensor([0, *accumulate(segments)], device=device)


def _repeat(key: torch.Tensor, value: torch.Tensor, heads: int) -> tuple[torch.Tensor, torch.Tensor]:
    times = heads // key.shape[1]
    return key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)


AttentionInterface.register(NAME, attend)
