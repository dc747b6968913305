"""Experiments on disk made by writing their real tables: long runs, hostile text, runs that failed, without a model."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path

import polars as pl

from axiom.config import load_config
from axiom.evaluation import Counters, accuracy_metrics, count_metrics, evaluate, group_metrics, outcome_metrics
from axiom.evaluation.distance import distance_metrics
from axiom.evaluation.diversity import diversity, diversity_metrics, programs
from axiom.experiment import Experiment, iteration_folder
from axiom.records import (
    Case,
    Distance,
    Evaluation,
    Event,
    Gold,
    LossStep,
    Metric,
    Outcome,
    PassedOver,
    Problem,
    Sample,
    Verdict,
)
from axiom.store import write_parquet

FAILURES = (Outcome.WRONG_ANSWER, Outcome.RUNTIME_ERROR, Outcome.SYNTAX_ERROR, Outcome.TIMEOUT)


def problems(families: int, each: int) -> dict[str, list[Problem]]:
    """So many problems of each family in each of three splits."""
    return {
        split: [
            problem(f"{split}-{family}-{number}", f"family_{family}", split, number % 5 + 1)
            for family in range(families)
            for number in range(each)
        ]
        for split in ("train", "val", "test")
    }


def problem(name: str, family: str, split: str, difficulty: int = 3) -> Problem:
    """A problem whose first case is f(1) = 1."""
    return Problem(
        problem_id=name,
        family=family,
        variant=json.dumps(name),
        difficulty=difficulty,
        split=split,
        title=f"Choose from {name}",
        description=f"Return what {name} asks for.",
        signature="def f(x: int) -> int:",
        entry_point="f",
        shown=(),
        cases=(Case(args="[1]", expected="1"), Case(args="[2]", expected="4")),
        reference_solution="def f(x):\n    return x * x\n",
        input_data="[1]",
        expected_output="1",
    )


def sample(of: Problem, iteration: int, purpose: str, index: int, text: str) -> Sample:
    """A completion that is a fenced program; of an evaluation the greedy one."""
    return Sample(
        sample_id=f"{iteration}:{purpose}:{of.problem_id}:{index}",
        problem_id=of.problem_id,
        iteration=iteration,
        purpose=purpose,
        index=index,
        completion=f"Here it is.\n```python\n{text}\n```",
        code=text,
        token_count=40,
        logprob=-20.0,
        finish_reason="stop",
        seed=index + 1,
        temperature=0.0 if index < 0 else 0.8,
        policy_version="base",
    )


def verdict(of: Sample, passed: bool, rng: random.Random) -> Verdict:
    """A verdict with a detail like the sandbox's; one pass in fifty fails its audit."""
    outcome = Outcome.PASSED if passed else rng.choice(FAILURES)
    return Verdict(
        sample_id=of.sample_id,
        outcome=outcome,
        cases_passed=2 if passed else 1,
        cases_total=2,
        cpu_ms=1.0,
        wall_ms=2.0,
        detail="" if passed else "case 1: got 3, expected 4",
        audit_passed=rng.random() > 0.02 if passed else None,
    )


def write_run(
    root: Path,
    name: str,
    iterations: int = 5,
    families: int = 3,
    each: int = 2,
    draws: int = 2,
    texts: tuple[str, ...] = ("def f(x):\n    return x * x",),
    gold: bool = True,
) -> Experiment:
    """A finished run that learns: each policy solves more of every split, and forgets some."""
    config = load_config(None, [f"name={name}", f"iterations={iterations}", "seed=3"])
    experiment = Experiment.create(str(root), config)
    experiment.save()
    splits, rng = problems(families, each), random.Random(1)
    for split, rows in splits.items():
        write_parquet(experiment.folder.join("problems"), split, rows, Problem)
    everything = [problem for rows in splits.values() for problem in rows]
    metrics: list[Metric] = []
    for number in range(iterations + 1):
        metrics += _write_iteration(experiment, number, splits["train"], everything, draws, texts, gold, rng)
    write_parquet(experiment.folder, "metrics", metrics, Metric)
    write_parquet(experiment.folder, "events", [], Event)
    return experiment


