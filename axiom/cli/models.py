"""`axiom bench sampling`, `training` and `gpus`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from axiom.cli import tables
from axiom.cli.app import bench_app, console, errors
from axiom.cli.tables import AsJson
from axiom.config import ModelConfig, TrainingConfig
from axiom.environment import cache_dir
from axiom.errors import ConfigError

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

    config = ModelConfig(path=_path(model, shape))
    chosen = {name: value for name, value in variants(config).items() if not only or any(part in name for part in only)}
    requests = make_requests(config, problems, samples, max_new_tokens)
    title = f"{config.path}: {problems} problems × {samples} samples, at most {max_new_tokens} tokens"
    written: tables.Columns = {
        "variant": "{0.name}",
        "start": "{0.start_seconds:.1f} s",
        "swap and first token": lambda one: "" if one.swap_seconds is None else f"{one.swap_seconds:.2f} s",
        "tokens": lambda one: f"{one.runs[-1][0]:,}",
        "tokens/s": "{0.tokens_per_second:,.0f}",
    }
    _tell(title, measure(config, requests, chosen), written, as_json)


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

    config = ModelConfig(path=_path(model, shape))
    settings = TrainingConfig(batch_size=1, gradient_accumulation=batch_size)
    title = f"{config.path}: {problems * copies} examples, {batch_size} in a step"
    written: tables.Columns = {
        "trainer": "{0.name}",
        "tokens": "{0.tokens:,}",
        "first run": "{0.first_seconds:.1f} s",
        "second run": "{0.seconds:.1f} s",
        "tokens/s then": "{0.tokens_per_second:,.0f}",
        "peak memory": "{0.peak_gib:.1f} GiB",
    }
    _tell(title, measure(config, make_examples(config, problems, copies), settings), written, as_json)


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
    from axiom.study import load_study

    for part in only or ():
        if part not in PARTS:
            raise ConfigError(f"--only {part!r} is none of {', '.join(PARTS)}")
    if study is not None:
        load_study(study)  # a mistake in it ends this before anything is measured
    elif "study" in (only or ()):
        raise ConfigError("--only study needs --study with a study's TOML file")
    config, load = ModelConfig(path=_path(model, shape)), Load(problems, samples, max_new_tokens, batch_size)
    first: dict[str, float] = {}
    title = f"{config.path}: {problems} problems × {samples}, {batch_size} examples in a step"
    written: tables.Columns = {
        "part": "{0.part}",
        "GPUs": "{0.gpus}",
        "start": "{0.start_seconds:.1f} s",
        "amount": "{0.amount:,} {0.unit}",
        "took": "{0.seconds:.1f} s",
        "speed": lambda one: f"{one.rate:,.0f} tokens/s" if one.unit == "tokens" else f"{1 / one.rate:.1f} s a run",
        "times the first": lambda one: f"{one.rate / first.setdefault(one.part, one.rate):.2f}",
    }
    _tell(title, measure(config, load, count or [1, 2], study, only or PARTS), written, as_json)


def _tell(title: str, found: Iterable[Any], written: tables.Columns, as_json: bool) -> None:
    """Print each measurement as soon as it is there, and in the end all of them."""
    measured = []
    for one in found:
        measured.append(one)
        header, (cells,) = tables.columns([one], written)
        line = ", ".join(f"{name} {cell}" for name, cell in zip(header, cells, strict=True) if cell)
        (errors if as_json else console).print(line, highlight=False)
    if as_json:
        tables.as_json(measured)
    else:
        tables.show(console, title, *tables.columns(measured, written))


def _path(model: str, shape: str | None) -> str:
    if shape is None:
        return model
    from axiom.bench.workload import SHAPES, shaped_model

    if shape not in SHAPES:
        raise ConfigError(f"--shape {shape!r} is not known; choose one of {', '.join(SHAPES)}")
    folder: Path = cache_dir() / "models" / f"{shape}-random"
    return str(shaped_model(shape, folder))
