"""What a run would compute, how long that takes and how much memory: read from runs that are done, before it starts."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import BaseModel

from axiom.config import ExperimentConfig
from axiom.errors import UserError
from axiom.experiment.folder import Experiment, experiment_names, iteration_folder
from axiom.models import bytes_to_train, resolve_device, resolve_model, weight_bytes
from axiom.selection.arms import ARMS
from axiom.store import MANIFEST, Manifest

LATEST = 5
"""Iterations of a run from which its speed is read."""
SAMPLING = {"cpu": 130.0, "cuda": 25_000.0}
"""Tokens a second that SmolLM2-135M draws on two CPU cores with transformers, and on an H200 with vLLM."""
TRAINING = {"cpu": 150.0, "cuda": 99_000.0}
"""Tokens a second of its training there."""
MEASURED_BYTES = 270 * 2**20
"""What its weights take."""
MODULAR_SECONDS = 0.3
"""An iteration of the modular network on two cores, most of it Prefect's own work."""
START_SECONDS = 20.0
"""Of a run alone, with its end."""
FOLLOWING_SECONDS = 3.0
"""Of a run that follows another in the same process: libraries, model and server are there."""
BASE_MIB = 900.0
"""Python with torch, Prefect and the tables of a small run."""
GIB = 2**30
DONE = f"iteration{MANIFEST}"


@dataclass(frozen=True)
class Work:
    """What is to be computed: `draws` completions to train on, `evaluated` to evaluate, over `iterations`."""

    reused: int
    iterations: int
    draws: int
    evaluated: int


@dataclass(frozen=True)
class Rates:
    """Seconds of a completion that is drawn, of one evaluated, and of an iteration beside both; `source` says whence.

    `memory_mib` is the peak that was seen, None where none was recorded.
    """

    draw: float
    evaluation: float
    rest: float
    source: str
    memory_mib: float | None = None


@dataclass(frozen=True)
class Estimate:
    """A run before it starts. `memory` says how much is needed and where the figure is from."""

    name: str
    state: str
    work: Work
    seconds: float
    source: str
    memory: str


def estimate(root: str, config: ExperimentConfig, shared: int = 0) -> Estimate:
    """The estimate of `config` under `root`. Reads what is done; runs and writes nothing.

    `shared` is how many iterations a fork that is yet to be made takes over.
    """
    done = list(range(shared)) or _done(root, config)
    work = remaining(config, done)
    rates = _rates(root, config)
    seconds = work.draws * rates.draw + work.evaluated * rates.evaluation + work.iterations * rates.rest
    seconds += START_SECONDS if work.iterations else 0.0
    state = "new" if done is None else f"{len(done)} of {config.iterations + 1} iterations done"
    return Estimate(config.name, state, work, seconds, rates.source, _memory(config, rates))


def in_turn(runs: Sequence[Estimate]) -> float:
    """Seconds of a study's runs one after the other, in one process."""
    following = max(0, sum(one.work.iterations > 0 for one in runs) - 1)
    return sum(one.seconds for one in runs) - (START_SECONDS - FOLLOWING_SECONDS) * following


def problem_counts(config: ExperimentConfig) -> tuple[int, int]:
    """Training problems, and problems of all splits."""
    if config.model.kind == "modular":
        from axiom.learners.modular import split_sizes

        train, _ = split_sizes(config.modular)
        pairs = config.modular.p * (config.modular.p + 1) // 2
        return train * len(config.families), pairs * len(config.families)
    made = config.problems
    beyond = 4 if made.ood_families else 3
    every = made.train_size + made.val_size + made.test_size + made.ood_size * beyond + 164 * made.humaneval
    return made.train_size, every


def remaining(config: ExperimentConfig, done: Sequence[int] | None) -> Work:
    """The iterations that are not done, and the completions that they draw."""
    train, every = problem_counts(config)
    draws, evaluation = ARMS[config.arm].draws, config.evaluation
    to_do = [number for number in range(config.iterations + 1) if number not in (done or ())]
    evaluated = sum(number % evaluation.every == 0 or number == config.iterations for number in to_do)
    return Work(
        reused=len(done or ()),
        iterations=len(to_do),
        draws=sum(draws(config, number) * train for number in to_do if number),
        evaluated=evaluated * every * (1 + evaluation.samples_per_problem),
    )


def _done(root: str, config: ExperimentConfig) -> list[int] | None:
    """The finished iterations of the experiment; None where there is none of the name yet."""
    return Experiment.open(root, config.name).finished() if config.name in experiment_names(root) else None


def _rates(root: str, config: ExperimentConfig) -> Rates:
    """From the run itself, else from the latest like it under the root, else from what was measured elsewhere."""
    names = experiment_names(root)
    if config.name in names:
        found = seen(Experiment.open(root, config.name))
        if found:
            return found
    for _, name in sorted(_like(root, config, names), reverse=True):
        found = seen(Experiment.open(root, name))
        if found:
            return found
    return published(config)


