"""`--dry-run`: what a run or a study would compute and reuse, and the time and memory to expect."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from axiom.cli import tables
from axiom.cli.app import console, say
from axiom.cli.display import duration

if TYPE_CHECKING:
    from axiom.config import ExperimentConfig
    from axiom.experiment.estimate import Estimate

MOST_ROWS = 40


def show_plan(config: "ExperimentConfig", root: str, as_json: bool, shared: int = 0) -> None:
    """Of one run, checked as it is before it starts, or of a fork with its shared iterations; nothing is written."""
    from axiom.experiment.estimate import estimate, resolved
    from axiom.experiment.gate import admit

    admit(root, config)
    found = estimate(root, config, shared)
    if as_json:
        tables.as_json({"estimate": found, "config": config})
        return
    print(resolved(config))
    work, last = found.work, config.iterations
    each = config.evaluation.every
    said = [
        f"experiment  {found.name} under {root}: {found.state}",
        f"reused      {work.reused} iterations",
        f"computed    {work.iterations} of {last + 1} iterations, iteration 0 being the base model's evaluation",
        f"sampled     {work.draws:,} completions to train on",
        f"evaluated   {work.evaluated:,} completions, every {f'{each} iterations' if each > 1 else 'iteration'}",
        f"time        {duration(found.seconds)}, from {found.source}",
        f"memory      {found.memory}",
    ]
    for line in said:
        say(line)


def show_study(configs: "Sequence[ExperimentConfig]", root: str, as_json: bool) -> None:
    """Of the runs of a study or of a shard of it, one after the other."""
    from axiom.experiment.estimate import estimate, in_turn

    found = [estimate(root, config) for config in configs]
    if as_json:
        tables.as_json({"runs": found, "seconds": in_turn(found), "config": next(iter(configs), None)})
        return
    rows = [_row(one) for one in found]
    tables.show(console, "Runs", ["run", "state", "to compute", "time"], rows[:MOST_ROWS])
    if len(rows) > MOST_ROWS:
        console.print(f"... {len(rows) - MOST_ROWS} more; --json prints all of them", style="dim")
    finished = sum(one.work.iterations == 0 for one in found)
    said = [
        f"{len(found)} runs, {finished} of them finished",
        f"time        {duration(in_turn(found))} one after the other; --parallel runs some of them beside each other",
        *dict.fromkeys(f"            from {one.source}" for one in found if one.work.iterations),
        *(f"memory      {one.memory}, for each run" for one in found[:1]),
    ]
    for line in said:
        say(line)


def _row(one: "Estimate") -> list[str]:
    return [one.name, one.state, f"{one.work.iterations} iterations", duration(one.seconds)]
