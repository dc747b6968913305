"""`axiom bench sampling`, `training` and `gpus`."""

from pathlib import Path
from typing import Annotated

import typer

from axiom.cli import tables
from axiom.cli.app import bench_app, console, errors
from axiom.cli.tables import AsJson

ModelPath = Annotated[str, typer.Option("--model", help="A model folder, a hub name, or smollm2-135m.")]
Shape = Annotated[
    str | None,
    typer.Option(help="Random weights of a shape instead: qwen2.5-coder-1.5b, qwen2.5-coder-7b or tiny."),
]
Problems = Annotated[int, typer.Option(min=1, help="Problems of the original experiment's families.")]


@bench_app.command()
def sampling(
    model: ModelPath = "smollm2-135m",
    shape: Shape = None,
    problems: Problems = 64,
    samples: Annotated[int, typer.Option(min=1, help="Completions of each problem.")] = 4,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest completion.")] = 128,
    only: Annotated[list[str] | None, typer.Option(help="Variants to run, by a part of their name.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure tokens per second of every way to sample on this machine, with a trained adapter."""
    from axiom.bench.sampling import measure, variants
    from axiom.bench.workload import make_requests
    from axiom.config import ModelConfig

    config = ModelConfig(path=_path(model, shape))
    chosen = {name: value for name, value in variants(config).items() if not only or any(part in name for part in only)}
    requests = make_requests(config, problems, samples, 0.8, max_new_tokens)
    rows, measured = [], []
    for found in measure(config, requests, chosen):
        measured.append(found)
        swap = "" if found.swap_seconds is None else f"{found.swap_seconds:.2f} s"
        speed = f"{found.tokens_per_second:,.0f}"
        (errors if as_json else console).print(
            f"{found.name}: start {found.start_seconds:.1f} s, swap {swap or '-'}, {speed} tokens/s, runs {found.runs}",
            highlight=False,
        )
        rows.append([found.name, f"{found.start_seconds:.1f} s", swap, f"{found.runs[-1][0]:,}", speed])
    title = f"{config.path}: {problems} problems × {samples} samples, at most {max_new_tokens} tokens"
    if as_json:
        tables.as_json(measured)
        return
    tables.show(console, title, ["variant", "start", "swap and first token", "tokens", "tokens/s"], rows)


@bench_app.command()
def training(
    model: ModelPath = "smollm2-135m",
    shape: Shape = None,
    problems: Problems = 64,
    copies: Annotated[int, typer.Option(min=1, help="Examples of each problem.")] = 1,
    batch_size: Annotated[int, typer.Option(min=1, help="Examples in one optimizer step.")] = 8,
    as_json: AsJson = False,
) -> None:
    """Measure tokens per second of axiom's trainer, the original's loop, and TRL where it is installed."""
    from axiom.bench.training import measure
    from axiom.bench.workload import make_examples
    from axiom.config import ModelConfig, TrainingConfig

    config = ModelConfig(path=_path(model, shape))
    settings = TrainingConfig(batch_size=1, gradient_accumulation=batch_size)
    rows, measured = [], []
    for found in measure(config, make_examples(config, problems, copies), settings):
        measured.append(found)
        speed, peak = f"{found.tokens_per_second:,.0f}", f"{found.peak_gib:.1f} GiB"
        first, again = f"{found.first_seconds:.1f} s", f"{found.seconds:.1f} s"
        (errors if as_json else console).print(
            f"{found.name}: {speed} tokens/s, {first}, again {again}, peak {peak}", highlight=False
        )
        rows.append([found.name, f"{found.tokens:,}", first, again, speed, peak])
    title = f"{config.path}: {problems * copies} examples, {batch_size} in a step"
    if as_json:
        tables.as_json(measured)
        return
    header = ["trainer", "tokens", "first run", "second run", "tokens/s then", "peak memory"]
    tables.show(console, title, header, rows)


@bench_app.command()
def gpus(
    model: ModelPath = "smollm2-135m",
    shape: Shape = None,
    count: Annotated[list[int] | None, typer.Option(min=1, help="Numbers of GPUs: 1 and 2.")] = None,
    problems: Problems = 64,
    samples: Annotated[int, typer.Option(min=1, help="Completions and examples of each problem.")] = 4,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest completion.")] = 128,
    batch_size: Annotated[int, typer.Option(min=1, help="Examples in one optimizer step.")] = 64,
    study: Annotated[Path | None, typer.Option(help="A study's TOML file, whose runs are timed as well.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Parts to run: sampling, training or study.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure one run's sampling and training, and a study's runs, on one GPU and on several; on a CPU on processes.

    Example: axiom bench gpus --shape qwen2.5-coder-1.5b --count 1 --count 2
    """
    from axiom.bench.gpus import PARTS, Load, measure
    from axiom.config import ModelConfig

    config, load = ModelConfig(path=_path(model, shape)), Load(problems, samples, max_new_tokens, batch_size)
    rows, measured = [], []
    first: dict[str, float] = {}
    for found in measure(config, load, count or [1, 2], study, only or PARTS):
        measured.append(found)
        times = found.rate / first.setdefault(found.part, found.rate)
        speed = f"{found.rate:,.0f} {found.unit}/s" if found.unit == "tokens" else f"{1 / found.rate:.1f} s a run"
        row = [found.part, str(found.gpus), f"{found.start_seconds:.1f} s", f"{found.amount:,} {found.unit}"]
        rows.append([*row, f"{found.seconds:.1f} s", speed, f"{times:.2f}"])
        (errors if as_json else console).print(", ".join(rows[-1][:-1]), highlight=False)
    if as_json:
        tables.as_json(measured)
        return
    title = f"{config.path}: {problems} problems × {samples}, {batch_size} examples in a step"
    tables.show(console, title, ["part", "GPUs", "start", "amount", "took", "speed", "times the first"], rows)


def _path(model: str, shape: str | None) -> str:
    if shape is None:
        return model
    from axiom.bench.workload import SHAPES, shaped_model
    from axiom.environment import cache_dir
    from axiom.errors import ConfigError

    if shape not in SHAPES:
        raise ConfigError(f"--shape {shape!r} is not known; choose one of {', '.join(SHAPES)}")
    folder: Path = cache_dir() / "models" / f"{shape}-random"
    return str(shaped_model(shape, folder))
