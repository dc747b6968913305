"""What decides a run's results beside its config's text: the weights themselves, the engine, the device.

A path may hold other weights tomorrow and `auto` be another engine on the next machine, so the keys of stages and the
record of the experiment name these instead.
"""

import hashlib
from pathlib import Path
from typing import Any

from axiom.config import ExperimentConfig
from axiom.content import content_digest
from axiom.models import WEIGHT_SUFFIXES, resolve_device, resolve_dtype, resolve_model
from axiom.sampling import choose_engine

SUFFIXES = {*WEIGHT_SUFFIXES, ".json", ".jinja", ".model", ".py", ".tiktoken", ".txt"}
"""Files that decide what a model computes."""

Facts = dict[str, dict[str, Any]]


def facts(config: ExperimentConfig) -> Facts:
    """Fields of `model` and `sampling` as they are resolved on this machine, by section.

    Raises ConfigError when the model or the device cannot be had.
    """
    if config.model.kind == "modular":
        return {"model": {"device": "cpu", "dtype": "float32", "path": ""}, "sampling": {"engine": "modular"}}

    model, adapter = config.model, config.model.adapter
    weights = {
        "path": digest(resolve_model(model.path)),
        "adapter": digest(Path(adapter)) if adapter else "",
        "device": resolve_device(model),
        "dtype": str(resolve_dtype(model)).removeprefix("torch."),
    }
    return {"model": weights, "sampling": _engine(config)}


def _engine(config: ExperimentConfig) -> dict[str, Any]:
    """The engine, and of vLLM what it cuts off and how it adds an adapter."""
    engine, _ = choose_engine(config.model, config.sampling)
    if engine == "transformers":
        return {"engine": engine}
    from axiom.sampling.vllm import weights_in_force

    weights = weights_in_force(config.model, config.sampling)
    return {"engine": engine, "max_model_len": config.sampling.vllm.max_model_len, "weights": weights}


def digest(folder: Path) -> str:
    """16 hex digits that change with any byte of the model or adapter in `folder`: weights, settings, tokenizer."""
    whole = hashlib.sha256()
    for file in sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in SUFFIXES):
        whole.update(f"{file.name} {content_digest(file)}\n".encode())
    return whole.hexdigest()[:16]


def changed(old: Facts, new: Facts) -> str | None:
    """The first fact that differs, with both values; None if all agree."""
    for section, fields in new.items():
        for name in dict.fromkeys((*old.get(section, {}), *fields)):
            before, after = old.get(section, {}).get(name), fields.get(name)
            if before != after:
                return f"{section}.{name} was {before!r} and is {after!r}"
    return None
