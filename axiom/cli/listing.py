"""`axiom list` and `axiom status`: what there is, how far it is, and in which settings runs differ."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from axiom.cli import tables
from axiom.cli.app import app, console, say
from axiom.cli.run import Name, Root
from axiom.cli.tables import AsJson
from axiom.commands import DEFAULT_ROOT, suggest
from axiom.config import flat
from axiom.errors import UserError
from axiom.experiment import PAUSE, Experiment, experiment_names, iteration_folder
from axiom.words import few

OF_EACH = ("name", "iterations")
"""Settings that are columns of their own."""


@app.command()
def status(name: Name, as_json: AsJson = False, root: Root = DEFAULT_ROOT) -> None:
    """Show an experiment's progress and its accuracies so far.

    Example: axiom status quickstart
    """
    from axiom.evaluation import pooled_greedy
    from axiom.report.data import accuracy_rows
    from axiom.report.page import verdict

    experiment = Experiment.open(root, name)
    done, state = experiment.finished(), state_of(experiment)
    measured = experiment.folder.exists("metrics.parquet")
    metrics = experiment.metrics() if measured else []
    sentence = verdict(experiment, metrics).sentence() if measured else ""
    parts = {
        number: experiment.stages.names(iteration_folder(number))
        for number in sorted({*experiment.iterations()} - {*done})
    }
    missing = experiment.missing()
    if as_json:
        pooled = pooled_greedy(metrics)
        told = {"name": name, "state": state, "done": done, "iterations": experiment.config.iterations}
        tables.as_json(told | {"begun": parts, "missing": missing, "phases": sentence, "accuracy": pooled})
        return
    console.print(
        f"[bold]{name}[/]: {state}, {max(0, len(done) - 1)} of {experiment.config.iterations} iterations done",
        highlight=False,
    )
    for number, stages in parts.items():
        console.print(f"iteration {number}: done so far: {', '.join(stages) or 'nothing'}", highlight=False)
    if measured:
        tables.show(console, "Greedy accuracy", *accuracy_rows(metrics))
        console.print(sentence, highlight=False)
    if missing:
        console.print(f"missing: {few(missing, 1)}", style="yellow", highlight=False, markup=False, soft_wrap=True)
    if state not in ("running", "pausing") and (missing or len(done) <= experiment.config.iterations):
        again = suggest("resume", name, root=root)
        say(f"continue it with: {again}")


@app.command("list")
def list_experiments(
    like: Annotated[str, typer.Argument(help="Names that have this text in them.", metavar="TEXT")] = "",
    as_json: AsJson = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """List experiments with state, start, accuracy, and the settings in which each differs from most of the others.

    Example: axiom list h1-modular
    """
    found = [_described(root, name) for name in experiment_names(root) if like in name]
    usual = _most_common([one["settings"] for one in found if one["settings"]])
    for one in found:
        one["settings"] = {key: value for key, value in one["settings"].items() if value != usual.get(key)}
    if as_json:
        tables.as_json(found)
        return
    if not found:
        start = suggest("run", "quickstart", root=root)
        there = f"no experiments{' named like ' + repr(like) if like else ''} under {root!r} yet"
        say(f"{there}; start one with: {start}")
        return
    written: tables.Columns = {
        "name": "{0[name]}",
        "state": "{0[state]}",
        "started": lambda one: (one["started"] or "-")[:16].replace("T", " "),
        "done": lambda one: "-" if one["iterations"] is None else f"{one['done']}/{one['iterations']}",
        "val": lambda one: "-" if one["val"] is None else f"{one['val']:.0%}",
    }
    if any(one["settings"] for one in found):
        written["settings"] = lambda one: _told(one["settings"])
    tables.show(console, f"Experiments under {root}", *tables.columns(found, written))
    for one in found:
        if one["why"]:
            say(f"{one['name']}: {one['why']}")


def state_of(experiment: Experiment) -> str:
    """`running`, `pausing`, `finished`, `stopped`, or `new` for one that has done nothing."""
    if experiment.is_locked():
        return "pausing" if experiment.folder.exists(PAUSE) else "running"
    done = experiment.last_done()
    return "new" if done < 0 else "finished" if done >= experiment.config.iterations else "stopped"


def _described(root: str, name: str) -> dict[str, Any]:
    """One experiment; of a damaged one the reason."""
    empty: dict[str, Any] = {"started": None, "done": None, "iterations": None, "val": None, "settings": {}}
    try:
        experiment = Experiment.open(root, name)
        return {
            "name": name,
            "state": state_of(experiment),
            "started": experiment.created,
            "done": max(0, experiment.last_done()),
            "iterations": experiment.config.iterations,
            "val": _last_accuracy(experiment),
            "settings": flat(experiment.config.model_dump(mode="json", exclude=set(OF_EACH))),
            "why": "",
        }
    except UserError as error:
        return {"name": name, "state": "damaged", **empty, "why": str(error)}


def _last_accuracy(experiment: Experiment) -> float | None:
    from axiom.evaluation import pooled_greedy

    if not experiment.folder.exists("metrics.parquet"):
        return None
    rows = experiment.metrics()
    values = pooled_greedy(rows, "val")
    return values[-1].value if values else None


def _most_common(settings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The value that most runs have, by setting."""
    keys = dict.fromkeys(key for one in settings for key in one)
    counted = {key: Counter(json.dumps(one.get(key)) for one in settings) for key in keys}
    return {key: json.loads(count.most_common(1)[0][0]) for key, count in counted.items()}


def _told(settings: dict[str, Any]) -> str:
    return " ".join(
        f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in settings.items()
    )
