"""Attention as this project's decoding and packing need it, registered with transformers as `axiom`.

A model asks transformers for a mask, and transformers asks `mask` here. It evaluates the model's own mask function at
the positions that the tokens have in their own sequences, which the caller states with `layout`. What a model asks for
beyond that is either computed here or raises `Unsupported`; nothing is passed over.
Axes: B rows, Q query tokens, K key tokens, H query heads, G key heads (H a multiple of G), D head size, E value size.
"""
# ruff: noqa: TID253  (imported only by the sampler and the trainer, which are themselves imported lazily)

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, causal_mask_function

from axiom.errors import ConfigError

NAME = "axiom"
"""The implementation's name."""
IGNORED = frozenset({"position_ids", "cache_position", "use_cache", "logits_to_keep", "sliding_window", "layer_idx"})
"""Arguments that say nothing about attention beyond the mask: the mask function knows the window already."""
MASK_ROWS = 64
"""Rows of a long mask that are compared with a window's; both are the same rule at every row."""


class Unsupported(ConfigError):
    """A model asked for attention of a kind that is not computed here; the message names it."""


@dataclass(frozen=True)
class Segments:
    """One row that holds several sequences end to end.

    `lengths` are theirs; None in a pass that is captured for other lengths as well. On a GPU, `offsets` says where each
    begins and the last ends (int32). `longest` bounds their lengths.
    """

    lengths: tuple[int, ...] | None
    offsets: torch.Tensor | None
    longest: int


@dataclass(frozen=True)
class Rows:
    """Sequences in rows: the positions of the tokens fed, and how many positions of the cache attention sees."""

    positions_BQ: torch.Tensor
    span: int


_layout: Segments | Rows | None = None


@contextmanager
def layout(of_tokens: Segments | Rows) -> Iterator[None]:
    """Where the tokens of the passes inside stand, forward and backward.

    It is no argument of the model, because not every model hands arguments on to its attention.
    """
    global _layout
    _layout = of_tokens
    try:
        yield
    finally:
        _layout = None


def mask(
    batch_size: int,
    mask_function: Callable[..., Any] = causal_mask_function,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    q_length: int = 0,
    q_offset: int = 0,
    kv_length: int = 0,
    attention_mask: torch.Tensor | None = None,
    **_others: Any,
) -> torch.Tensor | None:
    """The mask that a model hands to its attention: what is added to the scores, or a mark that names a window.

    None stands for plain causal attention within each sequence. Outside of a layout each row is a sequence.
    """
    if isinstance(_layout, Segments):
        width = _window(mask_function, _layout.longest)
        return None if width is None else _marked(torch.empty(0), width)
    if _layout is None and attention_mask is not None and not bool(attention_mask.all()):
        raise Unsupported("padding outside of a layout")
    rows = _layout or Rows(torch.arange(q_offset, q_offset + q_length)[None], kv_length)
    positions_BQ1 = rows.positions_BQ.to(device)[..., None]
    rows_B11 = torch.arange(batch_size, device=device)[:, None, None]
    allowed = mask_function(rows_B11, 0, positions_BQ1, torch.arange(rows.span, device=device))
    if allowed.shape not in {(size, positions_BQ1.shape[1], rows.span) for size in (len(positions_BQ1), batch_size)}:
        raise Unsupported("a mask that is no rule over positions")
    scores = torch.zeros(allowed.shape, dtype=dtype, device=device).masked_fill_(~allowed, float("-inf"))
    return _marked(scores[:, None], 0)


def _marked(tensor: torch.Tensor, window: int) -> torch.Tensor:
    setattr(tensor, "axiom_window", window)  # noqa: B010  (it tells our masks from a model's own)
    return tensor


