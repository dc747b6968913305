"""How GPUs are shared: engines, sequences, cache, and whether the engines sleep while training runs."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from axiom.config import ModelConfig, SamplingConfig
from axiom.errors import ConfigError
from axiom.models import bytes_to_train, devices, resolve_device, weight_bytes

GPU_ROWS, CPU_ROWS = 1024, 64
"""Sequences that one engine draws at once unless `sampling.batch_size` says otherwise."""
CPU_CACHE_BYTES = 1 << 30
LEAST_CACHE_BYTES = 1 << 30
ENGINE_OVERHEAD_BYTES = 4 << 30
"""CUDA context, graphs and activations of one engine."""
MOST_OF_FREE = 0.95
"""Part of the memory that is free at the start which engines plan with, whatever they might take of the whole."""
_NO_MEMORY = re.compile(
    r"OutOfMemory|out of memory|can't allocate memory|No available memory|Free memory on device .* is less",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Plan:
    """`engines` in all, each with `rows` sequences at once and `cache_bytes` of keys and values on each of its GPUs.

    `share` is the part of a GPU's memory that each may take.
    """

    engines: int
    rows: int
    cache_bytes: int
    share: float
    sleeps: bool
    left_bytes: int | None
    """Memory of a GPU that is left to training while the engines are awake; None on a CPU."""
    groups: tuple[str | None, ...] = (None,)
    """The GPUs that engines see, in turn, as `CUDA_VISIBLE_DEVICES` names them; None for those of this process."""

    @property
    def gpus(self) -> int:
        """GPUs in all, the first of those that are visible."""
        return sum(len((group or "0").split(",")) for group in self.groups)

    def __str__(self) -> str:
        """One sentence to say aloud."""
        cache = f"{self.cache_bytes / 2**30:.1f} GiB of cache"
        engines = "1 engine" if self.engines == 1 else f"{self.engines} engines"
        engines += "" if self.groups == (None,) or self.left_bytes is None else f" on {self.gpus} GPUs"
        shape = f"{engines} of {self.rows} sequences and {cache}"
        if self.left_bytes is None:
            return shape
        left = f"{self.left_bytes / 2**30:.0f} GiB are left to training"
        return f"{shape}; {left}, so they {'sleep while it runs' if self.sleeps else 'stay awake'}"

    def lowered(self) -> "Plan | None":
        """Half of all that, after memory ran out; None when there is nothing left to halve."""
        rows, cache = self.rows // 2, self.cache_bytes // 2
        if rows < 1 or cache < LEAST_CACHE_BYTES // 8:
            return None
        return replace(self, rows=rows, cache_bytes=cache, share=self.share / 2)


def make_plan(directory: Path, model: ModelConfig, sampling: SamplingConfig) -> Plan:
    """What fits, from the memory that is free now. Raises ConfigError when not even one engine does."""
    settings, groups = sampling.vllm, gpu_groups(model, sampling)
    each, parts = settings.replicas or 1, settings.tensor_parallel
    if resolve_device(model) == "cpu":
        rows = sampling.batch_size or CPU_ROWS
        return Plan(each * len(groups), rows, CPU_CACHE_BYTES, 1.0, False, None, groups)
    free, total = free_bytes(len(groups) * parts)
    room = min(int(total * settings.gpu_memory_utilization), int(free * MOST_OF_FREE))
    left = free - room
    sleeps = settings.sleep == "always" or (settings.sleep == "auto" and left < bytes_to_train(directory))
    if settings.replicas == 0 and parts == 1 and _cache(directory, room // 2, parts) >= LEAST_CACHE_BYTES:
        each = 2
    cache = _cache(directory, room // each, parts)
    if cache < LEAST_CACHE_BYTES:
        raise ConfigError(
            f"sampling.vllm.gpu_memory_utilization = {settings.gpu_memory_utilization} and {free / 2**30:.1f} GiB free "
            f"of {total / 2**30:.1f} leave each of {each} engines {cache / 2**30:.1f} GiB of cache, at least 1 is "
            f"needed; raise it, free memory or lower sampling.vllm.replicas"
        )
    rows = sampling.batch_size or GPU_ROWS
    return Plan(each * len(groups), rows, cache, room / total / each, sleeps, left, groups)


def gpu_groups(model: ModelConfig, sampling: SamplingConfig) -> tuple[str | None, ...]:
    """The GPUs of each part of `data_parallel`, as in `Plan.groups`; on a CPU every part has all of it.

    Raises ConfigError where more are asked for than are visible.
    """
    settings = sampling.vllm
    parts, tensor = settings.data_parallel, settings.tensor_parallel
    if resolve_device(model) == "cpu":
        return (None,) * max(1, parts)
    visible = devices()
    count = parts or len(visible) // tensor
    if count * tensor > len(visible) or count == 0:
        raise ConfigError(
            f"sampling.vllm.data_parallel = {parts} and tensor_parallel = {tensor} need {max(1, count) * tensor} GPUs "
            f"and {len(visible)} are visible; lower them, or name more in CUDA_VISIBLE_DEVICES"
        )
    if count * tensor == 1:
        return (None,)
    return tuple(",".join(visible[start : start + tensor]) for start in range(0, count * tensor, tensor))


def free_bytes(gpus: int) -> tuple[int, int]:
    """Free and whole memory of that of the first `gpus` visible GPUs which has the least free."""
    import torch

    return min(torch.cuda.mem_get_info(index) for index in range(gpus))


def engine_bytes(directory: Path, cache: int) -> int:
    """GPU memory of one engine with `cache` bytes of keys and values."""
    return 2 * weight_bytes(directory) + ENGINE_OVERHEAD_BYTES + cache


def out_of_memory(error: Exception) -> bool:
    """Whether an engine's last words say that memory ran out."""
    return _NO_MEMORY.search(str(error)) is not None


def _cache(directory: Path, share: int, parts: int) -> int:
    """Cache of an engine on each of the `parts` GPUs that share its weights, of which it may take `share` bytes.

    It holds its weights twice: merging keeps the base's.

    In steps of at most an eighth: some releases of vLLM compile for each size, and free memory is seldom the same.
    """
    room = max(0, share - 2 * weight_bytes(directory) // parts - ENGINE_OVERHEAD_BYTES)
    spare_bits = max(0, room.bit_length() - 4)
    return room >> spare_bits << spare_bits
