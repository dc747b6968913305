"""Cross-entropy straight from hidden states, a chunk of positions at a time.

The logits of a pack over a vocabulary of 152,000 would take more memory than the model. The output layer is frozen, so
a chunk's gradient with respect to its hidden states is known as soon as its logits are, and they can be dropped.
Axes: N predicted positions, D hidden size, V vocabulary.
"""
# ruff: noqa: TID253  (imported only by the training loop, which is itself imported lazily)

from typing import Any

import torch

CHUNK_ELEMENTS = {"cpu": 1 << 22, "cuda": 1 << 28}
"""Logits held at one time: on a CPU what its cache holds, on a GPU a gigabyte."""


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_ND: torch.Tensor, head_VD: torch.Tensor, targets_N: torch.Tensor, weights_N: torch.Tensor
    ) -> torch.Tensor:
        gradient_ND = torch.empty_like(hidden_ND)
        total = hidden_ND.new_zeros((), dtype=torch.float32)
        rows = max(1, CHUNK_ELEMENTS[head_VD.device.type] // head_VD.shape[0])
        for start in range(0, len(hidden_ND), rows):
            part = slice(start, start + rows)
            loss_N, gradient_NV = _cross_entropy((hidden_ND[part] @ head_VD.T).float(), targets_N[part])
            total += (loss_N * weights_N[part]).sum()
            gradient_NV *= weights_N[part, None]
            gradient_ND[part] = gradient_NV.to(head_VD.dtype) @ head_VD
        ctx.save_for_backward(gradient_ND)
        return total

    @staticmethod
    def backward(ctx: Any, *outputs: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (gradient_ND,) = ctx.saved_tensors
        return gradient_ND * outputs[0].to(gradient_ND.dtype), None, None, None


def _cross_entropy(logits_NV: torch.Tensor, targets_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of each row, and its gradient, softmax less one-hot; the gradient takes the logits' memory."""
    columns_N1 = targets_N[:, None]
    below_NV = logits_NV.sub_(logits_NV.amax(-1, keepdim=True))
    target_N1 = below_NV.gather(1, columns_N1)
    weights_NV = below_NV.exp_()
    total_N1 = weights_NV.sum(-1, keepdim=True)
    gradient_NV = weights_NV.div_(total_N1)
    gradient_NV.scatter_add_(1, columns_N1, -torch.ones_like(total_N1))
    return (total_N1.log() - target_N1)[:, 0], gradient_NV


def logprobs(hidden_ND: torch.Tensor, head_VD: torch.Tensor, targets_N: torch.Tensor) -> torch.Tensor:
    """Log-probabilities `N` of the targets, in float32."""
    rows = max(1, CHUNK_ELEMENTS[head_VD.device.type] // head_VD.shape[0])
    parts = zip(hidden_ND.split(rows), targets_N.split(rows), strict=True)
    return torch.cat([-_cross_entropy((hidden @ head_VD.T).float(), targets)[0] for hidden, targets in parts])


def weighted_cross_entropy(
    hidden_ND: torch.Tensor, head_VD: torch.Tensor, targets_N: torch.Tensor, weights_N: torch.Tensor
) -> torch.Tensor:
    """The sum over positions of weight times negative log-likelihood, in nats; `head_VD` gets no gradient."""
    return _ChunkedCrossEntropy.apply(hidden_ND, head_VD, targets_N, weights_N)


def divergence(logits_NV: torch.Tensor, base_NV: torch.Tensor) -> torch.Tensor:
    """KL divergence `N` of softmax(logits) from softmax(base) at each position, in nats, over the whole vocabulary.

    In float64: the terms of a small divergence cancel, and float32 would leave little but their rounding.
    """
    rows = max(1, CHUNK_ELEMENTS[logits_NV.device.type] // logits_NV.shape[1])
    return torch.cat([_divergence(*part) for part in zip(logits_NV.split(rows), base_NV.split(rows), strict=True)])


def _divergence(logits_NV: torch.Tensor, base_NV: torch.Tensor) -> torch.Tensor:
    ours_NV, theirs_NV = logits_NV.double().log_softmax(-1), base_NV.double().log_softmax(-1)
    shares_NV = ours_NV.exp()
    weighed_NV = torch.where(shares_NV > 0, shares_NV * (ours_NV - theirs_NV), 0.0)  # 0 log 0 is 0
    return weighed_NV.sum(-1).clamp(min=0.0)
