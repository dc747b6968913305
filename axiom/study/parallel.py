"""How many runs of a study this machine holds beside each other, and what each may take of it."""

import os
from dataclasses import dataclass
from typing import Any

from axiom.config import ExperimentConfig

TAKEN = 0.9
"""Part of a GPU's memory that is free now which runs share."""
CORES_EACH = 2
"""Cores of a run on a GPU: one drives its engine and trainer, one its sandbox."""


@dataclass(frozen=True)
class Room:
    """`runs` fit beside each other, each with `cores`; `gpu_share` of the GPU's memory is its engine's.

    `why` says what sets the number.
    """

    runs: int
    why: str
    cores: int
    gpu_share: float | None = None

    def of(self, config: ExperimentConfig) -> ExperimentConfig:
        """The same run with its part of the machine. Only settings change that say where and how quickly it runs."""
        workers = config.sandbox.workers or self.cores
        changed: dict[str, Any] = {"sandbox": config.sandbox.model_copy(update={"workers": workers})}
        if self.gpu_share is not None:
            vllm = config.sampling.vllm
            share = min(vllm.gpu_memory_utilization, self.gpu_share)
            vllm = vllm.model_copy(update={"gpu_memory_utilization": share, "replicas": vllm.replicas or 1})
            changed["sampling"] = config.sampling.model_copy(update={"vllm": vllm})
        return config.model_copy(update=changed)


def room(config: ExperimentConfig, runs: int | None = None) -> Room:
    """Room for `runs` runs like `config` beside each other, or for as many as fit where `runs` is None.

    A language model on the CPU uses every core by itself; on a GPU memory or cores set the number.
    """
    from axiom.models import resolve_device

    cores = len(os.sched_getaffinity(0))
    if config.model.kind == "modular":
        most, why = cores, f"{cores} cores"
    elif resolve_device(config.model) == "cpu":
        most, why = 1, "a language model on the CPU uses every core"
    else:
        return _on_gpu(config, runs, cores)
    runs = runs or most
    return Room(runs, why, max(1, cores // runs))


def _on_gpu(config: ExperimentConfig, runs: int | None, cores: int) -> Room:
    import torch

    from axiom.models import bytes_to_train, resolve_model
    from axiom.sampling.vllm_plan import engine_bytes

    free, total = torch.cuda.mem_get_info()
    model = resolve_model(config.model.path)
    engine = engine_bytes(model)
    fit = int(free * TAKEN) // (engine + bytes_to_train(model))
    most = max(1, min(fit, cores // CORES_EACH))
    limit = f"{free / 2**30:.0f} GiB free on the GPU" if fit <= cores // CORES_EACH else f"{cores} cores"
    runs = runs or most
    if runs == 1:
        return Room(1, limit, cores)
    share = max(engine, int(free * TAKEN) // runs - bytes_to_train(model)) / total
    return Room(runs, limit, max(1, cores // runs), share)
