"""Runs of a study beside each other against the same runs in turn: seconds a run, and how busy the machine was."""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import psutil

from axiom.bench.watching import watching
from axiom.experiment.folder import RECORD
from axiom.store import MANIFEST
from axiom.study import load_study

DRAWN = f"iterations/*/*samples{MANIFEST}"


class Load:
    """Shares of all cores and of the GPU in use, as often as `look` is called; none of a GPU that is not there."""

    def __init__(self) -> None:
        self.cores: list[float] = []
        self.gpu: list[float] = []
        psutil.cpu_percent()  # the next call tells of the time since this one

    def look(self) -> None:
        """Note how busy the machine was since the last look."""
        self.cores.append(psutil.cpu_percent() / 100)
        busy = gpu_busy()
        if busy is not None:
            self.gpu.append(busy)


@dataclass(frozen=True)
class Timing:
    """`runs` took `seconds` in all; `cores` and `gpu` are mean shares in use, 0 to 1.

    `sampled` are the seconds from the start of each run to its first sampling, in which its problems are made; of runs
    that draw their own first samples.
    """

    way: str
    runs: int
    seconds: float
    cores: float
    gpu: float | None
    sampled: list[float]


def measure(path: Path, parallel: int, in_turn: int, flow: Callable[..., Any]) -> list[Timing]:
    """The study with `parallel` runs beside each other, 0 for as many as fit, then `in_turn` of its seeds in turn.

    Each way has a folder of its own, which is removed. Where packages load slowly the first time, this favours the runs
    in turn, which come second.
    """
    seeds = load_study(path).seeds
    whole = _timed("beside each other", flow, path=str(path), parallel=parallel)
    parts = [
        _timed("in turn", flow, path=str(path), shard=shard, shards=seeds, parallel=1)
        for shard in range(min(in_turn, seeds))
    ]
    runs, seconds = sum(part.runs for part in parts), sum(part.seconds for part in parts)
    gpus = [part.gpu for part in parts if part.gpu is not None]
    cores, gpu = fmean(part.cores for part in parts), fmean(gpus) if gpus else None
    sampled = [one for part in parts for one in part.sampled]
    return [whole, Timing("in turn", runs, seconds, cores, gpu, sampled)]


def _timed(way: str, flow: Callable[..., Any], **settings: Any) -> Timing:
    load = Load()
    with tempfile.TemporaryDirectory() as root, watching(load.look):
        start = time.perf_counter()
        results = flow(root=root, **settings)
        seconds = time.perf_counter() - start
        sampled = sorted(until_first_sampling(Path(root)))
    gpu = fmean(load.gpu) if load.gpu else None
    return Timing(way, len(results), seconds, fmean(load.cores or [0.0]), gpu, sampled)


def until_first_sampling(root: Path) -> Iterator[float]:
    """Seconds from the record of each run under `root` to the start of its first sampling, by the files' times."""
    for record in root.glob(f"*/{RECORD}"):
        begun = record.stat().st_mtime
        stages = list(record.parent.glob(DRAWN))
        starts = [path.stat().st_mtime - json.loads(path.read_bytes())["info"].get("seconds", 0.0) for path in stages]
        own = [start - begun for start in starts if start >= begun]  # others were taken over
        if own:
            yield min(own)


def gpu_busy() -> float | None:
    """Mean share of the last moments in which the GPUs computed, as nvidia-smi says it; None without one."""
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    try:
        out = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=10, check=True).stdout
        return fmean(float(line) / 100 for line in out.split())
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
