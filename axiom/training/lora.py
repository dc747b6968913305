"""The base model with a trainable adapter, made by peft, and the adapter's files."""
# ruff: noqa: TID253  (imported only by the training loop, which is itself imported lazily)

import types
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners.lora import Linear as LoraLinear
from safetensors.torch import save_file

from axiom import attention
from axiom.config import ModelConfig, TrainingConfig
from axiom.models import FINGERPRINT_KEY, Policy, check_adapter, fingerprint, load_model, resolve_model
from axiom.seeds import derive

ADAPTER = "default"


@lru_cache(maxsize=1)
def base_model(config: ModelConfig) -> Any:
    """The base model, kept between iterations: loading it anew would cost as much as a small round of training."""
    model = load_model(config)
    model.set_attn_implementation(attention.NAME)
    return model


def adapted_model(model: ModelConfig, config: TrainingConfig, previous: Policy, seed: int) -> PeftModel:
    """The base model with the adapter to be trained: the previous one in the mode `continue`, else a fresh one."""
    base = base_model(model)
    if config.mode == "continue" and previous.adapter is not None:
        check_adapter(model, previous.adapter)
        adapted = PeftModel.from_pretrained(base, previous.adapter, adapter_name=ADAPTER, is_trainable=True)
    else:
        with torch.random.fork_rng():
            torch.manual_seed(derive(seed, "adapter"))
            adapted = get_peft_model(base, lora_config(config), adapter_name=ADAPTER)
    for layer in adapted.modules():
        if isinstance(layer, LoraLinear):
            setattr(layer, "forward", types.MethodType(_forward, layer))  # noqa: B010  (an instance's own forward)
    return adapted.train()


def lora_config(config: TrainingConfig) -> LoraConfig:
    """Peft's settings for `config`."""
    targets = config.target_modules
    return LoraConfig(
        r=config.lora_r, lora_alpha=config.lora_alpha, lora_dropout=config.lora_dropout, task_type="CAUSAL_LM",
        target_modules=targets if isinstance(targets, str) else list(targets),
    )  # fmt: skip


def save_adapter(adapted: PeftModel, model: ModelConfig, out: Path) -> None:
    """Write adapter_model.safetensors and adapter_config.json, the layout that peft and vLLM read."""
    out.mkdir(parents=True, exist_ok=True)
    state = {
        name: tensor.contiguous().cpu()
        for name, tensor in get_peft_model_state_dict(adapted, save_embedding_layers=False).items()
    }
    mark = fingerprint(resolve_model(model.path))
    save_file(state, out / "adapter_model.safetensors", {"format": "pt", FINGERPRINT_KEY: mark})
    settings = adapted.peft_config[ADAPTER]
    settings.base_model_name_or_path = model.path
    settings.inference_mode = True
    settings.save_pretrained(str(out))


class _LowRankLinear(torch.autograd.Function):
    """`x W^T + b + scale (x A^T) B^T`, keeping only `x` and its low-rank image for the backward pass.

    Axes: T tokens, I inputs, O outputs, R rank. `W` and `b` are frozen; `A` and `B` are float32 and multiplied in the
    dtype of `x`.
    """

    @staticmethod
    def forward(
        ctx: Any, x_TI: torch.Tensor, weight_OI: torch.Tensor, bias_O: torch.Tensor | None, a_RI: torch.Tensor,
        b_OR: torch.Tensor, scale: float,
    ) -> torch.Tensor:  # fmt: skip
        a_RI, b_OR = a_RI.to(x_TI.dtype), (b_OR * scale).to(x_TI.dtype)
        low_TR = x_TI @ a_RI.T
        y_TO = torch.nn.functional.linear(x_TI, weight_OI, bias_O)
        y_TO.addmm_(low_TR, b_OR.T)
        ctx.save_for_backward(x_TI, low_TR, weight_OI, a_RI, b_OR)
        ctx.scale = scale
        return y_TO

    @staticmethod
    def backward(ctx: Any, *outputs: torch.Tensor) -> tuple[Any, ...]:
        x_TI, low_TR, weight_OI, a_RI, b_OR = ctx.saved_tensors
        dy_TO = outputs[0].contiguous()
        dlow_TR = dy_TO @ b_OR
        da_RI = (dlow_TR.T @ x_TI).float()
        db_OR = (dy_TO.T @ low_TR).float() * ctx.scale
        dx_TI = None
        if ctx.needs_input_grad[0]:
            dx_TI = dy_TO @ weight_OI
            dx_TI.addmm_(dlow_TR, a_RI)
        return dx_TI, None, None, da_RI, db_OR, None


def _forward(layer: LoraLinear, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    base = layer.get_base_layer()
    flat = x.reshape(-1, x.shape[-1])
    a, b, scale = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight, layer.scaling[ADAPTER]
    dropout = layer.lora_dropout[ADAPTER]
    if isinstance(dropout, torch.nn.Dropout):
        low = torch.nn.functional.linear(dropout(flat), a.to(x.dtype))
        out = base(flat) + torch.nn.functional.linear(low, (b * scale).to(x.dtype))
    else:
        out = _LowRankLinear.apply(flat, base.weight, base.bias, a, b, scale)
    return out.view(*x.shape[:-1], -1)
