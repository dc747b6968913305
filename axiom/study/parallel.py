"""How many runs of a study this machine holds beside each other, and what each may take of it."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from axiom.config import ExperimentConfig
from axiom.learners.gpus import gpus
from axiom.models import activation_bytes, devices, resolve_device, resolve_model, weight_bytes
from axiom.sampling import choose_engine
from axiom.sampling.vllm_plan import engine_bytes

TAKEN = 0.9
"""Part of a GPU's free memory that runs share."""
MARGIN = 1.25
"""A run is planned with this many times the memory that the first was seen to take."""
CORES_EACH = 2
"""Cores of a run on a GPU: one drives its engine and trainer, one its sandbox."""
CACHE_EACH = 2 << 30
"""Bytes of keys and values of an engine beside others."""
WORKERS_EACH = 4
"""Sandbox workers of a run for each of its cores: runs verify in bursts that seldom meet. Limits are of CPU time."""
TOKENS_EACH = 256
"""Tokens of an example, by which a run's training pass is estimated. Most programs with their prompt have fewer."""


@dataclass(frozen=True)
class Room:
    """At most `runs` fit beside each other, each with `cores`; `gpu_share` of a GPU's memory is its engine's.

    `why` says what sets the number. `at_once` of them may start before one has trained; None for all. `fit` tells how
    many fit once those have, from the number that runs on each of the `devices`. Each of those is a GPU or, for a run
    on several, so many GPUs. Runs share them evenly. With `vllm`, workers start an engine's process as they start
    themselves.
    """

    runs: int
    why: str
    cores: int
    gpu_share: float | None = None
    at_once: int | None = None
    fit: Callable[[Sequence[int]], int] | None = None
    devices: tuple[str, ...] = ()
    vllm: bool = False

    def device(self, taken: Iterable[str | None]) -> str | None:
        """That of the `devices` which the fewest runs have taken, as `CUDA_VISIBLE_DEVICES` names it; None without."""
        runs = list(taken)
        return min(self.devices, key=runs.count, default=None)

    def of(self, config: ExperimentConfig) -> ExperimentConfig:
        """The same run with its part of the machine. Only settings change that say where and how quickly it runs."""
        workers = config.sandbox.workers or min(WORKERS_EACH, self.runs) * self.cores
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
    cores = len(os.sched_getaffinity(0))
    if config.model.kind == "modular":
        most, why = cores, f"{cores} cores"
    elif resolve_device(config.model) == "cpu":
        most, why = 1, "a language model on the CPU uses every core"
    else:
        return _on_gpus(config, runs, cores)
    runs = runs or most
    return Room(runs, why, max(1, cores // runs))


def _on_gpus(config: ExperimentConfig, runs: int | None, cores: int) -> Room:
    import torch

    visible, each = devices(), gpus(config, 1)
    groups = [range(start, start + each) for start in range(0, len(visible) - each + 1, each)]
    if not groups:
        return Room(1, f"a run takes {each} GPUs", cores)

    def free() -> list[int]:
        return [min(torch.cuda.mem_get_info(index)[0] for index in group) for group in groups]

    def taken() -> list[int]:
        return [before - now for before, now in zip(first, free(), strict=True)]

    names = tuple(",".join(visible[index] for index in group) for group in groups)
    first, total = free(), max(torch.cuda.mem_get_info(index)[1] for index in range(len(visible)))
    return shared(config, runs, cores, names, first, total, taken)


def shared(
    config: ExperimentConfig,
    runs: int | None,
    cores: int,
    names: tuple[str, ...],
    free: Sequence[int],
    total: int,
    taken: Callable[[], Sequence[int]],
) -> Room:
    """Room on the GPUs `names`, with `free` bytes on each of `total`; `taken` tells what was taken of each since."""
    model = resolve_model(config.model.path)
    engine = engine_bytes(model, CACHE_EACH)
    tokens = TOKENS_EACH * config.training.examples_per_step
    trainer = 2 * weight_bytes(model) + activation_bytes(model, tokens)
    most = runs or max(1, min(cores // CORES_EACH, _holds(free, engine)))
    if most == 1:
        return Room(1, "one run is asked for, or fits", cores)
    where = "the GPU" if len(names) == 1 else f"each of {len(names)} GPUs"
    why = f"{cores} cores and {min(free) / 2**30:.0f} GiB free on {where}"

    def fit(running: Sequence[int]) -> int:
        each = max((part / count for part, count in zip(taken(), running, strict=True) if count), default=0)
        return max(1, min(most, _holds(free, max(engine, int(each * MARGIN)))))

    at_once = max(1, min(most, _holds(free, engine + trainer)))
    vllm = choose_engine(config.model, config.sampling)[0] == "vllm"
    return Room(most, why, max(1, cores // most), engine / total, at_once, None if runs else fit, names, vllm)


def _holds(free: Sequence[int], each: int) -> int:
    """How many runs of `each` bytes the GPUs hold together."""
    return sum(int(part * TAKEN) // each for part in free)
