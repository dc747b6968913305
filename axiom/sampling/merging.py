"""An adapter's update added to the weights it belongs to, so that sampling costs what the base model costs.

Axes: O outputs, I inputs, R rank.
"""
# ruff: noqa: TID253  (imported only by the engines, which are themselves imported lazily)

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors import safe_open

from axiom.errors import ConfigError

PREFIX, SUFFIX = "base_model.model.", ".lora_A.weight"
SPECIAL = ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "modules_to_save")
"""Settings of peft that change what an update is; axiom's own adapters have none of them."""


class Merger:
    """Turns adapters into whole weights; `base` gives a base weight by name, on `device`, and must not change."""

    def __init__(self, base: Callable[[str], torch.Tensor], device: str) -> None:
        self.base, self.device = base, device
        self.changed: set[str] = set()

    def weights(self, adapter: Path | None) -> Iterator[tuple[str, torch.Tensor]]:
        """Name and value of every weight that must change for `adapter` (None: the base) to be in force.

        Sums are taken in float32 and rounded once.
        """
        stale, self.changed = self.changed, set()
        for name, update_OI in updates(adapter, self.device) if adapter is not None else ():
            original_OI = self.base(name)
            self.changed.add(name)
            yield name, (original_OI.float() + update_OI).to(original_OI.dtype)
        for name in sorted(stale - self.changed):
            yield name, self.base(name)


def updates(adapter: Path, device: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Name of a weight and the float32 update `scale B A` of it, for every layer of the adapter directory.

    It is computed on `device`: on the host it would hold a new policy up for seconds.
    """
    settings = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    special = [key for key in SPECIAL if settings.get(key)]
    if special:
        raise ConfigError(
            f"adapter {str(adapter)!r} sets {special[0]}, which cannot be merged; use a plain LoRA adapter"
        )
    scale = settings["lora_alpha"] / settings["r"]
    with safe_open(adapter / "adapter_model.safetensors", "pt", device=device) as file:
        for key in file.keys():  # noqa: SIM118  (safe_open is no dictionary)
            if not key.endswith(SUFFIX):
                continue
            a_RI, b_OR = file.get_tensor(key).float(), file.get_tensor(key.replace("lora_A", "lora_B")).float()
            yield key.removeprefix(PREFIX).removesuffix(SUFFIX) + ".weight", scale * (b_OR @ a_RI)


def checkpoint_reader(model: Path, device: str) -> Callable[[str], torch.Tensor]:
    """Weights of the model directory by name, read once and kept on `device`."""
    kept: dict[str, torch.Tensor] = {}
    files: dict[str, Path] = {}
    for path in sorted(model.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            files |= dict.fromkeys(file.keys(), path)

    def read(name: str) -> torch.Tensor:
        if name not in kept:
            with safe_open(files[name], "pt", device=device) as file:
                kept[name] = file.get_tensor(name)
        return kept[name]

    return read
