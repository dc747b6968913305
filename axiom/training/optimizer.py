"""AdamW over the values of an adapter, and the file that lets the next iteration go on with its moments.

P values of all factors, as in `axiom.training.lowrank`.
"""
# ruff: noqa: TID253  (imported only by the training loop, which is itself imported lazily)

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from axiom.config import TrainingConfig
from axiom.errors import ConfigError

FILE = "optimizer.safetensors"
MOMENTS = {"mean": "exp_avg", "square": "exp_avg_sq"}
"""The moments' names in the file and in torch's state."""


class Optimizer:
    """Torch's AdamW on one vector."""

    def __init__(self, values_P: torch.nn.Parameter, config: TrainingConfig) -> None:
        self.values_P = values_P
        self.adamw = torch.optim.AdamW(
            [values_P], lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )

    def step(self, learning_rate: float) -> None:
        """Follow the gradient."""
        self.adamw.param_groups[0]["lr"] = learning_rate
        self.adamw.step()

    def zero_gradient(self) -> None:
        """Forget the gradient, in place: captured passes add to this very tensor."""
        self.adamw.zero_grad(set_to_none=False)

    def go_on(self, adapter: Path) -> None:
        """Take up the moments that were saved with `adapter`, if there are any: an adapter from elsewhere has none.

        Raises ConfigError when they are of another number of values.
        """
        if not (adapter / FILE).is_file():
            return
        saved = load_file(adapter / FILE)
        if saved["mean"].shape != self.values_P.shape:
            raise ConfigError(
                f"{str(adapter / FILE)!r} holds moments of {saved['mean'].numel()} values and the adapter has "
                f"{self.values_P.numel()}; set training.target_modules and training.lora_r as they were, or "
                f"training.optimizer = 'fresh'"
            )
        state = {name: saved[file].to(self.values_P.device) for file, name in MOMENTS.items()}
        self.adamw.state[self.values_P] = {"step": saved["steps"].to(self.values_P.device), **state}

    def save(self, out: Path) -> None:
        """Write the moments beside the adapter in `out`."""
        state = self.adamw.state[self.values_P]
        moments = {file: state[name].cpu() for file, name in MOMENTS.items()}
        save_file({"steps": state["step"].cpu(), **moments}, out / FILE)