def _window(mask_function: Callable[..., Any], length: int) -> int | None:
    """Positions that a token sees, itself included, in a sequence of `length`; None where that is all before it."""
    if mask_function is causal_mask_function:
        return None
    keys_K = torch.arange(length)
    last = mask_function(0, 0, torch.tensor(length - 1), keys_K)
    width = int(last.sum())
    some = {0, width - 1, width, width + 1, *range(0, length, max(1, length // MASK_ROWS)), length - 1}
    queries_Q1 = torch.tensor(sorted(row for row in some if 0 <= row < length))[:, None]
    found_QK = mask_function(0, 0, queries_Q1, keys_K)
    if not torch.equal(found_QK, (keys_K <= queries_Q1) & (keys_K > queries_Q1 - width)):
        raise Unsupported("a mask that is no sliding window")
    return None if width == length else width


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    is_causal: bool | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of `query_BHQD` over `key_BGKD` and `value_BGKE`; returns `output_BQHE`.

    `softcap` bounds the scores, `s_aux_H` are scores of a sink that takes weight and gives no value. Raises Unsupported
    for any other argument that is neither None nor False, and for a mask that is not from `mask`.
    """
    unknown = [
        name for name, given in others.items() if given is not None and given is not False and name not in IGNORED
    ]
    if unknown:
        raise Unsupported(f"attention with {', '.join(sorted(unknown))}")
    if dropout or is_causal is False or getattr(module, "is_causal", True) is False:
        raise Unsupported("attention with dropout" if dropout else "attention to later tokens")
    if attention_mask is not None and not hasattr(attention_mask, "axiom_window"):
        raise Unsupported("attention with a mask of its own")
    extras = Extras(query.shape[-1] ** -0.5 if scaling is None else scaling, softcap, s_aux)
    if isinstance(_layout, Segments):
        window = getattr(attention_mask, "axiom_window", None)
        return _packed(query, key, value, window, extras, _layout), None
    if attention_mask is None:
        raise Unsupported("attention without a mask")
    return _rows(query, key, value, attention_mask, extras), None


@dataclass(frozen=True)
class Extras:
    """What a model does to the scores before their softmax."""

    scaling: float
    softcap: float | None
    sinks_H: torch.Tensor | None

    @property
    def plain(self) -> bool:
        """Whether a fused kernel computes it."""
        return self.softcap is None and self.sinks_H is None


def _rows(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scores_B1QK: torch.Tensor, extras: Extras
) -> torch.Tensor:
    rows, heads, length, size = query.shape
    groups = key.shape[1]
    if not extras.plain:
        return _explicit(query, *_repeat(key, value, heads), scores_B1QK, extras).transpose(1, 2).contiguous()
    if length == 1:
        # The heads that share a key head become its queries: one small product instead of H/G copies of the cache.
        grouped = query.view(rows, groups, heads // groups, size)
        out = scaled_dot_product_attention(grouped, key, value, scores_B1QK, scale=extras.scaling)
        return out.reshape(rows, 1, heads, value.shape[-1])
    out = scaled_dot_product_attention(query, *_repeat(key, value, heads), attn_mask=scores_B1QK, scale=extras.scaling)
    return out.transpose(1, 2).contiguous()


def _packed(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, window: int | None, extras: Extras, segments: Segments
) -> torch.Tensor:
    fits = extras.plain and query.dtype == torch.bfloat16 and query.shape[-1] == value.shape[-1] <= 256
    if segments.offsets is not None and fits:
        # FlashAttention over all segments in one launch; it shares key heads among query heads by itself.
        parts = [tensor[0].transpose(0, 1) for tensor in (query, key, value)]
        ends, longest = segments.offsets, segments.longest
        sides = {} if window is None else {"window_size_left": window - 1, "window_size_right": 0}
        flash = torch.ops.aten._flash_attention_forward
        return flash(*parts, ends, ends, longest, longest, 0.0, True, False, scale=extras.scaling, **sides)[0][None]
    if segments.lengths is None:
        raise Unsupported("attention that FlashAttention does not compute, in a captured pass")
    key, value = _repeat(key, value, query.shape[1])
    pieces = zip(*(tensor.split(segments.lengths, dim=2) for tensor in (query, key, value)), strict=True)
    outs = [_causal(q, k, v, window, extras) for q, k, v in pieces]
    return torch.cat(outs, dim=2).transpose(1, 2).contiguous()


def _causal(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, window: int | None, extras: Extras
) -> torch.Tensor:
    """Attention of one short sequence. On a CPU, forward and backward take half of what the fused kernel takes."""
    if query.is_cuda and extras.plain and window is None:
        return scaled_dot_product_attention(query, key, value, is_causal=True, scale=extras.scaling)
    return _explicit(query, key, value, _hidden(query.shape[2], window).to(query.device), extras)


def _explicit(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, hidden_QK: torch.Tensor, extras: Extras
) -> torch.Tensor:
    scores = (query @ key.transpose(-1, -2)).float() * extras.scaling
    if extras.softcap is not None:
        scores = (scores / extras.softcap).tanh() * extras.softcap
    scores = scores + hidden_QK
    if extras.sinks_H is not None:
        sinks = extras.sinks_H.float().view(1, -1, 1, 1).expand(*scores.shape[:-1], 1)
        return torch.cat([scores, sinks], dim=-1).softmax(-1)[..., :-1].to(value.dtype) @ value
    return scores.softmax(-1).to(value.dtype) @ value


@lru_cache(maxsize=64)
def _hidden(length: int, window: int | None) -> torch.Tensor:
    """Minus infinity where a key stands after its query, or further before it than the window reaches."""
    hidden = torch.full((length, length), float("-inf")).triu(1)
    return hidden if window is None else hidden + torch.full((length, length), float("-inf")).tril(-window)


def _repeat(key: torch.Tensor, value: torch.Tensor, heads: int) -> tuple[torch.Tensor, torch.Tensor]:
    times = heads // key.shape[1]
    return key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)


def rotary_limit(model: torch.nn.Module) -> int | None:
    """Tokens beyond which rotary positions depend on the longest sequence of a pass; None if they never do."""
    limits: list[int] = []
    modules: Any = model.modules()
    for module in modules:
        kinds = getattr(module, "rope_type", None)
        by_layer = kinds if isinstance(kinds, dict) else {None: kinds}
        for layer, kind in by_layer.items():
            if isinstance(kind, str) and ("dynamic" in kind or kind == "longrope"):
                parameters = module.config.rope_parameters
                settings = parameters if layer is None else parameters[layer]
                limits.append(settings.get("original_max_position_embeddings") or module.original_max_seq_len)
    return min(limits, default=None)


def reset_rotary(model: torch.nn.Module) -> None:
    """Forget the longest sequence so far: transformers keeps dynamic rotary positions grown for shorter ones."""
    for module in model.modules():
        if hasattr(module, "original_max_seq_len") and hasattr(module, "rope_type"):
            for name in [*vars(module), *module._buffers]:
                if name.endswith("max_seq_len_cached"):
                    setattr(module, name, module.original_max_seq_len)
                elif name.endswith("original_inv_freq"):
                    module.register_buffer(name.replace("original_", ""), getattr(module, name), persistent=False)


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, mask)
