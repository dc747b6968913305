"""Studies on disk made by writing the metrics of their runs, and their pages as `axiom compare` makes them."""

from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner

from axiom.cli.studies import app
from axiom.config import ExperimentConfig
from axiom.errors import DataError
from axiom.experiment import Experiment
from axiom.records import Metric
from axiom.store import write_parquet
from axiom.study import load_study, plan
from tests.rows import metric_row

Rises = Callable[[ExperimentConfig], dict[str | None, float]]
"""At which iteration each family of a run generalises; None is all of them together."""


def write_study(
    folder: Path, text: str, rises: Rises, without: tuple[str, ...] = (), unfinished: tuple[str, ...] = ()
) -> Path:
    """The page of a study whose runs were all written but those `without`; those `unfinished` to a half."""
    file, root = folder / "study.toml", folder / "runs"
    file.write_text(text, encoding="utf-8")
    study = load_study(file)
    for seed in range(study.seeds):
        for config in plan(study, seed):
            if config.name not in without:
                done = config.iterations // (2 if config.name in unfinished else 1)
                write_metrics(root, config, done, rises(config))
    told = CliRunner().invoke(app, ["compare", str(file), "--root", str(root), "--out", str(folder / "page")])
    assert told.exception is None or isinstance(told.exception, DataError), repr(told.exception)
    return folder / "page" / "report.html"


def write_metrics(root: Path, config: ExperimentConfig, iterations: int, rises: dict[str | None, float]) -> None:
    """A run of which only the metrics were kept: its families memorise at once and generalise later."""
    run = Experiment.create(str(root), config)
    run.save()
    costs = [
        {"optimizer_step": 10 * at, "trained_tokens": 900 * at, "generated_tokens": 2000 * at, "wall_seconds": 9.0 * at}
        for at in range(iterations + 1)
    ]
    rows = [
        metric_row(iteration=at, split=split, family=family, value=value, low=value, high=value, n=40, **cost)
        for at, cost in enumerate(costs)
        for split in ("train", "val")
        for family, when in rises.items()
        for value in [(0.95 if at else 0.1) if split == "train" else 0.93 if at >= when else 0.12]
    ]
    write_parquet(run.folder, "metrics", rows, Metric)
