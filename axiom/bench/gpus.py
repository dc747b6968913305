"""Sampling, training and the runs of a study on one GPU and on several, in one call; on a CPU on as many processes."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from axiom.bench import sampling
from axiom.bench.workload import make_examples, make_requests, token_count
from axiom.config import ModelConfig, SamplingConfig, TrainingConfig, VLLMConfig
from axiom.errors import InfrastructureError
from axiom.learners.proof import train_path
from axiom.models import Policy, devices, resolve_device
from axiom.training import Round, Setup
from axiom.training.trainer import open_trainer

PARTS = ("sampling", "training", "study")


@dataclass(frozen=True)
class Measured:
    """`amount` of `unit` took `seconds` on `gpus`, once everything was loaded, which took `start_seconds` before."""

    part: str
    gpus: int
    unit: str
    amount: int
    seconds: float
    start_seconds: float

    @property
    def rate(self) -> float:
        """Of the unit, in a second."""
        return self.amount / self.seconds


@dataclass(frozen=True)
class Load:
    """`problems` × `samples` completions of at most `max_new_tokens`, and as many examples, `batch_size` in a step."""

    problems: int
    samples: int
    max_new_tokens: int
    batch_size: int


def measure(
    model: ModelConfig, load: Load, counts: Sequence[int], study: Path | None, only: Sequence[str]
) -> Iterator[Measured]:
    """Each part on each number of GPUs in turn; no study where none is given."""
    if "sampling" in only:
        yield from _sampling(model, load, counts)
    if "training" in only:
        for count in counts:
            yield _training(model, load, count)
    if "study" in only and study is not None:
        for count in counts:
            yield _study(study, count, cuda=resolve_device(model) == "cuda")


def _sampling(model: ModelConfig, load: Load, counts: Sequence[int]) -> Iterator[Measured]:
    requests = make_requests(model, load.problems, load.samples, load.max_new_tokens)
    chosen: dict[str, SamplingConfig | str] = {
        str(count): SamplingConfig(engine="vllm", vllm=VLLMConfig(data_parallel=count)) for count in counts
    }
    for found in sampling.measure(model, requests, chosen):
        tokens, seconds = max(found.runs, key=lambda run: run[0] / run[1])
        yield Measured("sampling", int(found.name), "tokens", tokens, seconds, found.start_seconds)


def _training(model: ModelConfig, load: Load, count: int) -> Measured:
    """The second of two rounds: the first loads and captures."""
    config = TrainingConfig(gradient_accumulation=load.batch_size, data_parallel=count)
    examples, setup = make_examples(model, load.problems, load.samples), Setup(model, config, train_path(model, config))
    tokens = token_count(model, examples)
    trainer, seconds = open_trainer(model, config), []
    try:
        for _ in range(2):
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                trainer.train(examples, Round(Policy("base", None), Path(folder), 0, 1), setup)
                seconds.append(time.perf_counter() - began)
    finally:
        trainer.release()
    return Measured("training", count, "tokens", tokens, seconds[1], seconds[0])


def _study(study: Path, count: int, cuda: bool) -> Measured:
    """All runs of the study by the command line, its start included."""
    environment = dict(os.environ)
    if cuda:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(devices()[:count])
    with tempfile.TemporaryDirectory() as root:
        command = [sys.executable, "-m", "axiom.cli", "study", str(study), "--root", root]
        began = time.perf_counter()
        done = subprocess.run(
            [*command, "--parallel", "auto" if cuda else str(count)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
        seconds = time.perf_counter() - began
        runs = len(list(Path(root).glob("*/report.html")))
    if done.returncode:
        raise InfrastructureError(f"study {study} on {count} ended with {done.returncode}: {done.stdout[-600:]}")
    return Measured("study", count, "runs", runs, seconds, 0.0)
