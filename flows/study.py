"""Arms over paired seeds, each run an experiment of its own: the store makes every one of them resumable."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from axiom.config import ExperimentConfig, presets
from axiom.credentials import Plain
from axiom.experiment import DEFAULT_ROOT, Experiment, ledger
from axiom.experiment.running import handing_on
from axiom.flows.experiment import experiment
from axiom.flows.operation import OPERATION, Operation, gpu
from axiom.flows.side_by_side import (
    PAUSED,
    Result,
    refuse_unless_done,
    replays_unfinished,
    say,
    siblings,
    side_by_side,
)
from axiom.flows.workarounds.alive import witnessed
from axiom.study import load_study, plan
from axiom.study.parallel import room

STUDIES = [one.name for one in presets() if one.kind == "study"]
_CHOICES = [{"title": "Study", "type": "string", "enum": STUDIES}, {"title": "File", "type": "string"}]
StudyFile = Annotated[Plain, Field(json_schema_extra={"anyOf": _CHOICES})]
"""A file; in a form, the studies that come with axiom are choices beside it."""


@flow(name="study", flow_run_name="{path}", persist_result=False)
def study(
    path: StudyFile, root: Plain = DEFAULT_ROOT, shard: int = 0, shards: int = 1, parallel: int = 1
) -> list[dict[str, Any]]:
    """Run every arm of every seed of shard `shard` of `shards`: workers that share a store take a shard each.

    `parallel` runs go on beside each other on this machine, 0 for as many as it holds. Returns what each experiment
    returned, and what of its ledger forbids a verdict. Finished runs are reused.
    """
    with witnessed():
        return without_server(path, root, shard, shards, parallel)


def without_server(path: str, root: str, shard: int = 0, shards: int = 1, parallel: int = 1) -> list[dict[str, Any]]:
    """The same outside Prefect, for runs beside each other that are given no server."""
    config = load_study(Path(path))
    planned = [plan(config, seed) for seed in range(shard, config.seeds, shards)]  # a mistake in any stops before all
    runs = [run for seed in planned for run in seed]
    results: list[dict[str, Any]] = []
    entries: dict[str, list[ledger.Entry]] = {}

    def done(run: ExperimentConfig, result: Result) -> None:
        entries[run.name] = ledger.write(Experiment.open(root, run.name))
        found = ledger.disagreement(entries[run.yoke or run.name], entries[run.name], config.ledger_tolerance)
        results.append(result | {"ledger": found})

    # Runs in turn need no look at the machine, which would take a part of the GPU.
    machine = room(runs[0], parallel or None) if parallel != 1 and len(runs) > 1 else None
    if machine is None or machine.runs == 1:
        _in_turn(runs, root, done)
    else:
        say(f"up to {machine.runs} runs beside each other: {machine.why}")
        with gpu(runs[0], OPERATION, machine.devices):
            side_by_side(runs, root, machine, done)
    order = {run.name: place for place, run in enumerate(runs)}
    return sorted(results, key=lambda result: order[result["name"]])


def _in_turn(runs: Sequence[ExperimentConfig], root: str, done: Callable[[ExperimentConfig, Result], None]) -> None:
    left: dict[str, str] = {}
    with handing_on():
        for number, run in enumerate(runs):
            if run.yoke in left:
                left[run.name] = replays_unfinished(run.yoke)
                continue
            say(f"{run.name}, {number - len(left)} of {len(runs)} done")
            result = experiment(run, root, Operation(beside=siblings(runs, run)))
            if result["paused"]:
                left[run.name] = PAUSED
            else:
                done(run, result)
    refuse_unless_done(left, len(runs))
