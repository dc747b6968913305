"""The measured points of `axiom bench cost`: rounds of published runs, and this machine's own."""

import csv
import resource
import tempfile
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from axiom.bench.cost import CPU, Point
from axiom.bench.workload import make_examples, make_requests
from axiom.config import ExperimentConfig, ModelConfig, ProblemsConfig, SamplingConfig, SandboxConfig, TrainingConfig
from axiom.experiment import Experiment, iteration_folder
from axiom.learners.proof import train_path
from axiom.models import Policy
from axiom.problems import generate_splits
from axiom.records import Metric
from axiom.sampling import open_sampler
from axiom.training import Kept, train
from axiom.verification import Candidate, Verifier

PUBLISHED = {"one H200": "smollm2-h200", "one H100": "smollm2-h100"}
"""Runs in artifacts/reference, by machine. Every second round is held out, and the first, which compiles, left out."""
FEW = ModelConfig(path="smollm2-135m", device="cpu")
ROUNDS = 4
"""Of a modular run; the quickest counts, as the machine may do other work."""
STAGES = {
    "selection": ("samples", "verdicts", "history", "gold", "passed_over"),
    "evaluation": ("eval_samples", "eval_verdicts", "evaluation", "metrics"),
}
"""Of a modular run; its sampler draws one token from a table, so that its stages' time is that of their tables."""


def published(reference: Path) -> Iterator[Point]:
    """Seconds of sampling and training in each round of the published runs under `reference`."""
    import polars as pl

    for machine, name in PUBLISHED.items():
        frame = pl.read_parquet(reference / name / "metrics.parquet").rename(Metric.FORMER, strict=False)
        table = Metric.from_table(frame.to_arrow())
        rounds = {row.iteration: row for row in table}
        speeds = {row.iteration: row.value for row in table if row.name == "sampling_tokens_per_second"}
        for (_, before), (number, row) in pairwise(sorted(rounds.items())):
            drawn, trained = row.generated_tokens - before.generated_tokens, row.trained_tokens - before.trained_tokens
            seconds = drawn / speeds[number]
            rest = row.wall_seconds - before.wall_seconds - seconds
            if number > 1:
                held_out = number % 2 == 0
                yield Point(machine, "sampling", drawn, round(seconds, 4), held_out, f"{name}, round {number}")
                yield Point(machine, "training", trained, round(rest, 4), held_out, f"{name}, round {number}")


def measured(flow: Callable[..., Any]) -> Iterator[Point]:
    """Points of the machine at hand, in seconds of one core; `flow` runs an experiment."""
    yield from _points("problems", _problems, (100, 200, 400, 800, 1600), held_out=(200, 800))
    yield from _points("verification", _verification, (100, 300, 1000, 2000, 4000), held_out=(300, 2000))
    yield from _points("sampling", _sampling, (4, 8, 16, 32, 64), held_out=(8, 32))
    yield from _points("training", _training, (8, 12, 16, 32, 64), held_out=(12, 32))
    for p in (13, 19, 23, 31, 43, 59):
        yield from _tables(flow, p, held_out=p in (19, 31))


def _points(
    stage: str, work: Callable[[int], tuple[float, float]], sizes: tuple[int, ...], held_out: tuple[int, ...]
) -> Iterator[Point]:
    for size in sizes:
        amount, seconds = min((work(size) for _ in range(2)), key=lambda pair: pair[1])
        yield Point(CPU, stage, amount, round(seconds, 4), size in held_out, "axiom bench cost --measure")


def _cpu_seconds() -> float:
    """Of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _problems(count: int) -> tuple[float, float]:
    began = _cpu_seconds()
    generate_splits(ProblemsConfig(train_size=count, val_size=1, test_size=0), 0)
    return count, _cpu_seconds() - began


def _verification(count: int) -> tuple[float, float]:
    problems = generate_splits(ProblemsConfig(train_size=200, val_size=1, test_size=0), 0)["train"]
    candidates = [
        Candidate(str(number), one.reference_solution, one.entry_point, one.cases)
        for number, one in ((number, problems[number % len(problems)]) for number in range(count))
    ]
    began = _cpu_seconds()
    with Verifier(SandboxConfig(workers=1)) as verifier:
        assert all(verdict.outcome == "passed" for verdict in verifier.verify(candidates))
    return count, _cpu_seconds() - began


def _sampling(problems: int) -> tuple[float, float]:
    requests = make_requests(FEW, problems, 4, 0.8, 32)
    sampler, _ = open_sampler(FEW, SamplingConfig(engine="transformers"), way="recompute")
    try:
        sampler.use(Policy("base", None))
        list(sampler.sample(requests[:1]))
        began = _cpu_seconds()
        tokens = sum(completion.token_count for completion in sampler.sample(requests))
        return tokens, _cpu_seconds() - began
    finally:
        sampler.close()


def _training(problems: int) -> tuple[float, float]:
    examples, kept, config = make_examples(FEW, problems, 1), Kept(), TrainingConfig()
    with tempfile.TemporaryDirectory() as folder:
        for given in (examples[:1], examples):
            began = _cpu_seconds()
            done = train(
                given,
                model=FEW,
                config=config,
                previous=Policy("base", None),
                out=Path(folder),
                seed=0,
                iteration=1,
                first_step=0,
                kept=kept,
                path=train_path(FEW, config),
            )
    return sum(step.tokens for step in done), _cpu_seconds() - began


def _tables(flow: Callable[..., Any], p: int, held_out: bool) -> Iterator[Point]:
    """A modular run of all pairs modulo `p`, four samples each."""
    config = ExperimentConfig.model_validate(
        {
            "name": f"cost-{p}",
            "iterations": ROUNDS,
            "model": {"kind": "modular"},
            "modular": {"p": p, "steps_per_iteration": 2},
            "sampling": {"samples_per_problem": 4},
        }
    )
    with tempfile.TemporaryDirectory() as root:
        flow(config, root)
        experiment = Experiment(root, config)
        rounds = [_manifests(experiment, number) for number in range(1, ROUNDS + 1)]
    drawn, evaluated = (
        min(one[stage].files[f"{stage}.parquet"].rows for one in rounds) for stage in ("samples", "eval_samples")
    )
    source = f"axiom bench cost --measure, modular p = {p}"
    for stage, parts in STAGES.items():
        seconds = min(sum(_seconds(one[part]) for part in parts) for one in rounds)
        yield Point(CPU, stage, drawn if stage == "selection" else evaluated, round(seconds, 4), held_out, source)
    stored = min(sum(one[part].info["storage_seconds"] for part in one) for one in rounds)
    yield Point(CPU, "storage", drawn + evaluated, round(stored, 4), held_out, source)
    size = min(sum(file.bytes for part in one.values() for file in part.files.values()) for one in rounds)
    yield Point(CPU, "bytes", drawn + evaluated, size, held_out, source)


def _manifests(experiment: Experiment, number: int) -> Mapping[str, Any]:
    found = {
        stage: experiment.stages.manifest(stage, iteration_folder(number))
        for stages in STAGES.values()
        for stage in stages
    }
    return {stage: manifest for stage, manifest in found.items() if manifest is not None}


def _seconds(manifest: Any) -> float:
    return float(manifest.info["seconds"] - manifest.info["storage_seconds"])


def write(points: Iterator[Point], path: Path) -> None:
    """The points as the page's code reads them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["machine", "stage", "amount", "value", "held_out", "source"])
        for point in points:
            held_out = "yes" if point.held_out else "no"
            rows.writerow([point.machine, point.stage, f"{point.amount:g}", point.value, held_out, point.source])
