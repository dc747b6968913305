"""Attention as this project's decoding and packing need it, registered with transformers as `axiom`.

Axes: B rows, Q query tokens, K key tokens, H query heads, G key heads (H a multiple of G), D head size.
"""
# ruff: noqa: TID253  (imported only by the sampler and the trainer, which are themselves imported lazily)

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
    parts = zip(*(tensor.split(segments, dim=2) for tensor in (query, key, value)), strict=True)
    outs = [scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling) for q, k, v in parts]
    return torch.cat(outs, dim=2).transpose(1, 2).contiguous()


def _repeat(key: torch.Tensor, value: torch.Tensor, heads: int) -> tuple[torch.Tensor, torch.Tensor]:
    times = heads // key.shape[1]
    return key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)


AttentionInterface.register(NAME, attend)