def _like(root: str, config: ExperimentConfig, names: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Start and name of the runs with the same model, engine and device, whatever else they differ in."""
    same = (config.model, config.sampling.engine, config.sampling.max_new_tokens, config.modular.p)
    for name in names:
        try:
            other = Experiment.open(root, name)
        except UserError:
            continue
        theirs = other.config
        if same == (theirs.model, theirs.sampling.engine, theirs.sampling.max_new_tokens, theirs.modular.p):
            yield other.created or "", name


def seen(experiment: Experiment) -> Rates | None:
    """What the latest iterations of a run took; None where it has finished none."""
    numbers = [number for number in experiment.finished() if number][-LATEST:]
    rows = [_figures(experiment, number) for number in numbers]
    draws = [row["samples"] for row in rows if "samples" in row]
    evaluations = [row["eval_samples"] for row in rows if "eval_samples" in row]
    if not rows or not (draws or evaluations):
        return None
    peaks = [row["memory"] for row in rows if row["memory"]]
    span = f"iterations {numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else f"iteration {numbers[0]}"
    return Rates(
        draw=median(draws) if draws else median(evaluations),
        evaluation=median(evaluations) if evaluations else median(draws),
        rest=median(row["rest"] for row in rows),
        source=f"{span} of {experiment.config.name}",
        memory_mib=max(peaks) if peaks else None,
    )


def _figures(experiment: Experiment, number: int) -> dict[str, float]:
    """Seconds of an iteration: of a completion of each purpose, and of the stages that draw none; and the peak."""
    folder = iteration_folder(number)
    names = ("samples", "verdicts", "history", "gold", "adapter", "eval_samples", "eval_verdicts", "metrics")
    manifests = {name: experiment.stages.manifest(name, folder) for name in (*names, "distance", "diversity")}
    found = {name: manifest for name, manifest in manifests.items() if manifest}
    figures = {name: _a_row(found[name], name) for name in ("samples", "eval_samples") if name in found}
    others = [manifest.info.get("seconds", 0.0) for name, manifest in found.items() if name not in figures]
    drawing = sum(found[name].info.get("seconds", 0.0) for name in figures)
    wall = _wall(experiment, number)
    peak = max((manifest.info.get("peak_memory_mib", 0.0) for manifest in found.values()), default=0.0)
    return {name: value for name, value in figures.items() if value is not None} | {
        "rest": sum(others) if wall is None else max(sum(others), wall - drawing),
        "memory": peak,
    }


def _wall(experiment: Experiment, number: int) -> float | None:
    """Seconds between the ends of the iteration before and of this one, with what no stage counts; None if unknown."""
    if not experiment.folder.local:
        return None
    ends = [Path(experiment.folder.join(iteration_folder(at)).at(DONE)) for at in (number - 1, number)]
    return ends[1].stat().st_mtime - ends[0].stat().st_mtime if all(end.exists() for end in ends) else None


def _a_row(manifest: Manifest, name: str) -> float | None:
    rows = manifest.files[f"{name}.parquet"].rows
    return manifest.info.get("seconds", 0.0) / rows if rows else None


def published(config: ExperimentConfig) -> Rates:
    """From what was measured with SmolLM2-135M, by the size of the weights: no better than a factor of two or three."""
    if config.model.kind == "modular":
        return Rates(0.0, 0.0, MODULAR_SECONDS, "what an iteration of the network takes on two cores")

    device = resolve_device(config.model)
    times = max(1.0, weight_bytes(resolve_model(config.model.path)) / MEASURED_BYTES)
    times = times if device == "cpu" else 1.0  # a GPU's engine is bound by its own work on the CPU
    draw = config.sampling.max_new_tokens / 2 / SAMPLING[device] * times
    train, _ = problem_counts(config)
    gold = train * config.selection.max_per_problem * config.training.epochs * 200  # tokens of an example, at most
    where = "two CPU cores" if device == "cpu" else "one H200"
    return Rates(
        draw,
        draw,
        gold / TRAINING[device] * times / 4,
        f"what SmolLM2-135M took on {where}, by the size of the weights, with completions of half the "
        "longest length; no run like this one is under the root yet, so expect a factor of three either way",
    )


def _memory(config: ExperimentConfig, rates: Rates) -> str:
    if rates.memory_mib is not None:
        return f"{rates.memory_mib / 1024:.1f} GiB in the run's own process, the peak of {rates.source}"
    if config.model.kind == "modular":
        return f"about {BASE_MIB / 1024:.1f} GiB, for Python, torch and Prefect"

    model = resolve_model(config.model.path)
    if resolve_device(config.model) == "cuda":
        share = config.sampling.vllm.gpu_memory_utilization
        return (
            f"on the GPU {bytes_to_train(model) / GIB:.1f} GiB to train, by the size of the weights, and "
            f"{share:.0%} of the card for the engine (sampling.vllm.gpu_memory_utilization)"
        )
    both = 2 * weight_bytes(model) / GIB + BASE_MIB / 1024
    return f"at least {both:.1f} GiB: the weights twice, to sample and to train, and Python with torch and Prefect"


def resolved(config: ExperimentConfig) -> str:
    """Every setting, as TOML that `axiom run` reads."""
    tree = config.model_dump(mode="json")
    lines = [f"{key} = {_toml(value)}" for key, value in tree.items() if not _section(config, key)]
    for key in tree:
        if _section(config, key):
            lines += _table(getattr(config, key), tree[key], key)
    return "\n".join(lines) + "\n"


def _section(config: Any, key: str) -> bool:
    return isinstance(getattr(config, key), BaseModel)


def _table(section: Any, tree: dict[str, Any], name: str) -> list[str]:
    lines = ["", f"[{name}]"]
    lines += [f"{key} = {_toml(value)}" for key, value in tree.items() if not _section(section, key)]
    for key in tree:
        if _section(section, key):
            lines += _table(getattr(section, key), tree[key], f"{name}.{key}")
    return lines


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
