"""Pick the next token of every row. Axes: B rows, V vocabulary."""
# ruff: noqa: TID253  (imported only by the transformers sampler, which is itself imported lazily)

import numpy as np
import torch

BLOCK = 128
"""Columns summed together before the inverse of the distribution function is looked up."""


def uniforms(keys: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """One number in [0, 1) for each (key, step): SplitMix64 (Steele, Lea and Flood 2014) as a counter-based generator.

    A row's numbers depend on nothing but its own key, so the rows it is batched with do not change them.
    """
    with np.errstate(over="ignore"):
        state = keys.astype(np.uint64) + (steps.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def choose(
    logits_BV: torch.Tensor, temperature_B: torch.Tensor, top_p_B: torch.Tensor, uniform_B: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and their log-probabilities at temperature 1, both `B`. Temperature 0 takes the most likely token."""
    highest_B, tokens_B = logits_BV.max(-1)
    below_BV = logits_BV.float() - highest_B[:, None].float()
    normaliser_B = below_BV.exp().sum(-1).log()
    sampled_B = (temperature_B > 0).nonzero()[:, 0]
    if len(sampled_B):
        weights_BV = (below_BV[sampled_B] / temperature_B[sampled_B, None]).exp_()
        if bool((top_p_B[sampled_B] < 1).any()):
            weights_BV = _nucleus(weights_BV, top_p_B[sampled_B])
        tokens_B[sampled_B] = _invert(weights_BV, uniform_B[sampled_B])
    return tokens_B, below_BV.gather(-1, tokens_B[:, None])[:, 0] - normaliser_B


def _invert(weights_BV: torch.Tensor, uniform_B: torch.Tensor) -> torch.Tensor:
    """The token at which the running sum of unnormalised weights passes `uniform` of the total.

    Two levels, blocks and then columns, because a running sum over a whole vocabulary costs more than the rest.
    """
    rows, vocabulary = weights_BV.shape
    padded = torch.nn.functional.pad(weights_BV, (0, -vocabulary % BLOCK)).view(rows, -1, BLOCK)
    block_ends = padded.sum(-1).double().cumsum(-1)
    target = uniform_B.double()[:, None] * block_ends[:, -1:]
    block = torch.searchsorted(block_ends, target, right=True).clamp_(max=block_ends.shape[1] - 1)
    start = torch.where(block > 0, block_ends.gather(1, (block - 1).clamp(min=0)), 0.0)
    columns = padded[torch.arange(rows, device=padded.device), block[:, 0]].double()
    inside = torch.searchsorted(columns.cumsum(-1), target - start, right=True).clamp_(max=BLOCK - 1)
    token_B = (block * BLOCK + inside)[:, 0]
    # Rounding may land one column past the last positive weight of its block.
    heaviest = block[:, 0] * BLOCK + columns.argmax(-1)
    picked = padded.view(rows, -1).gather(1, token_B[:, None])[:, 0]
    return torch.where(picked > 0, token_B, heaviest)


def _nucleus(weights_BV: torch.Tensor, top_p_B: torch.Tensor) -> torch.Tensor:
    """Zero all but the fewest most likely tokens that hold `top_p` of the weight."""
    ordered, order = weights_BV.sort(-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    ordered = torch.where(before < top_p_B[:, None] * ordered.sum(-1, keepdim=True), ordered, 0.0)
    return torch.zeros_like(weights_BV).scatter_(-1, order, ordered)