def _write_iteration(experiment, number, train, everything, draws, texts, gold, rng):
    skill = 0.1 + 0.7 * number / (experiment.config.iterations + 1)
    counters = Counters(number * 10, number * 4000, number * 2000, number * 12.5)
    tables: dict[str, tuple[list, type]] = {}

    def drawn(purpose, of):
        first = -1 if purpose == "eval" else 0  # the greedy answer
        samples = [sample(p, number, purpose, i, rng.choice(texts)) for p in of for i in range(first, draws + first)]
        return samples, [verdict(one, rng.random() < skill, rng) for one in samples]

    eval_samples, eval_verdicts = drawn("eval", everything)
    evaluations = evaluate(everything, eval_samples, eval_verdicts)
    tables |= {"eval_samples": (eval_samples, Sample), "eval_verdicts": (eval_verdicts, Verdict)}
    tables["evaluation"] = (evaluations, Evaluation)
    metrics = accuracy_metrics(evaluations, number, counters, experiment.config.evaluation)
    far = [Distance(problem_id=str(at), positions=9, kl=number * (0.01 + at / 1000)) for at in range(4)]
    metrics += distance_metrics(far, number, counters, 0.95)
    info = {name: {"seconds": 2.0 + number % 3, "tokens": 500} for name in ("eval_samples", "eval_verdicts")}
    rows = {}
    if number:
        samples, verdicts = drawn("train", train)
        right = [s for s, v in zip(samples, verdicts, strict=True) if v.outcome == "passed"] if gold else []
        kept, over = right[::2], right[1::2]
        tables |= {"samples": (samples, Sample), "verdicts": (verdicts, Verdict)}
        tables["gold"] = ([gold_row(one) for one in kept], Gold)
        tables["passed_over"] = (
            [
                PassedOver(sample_id=s.sample_id, problem_id=s.problem_id, why="duplicate", same_as=kept[0].sample_id)
                for s in over
            ],
            PassedOver,
        )
        tables["losses"] = ([loss(number, at) for at in range(10 if kept else 0)], LossStep)
        metrics += outcome_metrics(samples, verdicts, number, counters, 0.95)
        metrics += group_metrics(samples, verdicts, number, counters)
        different = diversity(programs(right), {one.sample_id: (one.code,) for one in right})
        metrics += diversity_metrics(different, number, counters)
        counts = {"solved": len({s.problem_id for s in right}), "gold": len(kept), "gold_fresh": len(kept)}
        metrics += count_metrics(counts, number, counters)
        info |= {"samples": {"seconds": 5.0, "tokens": 1000}, "verdicts": {"seconds": 1.0}}
        info |= {"gold": {"fresh": len(kept), "seconds": 0.1}}
        info["adapter"] = {
            "seconds": 4.0,
            "tokens": 900,
            "step": 10 * number,
            "examples": len(kept),
            "loss_tokens": 300,
        }
        rows = {"samples": {"samples": len(samples)}}

    def work(out):
        for name, (found, record) in tables.items():
            out.table(name, found, record)
        out.info["stages"] = {name: {"info": one, "rows": rows.get(name, {})} for name, one in info.items()}

    experiment.stages.run("iteration", iteration_folder(number), settings=None, version="1", inputs={}, work=work)
    return metrics


def rewrite(experiment: Experiment, iteration: int, table: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Replace a table of an iteration by what `change` makes of it."""
    path = experiment.folder.join(iteration_folder(iteration)).at(f"{table}.parquet")
    change(pl.read_parquet(path)).write_parquet(path)


def diverged(root: Path) -> Experiment:
    """A run whose losses and log-probabilities are not finite from its second iteration."""
    experiment = write_run(root, "diverged")
    for number in range(2, experiment.config.iterations + 1):
        rewrite(experiment, number, "losses", lambda rows: rows.with_columns(loss=math.nan, grad_norm=math.inf))
        rewrite(experiment, number, "samples", lambda rows: rows.with_columns(logprob=-math.inf))
        rewrite(experiment, number, "eval_samples", lambda rows: rows.with_columns(logprob=math.nan))
    path = experiment.folder.at("metrics.parquet")
    rows, far = pl.read_parquet(path), pl.col("iteration") > 1
    rows.with_columns(
        value=pl.when(far & (pl.col("name") == "kl_from_base")).then(math.nan).otherwise("value")
    ).write_parquet(path)
    return experiment


def gold_row(of: Sample) -> Gold:
    """The row that trains on a sample."""
    return Gold(
        sample_id=of.sample_id,
        problem_id=of.problem_id,
        iteration=of.iteration,
        weight=1.0,
        reason="verified",
        target=of.code,
    )


def loss(iteration: int, at: int) -> LossStep:
    """An optimizer step."""
    kinds = {"learning_rate": 1e-4, "examples": 8, "loss_tokens": 100, "tokens": 200, "grad_norm": 1.0}
    return LossStep(iteration=iteration, step=10 * (iteration - 1) + at + 1, loss=1.0 / (iteration + at), **kinds)
