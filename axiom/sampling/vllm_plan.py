"""How the GPU is shared: engines, sequences, cache, and whether the engines sleep while training runs."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from axiom.config import ModelConfig, SamplingConfig
from axiom.errors import ConfigError
from axiom.models import bytes_to_train, resolve_device, weight_bytes

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
    """`engines` on one device, each with `rows` sequences at once and `cache_bytes` of keys and values.

    `share` is the part of the GPU's memory that each may take.
    """

    engines: int
    rows: int
    cache_bytes: int
    share: float
    sleeps: bool
    left_bytes: int | None
    """GPU memory that is left to training while the engines are awake; None on a CPU."""

    def __str__(self) -> str:
        """One sentence to say aloud."""
        cache = f"{self.cache_bytes / 2**30:.1f} GiB of cache"
        engines = "1 engine" if self.engines == 1 else f"{self.engines} engines"
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
    settings = sampling.vllm
    if resolve_device(model) == "cpu":
        return Plan(settings.replicas or 1, sampling.batch_size or CPU_ROWS, CPU_CACHE_BYTES, 1.0, False, None)
    import torch

    free, total = torch.cuda.mem_get_info()
    room = min(int(total * settings.gpu_memory_utilization), int(free * MOST_OF_FREE))
    left = free - room
    sleeps = settings.sleep == "always" or (settings.sleep == "auto" and left < bytes_to_train(directory))
    count = settings.replicas or (2 if _cache(directory, room // 2) >= LEAST_CACHE_BYTES else 1)
    cache = _cache(directory, room // count)
    if cache < LEAST_CACHE_BYTES:
        raise ConfigError(
            f"sampling.vllm.gpu_memory_utilization = {settings.gpu_memory_utilization} and {free / 2**30:.1f} GiB free "
            f"of {total / 2**30:.1f} leave each of {count} engines {cache / 2**30:.1f} GiB of cache, at least 1 is "
            f"needed; raise it, free memory or lower sampling.vllm.replicas"
        )
    return Plan(count, sampling.batch_size or GPU_ROWS, cache, room / total / count, sleeps, left)


def engine_bytes(directory: Path, cache: int) -> int:
    """GPU memory of one engine with `cache` bytes of keys and values."""
    return 2 * weight_bytes(directory) + ENGINE_OVERHEAD_BYTES + cache


def out_of_memory(error: Exception) -> bool:
    """Whether an engine's last words say that memory ran out."""
    return _NO_MEMORY.search(str(error)) is not None


def _cache(directory: Path, share: int) -> int:
    """Cache of an engine that may take `share` bytes. It holds its weights twice: merging keeps the base's.

    In steps of at most an eighth: some releases of vLLM compile for each size, and free memory is seldom the same.
    """
    room = max(0, share - 2 * weight_bytes(directory) - ENGINE_OVERHEAD_BYTES)
    spare_bits = max(0, room.bit_length() - 4)
    return room >> spare_bits << spare_bits
