"""An adapter's update added to the weights it belongs to, so that sampling costs what the base model costs.

Axes: O outputs, I inputs, R rank.
"""
# ruff: noqa: TID253  (imported only by the engines, which are themselves imported lazily)

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open

from axiom.errors import ConfigError
from axiom.models import read_settings, weight_files

PREFIX, SUFFIX = "base_model.model.", ".lora_A.weight"
HARMLESS = frozenset(
    {
        "peft_type",
        "task_type",
        "auto_mapping",
        "peft_version",
        "base_model_name_or_path",
        "revision",
        "inference_mode",
        "r",
        "lora_alpha",
        "lora_dropout",
        "target_modules",
        "exclude_modules",
        "layers_to_transform",
        "layers_pattern",
        "megatron_core",
        "qalora_group_size",
        "ensure_weight_tying",
    }
)
"""Settings of peft that leave an update what it is: alpha / r times the product of a linear layer's two factors."""
USUAL = (("bias", "none"), ("init_lora_weights", True), ("init_lora_weights", "gaussian"))
"""Settings of which only these values do; other ways to begin have changed the base weights."""
BY_PEFT = frozenset({"use_rslora", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "target_parameters"})
"""Settings that change it in ways that peft merges; the others cannot be merged or are not known."""


def special_settings(adapter: Path) -> list[str]:
    """The settings of an adapter directory that its update depends on, beside rank and alpha.

    Raises ConfigError for an adapter with parts that cannot be added to the weights.
    """
    settings = read_settings(adapter / "adapter_config.json")
    if settings.get("peft_type") != "LORA":
        raise ConfigError(f"adapter {str(adapter)!r} is of the kind {settings.get('peft_type')}; use a LoRA adapter")
    special = [key for key, value in settings.items() if value and key not in HARMLESS and (key, value) not in USUAL]
    with safe_open(adapter / "adapter_model.safetensors", "np") as file:
        parts = [key for key in file.keys() if not key.endswith((SUFFIX, ".lora_B.weight"))]  # noqa: SIM118
    unknown = [key for key in special if key not in BY_PEFT] + parts
    if unknown:
        raise ConfigError(
            f"adapter {str(adapter)!r} has {unknown[0]}, which cannot be merged into the weights; use an adapter that "
            f"has nothing but the two factors of linear layers, or merge it into a model folder with peft"
        )
    return special


def put_in_force(model: Any, merger: "Merger", adapter: Path | None) -> None:
    """Make the model in memory answer with `adapter` (None: the base), whose weights `merger` knows."""
    by_peft = adapter is not None and bool(special_settings(adapter))
    for name, weight in merger.weights(None if by_peft else adapter):
        _check_untied(model, name, model.get_parameter(name), adapter)
        model.get_parameter(name).copy_(weight)
    if by_peft:
        _merge_by_peft(model, merger, cast(Path, adapter))


def read_by_peft(model: Any, adapter: Path) -> Any:
    """The model with peft's layers and the factors of `adapter` in them.

    Raises ConfigError where a layer finds no factors, of which peft only warns.
    """
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Found missing adapter keys")
        try:
            return PeftModel.from_pretrained(model, adapter)
        except UserWarning as error:
            raise ConfigError(
                f"adapter {str(adapter)!r} has no factors under the names that peft gives this model's layers "
                f"({str(error)[:160]}); use a plain LoRA adapter, without {' or '.join(sorted(BY_PEFT))}"
            ) from None


def _check_untied(model: Any, name: str, weight: torch.Tensor, adapter: Path | None) -> None:
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if adapter is None or head is None or head.weight is not embedding.weight:
        return
    if weight is head.weight:
        raise ConfigError(
            f"adapter {str(adapter)!r} changes {name}, which this model shares between its input and its output; "
            f"use an adapter that leaves it as it is"
        )


def _merge_by_peft(model: Any, merger: "Merger", adapter: Path) -> None:
    from peft.tuners.lora import LoraLayer

    names = {id(weight): name for name, weight in model.named_parameters()}
    adapted = read_by_peft(model, adapter)
    for layer in adapted.modules():
        if isinstance(layer, LoraLayer):
            leaf = getattr(layer, "parameter_name", "weight")
            inner: Any = layer
            while isinstance(inner, LoraLayer):  # several parameters of one module have a layer each, one in the other
                inner = inner.base_layer
            name = names[id(getattr(inner, leaf))]
            _check_untied(model, name, getattr(inner, leaf), adapter)
            merger.base(name)
            merger.changed.add(name)
    merged: Any = adapted
    merged.merge_and_unload()


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
    settings = read_settings(adapter / "adapter_config.json")
    special = special_settings(adapter)
    if special:
        raise ConfigError(
            f"adapter {str(adapter)!r} sets {special[0]}, which only the transformers engine merges; set "
            f"sampling.engine = 'transformers' or use a plain LoRA adapter"
        )
    scale = settings["lora_alpha"] / settings["r"]
    with safe_open(adapter / "adapter_model.safetensors", "pt", device=device) as file:
        for key in file.keys():  # noqa: SIM118  (safe_open is no dictionary)
            if not key.endswith(SUFFIX):
                continue  # its other factor
            a_RI, b_OR = file.get_tensor(key).float(), file.get_tensor(key.replace("lora_A", "lora_B")).float()
            if len(a_RI) != settings["r"]:
                raise ConfigError(
                    f"adapter {str(adapter)!r} has rank {len(a_RI)} in {key} and r = {settings['r']}; correct it"
                )
            yield key.removeprefix(PREFIX).removesuffix(SUFFIX) + ".weight", scale * (b_OR @ a_RI)


def originals(weight: Callable[[str], torch.Tensor]) -> Callable[[str], torch.Tensor]:
    """Base weights by name; each is copied when it is first asked for, which is before it is first overwritten."""
    kept: dict[str, torch.Tensor] = {}

    def original(name: str) -> torch.Tensor:
        if name not in kept:
            kept[name] = weight(name).detach().clone()
        return kept[name]

    return original


def checkpoint_reader(model: Path, device: str) -> Callable[[str], torch.Tensor]:
    """Weights of the model directory by name, read once and kept on `device`."""
    kept: dict[str, torch.Tensor] = {}
    files: dict[str, Path] = {}
    for path in weight_files(model):
        with safe_open(path, "pt") as file:
            files |= dict.fromkeys(file.keys(), path)

    def read(name: str) -> torch.Tensor:
        if name not in kept:
            with safe_open(files[name], "pt", device=device) as file:
                kept[name] = file.get_tensor(name)
        return kept[name]

    return read
