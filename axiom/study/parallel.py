"""How many runs of a study this machine holds beside each other, and what each may take of it."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from axiom.config import ExperimentConfig

TAKEN = 0.9
"""Part of a GPU's free memory that runs share."""
MARGIN = 1.25
"""A run is planned with this many times the memory that the first was seen to take."""
CORES_EACH = 2
"""Cores of a run on a GPU: one drives its engine and trainer, one its sandbox."""
CACHE_EACH = 2 << 30
"""Bytes of keys and values of an engine beside others."""


@dataclass(frozen=True)
class Room:
    """At most `runs` fit beside each other, each with `cores`; `gpu_share` of the GPU's memory is its engine's.

    `why` says what sets the number. `fit`, where there is one, tells how many fit once one has trained.
    """

    runs: int
    why: str
    cores: int
    gpu_share: float | None = None
    fit: Callable[[], int] | None = None

    def of(self, config: ExperimentConfig) -> ExperimentConfig:
        """The same run with its part of the machine. Only settings change that say where and how quickly it runs."""
        workers = config.sandbox.workers or self.cores
        changed: dict[str, Any] = {"sandbox": config.sandbox.model_copy(update={"workers": workers})}
        if self.gpu_share is not None:
            vllm = config.sampling.vllm
            share = min(vllm.gpu_memory_utilization, self.gpu_share)
            sleep = "never" if vllm.sleep == "auto" else vllm.sleep  # there is room for all of them awake
            part = {"gpu_memory_utilization": share, "replicas": vllm.replicas or 1, "sleep": sleep}
            vllm = vllm.model_copy(update=part)
            changed["sampling"] = config.sampling.model_copy(update={"vllm": vllm})
        return config.model_copy(update=changed)


def room(config: ExperimentConfig, runs: int | None = None) -> Room:
    """Room for `runs` runs like `config` beside each other, or for as many as fit where `runs` is None.

    A language model on the CPU uses every core by itself; on a GPU its memory or the cores set the number.
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

    from axiom.models import resolve_model
    from axiom.sampling.vllm_plan import engine_bytes

    free, total = torch.cuda.mem_get_info()
    engine = engine_bytes(resolve_model(config.model.path), CACHE_EACH)
    most = runs or max(1, min(cores // CORES_EACH, int(free * TAKEN) // engine))
    if most == 1:
        return Room(1, "one run is asked for, or fits", cores)
    why = f"{cores} cores and {free / 2**30:.0f} GiB free on the GPU"

    def fit() -> int:
        taken = max(1, free - torch.cuda.mem_get_info()[0])
        return max(1, min(most, int(free * TAKEN / (taken * MARGIN))))

    return Room(most, why, max(1, cores // most), engine / total, None if runs else fit)
