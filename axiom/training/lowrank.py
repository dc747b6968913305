"""The factors of an adapter in one vector, the layers that multiply with them, and norms in one kernel.

A step over hundreds of small tensors costs a GPU more in launches than in work, so there is one of each kind.
Axes: P values of all factors, T tokens, I inputs, O outputs, R rank.
"""
# ruff: noqa: TID253  (imported only by the training loop, which is itself imported lazily)

import copy
import inspect
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from peft.tuners.lora import Linear as LoraLinear

ADAPTER = "default"


@dataclass(frozen=True)
class _Views:
    """Where the two factors of a layer lie in `Factors.used_P`, and their gradients in `Factors.found_P`."""

    a_RI: torch.Tensor
    b_OR: torch.Tensor
    da_RI: torch.Tensor
    db_OR: torch.Tensor


class Factors:
    """All factors of an adapter end to end.

    `values_P` is trained, in float32; `gradient_P` is its gradient. A pass multiplies with `used_P`, a copy in the
    model's dtype, and adds to `found_P`, the gradient of that. The parameters of the layers become views of `values_P`
    and their gradients of `gradient_P`, so whoever reads or writes them sees the same. All that
    peft trains is in there; with `fused`, the layers that `is_plain` names compute as below, the others as peft does.
    """

    def __init__(self, adapted: torch.nn.Module, dtype: torch.dtype, fused: bool = True) -> None:
        trained = {name: weight for name, weight in adapted.named_parameters() if weight.requires_grad}
        self.names, self.parameters = tuple(trained), tuple(trained.values())
        values_P = torch.cat([weight.detach().flatten() for weight in self.parameters])
        self.values_P = torch.nn.Parameter(values_P)
        self.gradient_P = self.values_P.grad = torch.zeros_like(values_P)
        self.used_P = values_P.to(dtype, copy=True)
        self.found_P = torch.zeros_like(self.used_P)
        for weight, value, gradient in zip(
            self.parameters, self._cut(values_P), self._cut(self.gradient_P), strict=True
        ):
            weight.data, weight.grad = value, gradient
        place = {id(weight): number for number, weight in enumerate(self.parameters)}
        used, found = self._cut(self.used_P), self._cut(self.found_P)
        layers: Any = adapted.modules() if fused else ()
        for layer in layers:
            if is_plain(layer):
                a, b = (place[id(side[ADAPTER].weight)] for side in (layer.lora_A, layer.lora_B))
                views = _Views(used[a], used[b], found[a], found[b])
                setattr(layer, "forward", partial(_adapted, layer, views))  # noqa: B010

    def _cut(self, whole_P: torch.Tensor) -> list[torch.Tensor]:
        parts = whole_P.split([weight.numel() for weight in self.parameters])
        return [part.view_as(weight) for part, weight in zip(parts, self.parameters, strict=True)]

    def before_pass(self) -> None:
        """Let the layers multiply with the present values."""
        self.used_P.copy_(self.values_P.data)
        self.found_P.zero_()

    def after_pass(self) -> None:
        """Add what the pass has found to the gradient."""
        self.gradient_P.add_(self.found_P)


class _LowRankLinear(torch.autograd.Function):
    """`x W^T + bias + scale (x A^T) B^T`, keeping only `x` and its low-rank image for the backward pass.

    `W` and the bias are frozen. The gradients of `A` and `B` are added to where `views` says; `_trained` is one of the
    layer's parameters, and only tells autograd that there is something to train.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x_TI: torch.Tensor,
        weight_OI: torch.Tensor,
        bias_O: torch.Tensor | None,
        views: _Views,
        scale: float,
        _trained: torch.Tensor,
    ) -> torch.Tensor:
        low_TR = x_TI @ views.a_RI.T
        y_TO = torch.nn.functional.linear(x_TI, weight_OI, bias_O)
        y_TO.addmm_(low_TR, views.b_OR.T, alpha=scale)
        ctx.save_for_backward(x_TI, low_TR, weight_OI)
        ctx.views, ctx.scale = views, scale
        return y_TO

    @staticmethod
    def backward(ctx: Any, *outputs: torch.Tensor) -> tuple[Any, ...]:
        x_TI, low_TR, weight_OI = ctx.saved_tensors
        views, scale = ctx.views, ctx.scale
        dy_TO = outputs[0].contiguous()
        dlow_TR = dy_TO @ views.b_OR
        views.da_RI.addmm_(dlow_TR.T, x_TI, alpha=scale)
        views.db_OR.addmm_(dy_TO.T, low_TR, alpha=scale)
        dx_TI = None
        if ctx.needs_input_grad[0]:
            dx_TI = dy_TO @ weight_OI
            dx_TI.addmm_(dlow_TR, views.a_RI, alpha=scale)
        return dx_TI, None, None, None, None, None


def _adapted(layer: Any, views: _Views, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    """What `layer` makes of `x`; with dropout the low-rank image is of other inputs, which autograd sees to."""
    base = layer.get_base_layer()
    flat = x.reshape(-1, x.shape[-1])
    a, b, scale = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight, layer.scaling[ADAPTER]
    dropout = layer.lora_dropout[ADAPTER]
    if isinstance(dropout, torch.nn.Dropout):
        low = torch.nn.functional.linear(dropout(flat), a.to(x.dtype))
        out = base(flat) + torch.nn.functional.linear(low, (b * scale).to(x.dtype))
    else:
        out = _LowRankLinear.apply(flat, base.weight, base.bias, views, scale, a)
    return out.view(*x.shape[:-1], -1)


def is_plain(layer: Any) -> bool:
    """Whether `_adapted` computes what peft's layer does: a linear base layer, and nothing beside its two factors."""
    return (
        type(layer) is LoraLinear
        and type(layer.get_base_layer()) is torch.nn.Linear
        and not (layer.fan_in_fan_out or layer.lora_bias[ADAPTER] or layer.lora_variant)
    )


def fuse_norms(model: torch.nn.Module) -> None:
    """Let every root-mean-square norm be one kernel forward and two backward, where transformers takes about 25."""
    for layer in model.modules():
        if _is_rms_norm(layer):
            setattr(layer, "forward", partial(_normed, layer))  # noqa: B010  (an instance's own forward)


def _is_rms_norm(layer: Any) -> bool:
    """Whether the fused kernel gives the layer's own numbers, tried on a copy with other weights.

    `variance_epsilon` is transformers' mark of a norm like T5's, as in Llama and Qwen, but other norms bear it as well.
    """
    weights = list(layer.named_parameters())
    if not hasattr(layer, "variance_epsilon") or [name for name, _ in weights] != ["weight"]:
        return False
    if weights[0][1].ndim != 1 or len(inspect.signature(layer.forward).parameters) != 1:
        return False
    trial, generator = copy.deepcopy(layer).float().cpu(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        trial.weight.copy_(torch.randn(trial.weight.shape, generator=generator))
        x = torch.randn(3, *trial.weight.shape, generator=generator)
        return torch.allclose(trial(x), _normed(trial, x), rtol=1e-4, atol=1e-5)


def _normed(layer: Any, x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.rms_norm(x, layer.weight.shape, layer.weight, layer.variance_epsilon)
