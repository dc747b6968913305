"""The measured points of `axiom bench cost`: rounds of published runs, and this machine's own."""

import csv
import resource
import tempfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from axiom.bench import store
from axiom.bench.cost import CPU, Point
from axiom.bench.workload import train_problems
from axiom.config import SandboxConfig
from axiom.folders import Folder
from axiom.records import Metric, Sample
from axiom.store import write_parquet
from axiom.verification import Candidate, Verifier

PUBLISHED = {"one H200": "smollm2-h200", "one H100": "smollm2-h100"}
"""Runs in artifacts/reference, by machine. Every second round is held out, and the first, which compiles, left out."""
STAGES = {"selection": ("remember", "select", "passed over"), "evaluation": ("evaluate", "measure")}
"""What works on tables, with their reading and writing, as `axiom bench store` names it."""


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


def measured() -> Iterator[Point]:
    """Points of a machine like the one it runs on, in seconds of one core."""
    yield from _points("problems", _problems, (100, 200, 400, 800, 1600), held_out=(200, 800))
    yield from _points("verification", _verification, (100, 300, 1000, 2000, 4000), held_out=(300, 2000))
    yield from _tables((4_000, 12_000, 40_000), held_out=(12_000,))
    for count in (250, 500, 1000, 2000, 4000):
        yield Point(CPU, "bytes", count, _stored(count), count in (500, 2000), "axiom bench cost --measure")


def _points(
    stage: str, work: Callable[[int], float], sizes: tuple[int, ...], held_out: tuple[int, ...]
) -> Iterator[Point]:
    for size in sizes:
        yield Point(CPU, stage, size, round(work(size), 4), size in held_out, "axiom bench cost --measure")


def _cpu_seconds() -> float:
    """Of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _problems(count: int) -> float:
    began = _cpu_seconds()
    train_problems(count)
    return _cpu_seconds() - began


def _verification(count: int) -> float:
    problems = train_problems(200)
    candidates = [
        Candidate(str(number), one.reference_solution, one.entry_point, one.cases)
        for number, one in ((number, problems[number % len(problems)]) for number in range(count))
    ]
    began = _cpu_seconds()
    with Verifier(SandboxConfig(workers=1)) as verifier:
        assert all(verdict.outcome == "passed" for verdict in verifier.verify(candidates))
    return _cpu_seconds() - began


def _tables(sizes: tuple[int, ...], held_out: tuple[int, ...]) -> Iterator[Point]:
    stages = ("start", *(stage for parts in STAGES.values() for stage in parts))
    costs = {(cost.samples, cost.stage): cost.cpu_seconds for cost in store.measure(sizes, None, ("parts",), stages)}
    for stage, parts in STAGES.items():
        for size in sizes:
            seconds = sum(costs[size, part] - costs[size, "start"] for part in parts)
            yield Point(CPU, stage, size, round(seconds, 4), size in held_out, "axiom bench cost --measure")


def _stored(count: int) -> int:
    """Bytes of a table of samples, each a reference solution in a fence, as the store writes it."""
    problems = train_problems(count)
    rows = [
        Sample(
            sample_id=f"{one.problem_id}:{number}",
            problem_id=one.problem_id,
            iteration=1,
            purpose="train",
            index=0,
            completion=f"```python\n{one.reference_solution}```",
            code=one.reference_solution,
            token_count=len(one.reference_solution) // 3,
            logprob=-1.0 / (1 + number),
            finish_reason="stop",
            seed=number,
            temperature=0.8,
            policy_version="base",
        )
        for number, one in enumerate(problems)
    ]
    with tempfile.TemporaryDirectory() as folder:
        write_parquet(Folder(folder), "samples", rows, Sample)
        return (Path(folder) / "samples.parquet").stat().st_size


def write(points: Iterator[Point], path: Path) -> None:
    """The points as the page's code reads them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["machine", "stage", "amount", "value", "held_out", "source"])
        for point in points:
            held_out = "yes" if point.held_out else "no"
            rows.writerow([point.machine, point.stage, f"{point.amount:g}", point.value, held_out, point.source])
