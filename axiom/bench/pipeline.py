"""Where an iteration's wall time goes, and the memory it takes: an experiment is run for real and its records read."""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from axiom.bench.watching import watching
from axiom.config import ExperimentConfig
from axiom.experiment import Experiment, iteration_folder

PARTS = {
    "samples": "sampling",
    "verdicts": "verification",
    "history": "selection",
    "gold": "selection",
    "passed_over": "selection",
    "buffer": "selection",
    "adapter": "training",
    "eval_samples": "evaluation",
    "eval_verdicts": "evaluation",
    "evaluation": "evaluation",
    "distance": "evaluation",
    "diversity": "evaluation",
    "metrics": "evaluation",
}


@dataclass(frozen=True)
class Breakdown:
    """Seconds of the wall clock by part of one iteration."""

    iteration: int
    seconds: Mapping[str, float]
    wall_seconds: float

    def share(self, *parts: str) -> float:
        """Share of the wall time that `parts` took together."""
        return sum(self.seconds[part] for part in parts) / self.wall_seconds


def measure(config: ExperimentConfig, flow: Callable[..., Any]) -> tuple[list[Breakdown], float]:
    """Run the experiment in a temporary folder; the breakdown of each iteration, and the peak memory in MiB."""
    from axiom.progress import Progress, listen

    ends: dict[int, float] = {}

    def note(progress: Progress) -> None:
        if progress.stage == "done":
            ends[progress.iteration] = time.perf_counter()

    memory = Memory()
    with tempfile.TemporaryDirectory() as root, listen(note), watching(memory.look):
        flow(config=config, root=root)
        experiment = Experiment(root, config)
        found = [
            _breakdown(experiment, number, ends[number] - ends[number - 1])
            for number in range(1, config.iterations + 1)
        ]
    return found, memory.peak_mib


def _breakdown(experiment: Experiment, number: int, wall: float) -> Breakdown:
    seconds = dict.fromkeys([*PARTS.values(), "storage", "orchestration"], 0.0)
    for stage, part in PARTS.items():
        manifest = experiment.stages.manifest(stage, iteration_folder(number))
        if manifest is not None:
            seconds[part] += manifest.info["seconds"] - manifest.info["storage_seconds"]
            seconds["storage"] += manifest.info["storage_seconds"]
    seconds["orchestration"] = wall - sum(seconds.values())
    return Breakdown(number, seconds, wall)


class Memory:
    """The peak resident memory of this process and all below it at each `look`; shared pages count in each."""

    def __init__(self) -> None:
        self.peak_mib = 0.0

    def look(self) -> None:
        """Take the memory of this moment into the peak."""
        import psutil

        me = psutil.Process()
        total = 0
        for process in (me, *me.children(recursive=True)):
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        self.peak_mib = max(self.peak_mib, total / 2**20)
