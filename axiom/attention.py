"""Attention as this project's decoding and packing need it, registered with transformers as `axiom`.

Axes: B rows, Q query tokens, K key tokens, H query heads, G key heads (H a multiple of G), D head size.
"""
# ruff: noqa: TID253  (imported only by the sampler and the trainer, which are themselves imported lazily)

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

NAME = "axiom"
"""The implementation's name; transformers builds no mask for it, the caller hands one over or none is needed."""


@dataclass(frozen=True)
class Segments:
    """Lengths of the sequences that one row holds end to end.

    On a GPU, `offsets` says where each begins and the last ends (int32), and `longest` bounds their lengths; these two
    alone are read there, so that a captured graph serves other lengths.
    """

    lengths: tuple[int, ...]
    offsets: torch.Tensor | None
    longest: int


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    segments: Segments | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of `query_BHQD` over `key_BGKD`; returns `output_BQHD`.

    `attention_mask_B1QK` is added to the scores. With `segments` the one row holds several sequences end to end, each
    causal and blind to the others.
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
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None, segments: Segments
) -> torch.Tensor:
    if segments.offsets is not None and query.dtype == torch.bfloat16:
        # FlashAttention over all segments in one launch; it shares key heads among query heads by itself.
        parts = [tensor[0].transpose(0, 1) for tensor in (query, key, value)]
        ends, longest = segments.offsets, segments.longest
        flash = torch.ops.aten._flash_attention_forward
        return flash(*parts, ends, ends, longest, longest, 0.0, True, False, scale=scaling)[0][None]
    key, value = _repeat(key, value, query.shape[1])
    pieces = zip(*(tensor.split(segments.lengths, dim=2) for tensor in (query, key, value)), strict=True)
    outs = [_causal(q, k, v, scaling) for q, k, v in pieces]
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


def _repeat(key: torch.Tensor, value: torch.Tensor, heads: int) -> tuple[torch.Tensor, torch.Tensor]:
    times = heads // key.shape[1]
    return key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)


AttentionInterface.register(NAME, attend)
