"""Arms over paired seeds, each run an experiment of its own: the store makes every one of them resumable."""

from pathlib import Path
from typing import Any

from prefect import flow

from axiom.credentials import Plain
from axiom.experiment import DEFAULT_ROOT, Experiment, ledger
from axiom.experiment.running import handing_on
from axiom.flows.experiment import experiment
from axiom.progress import Progress, report
from axiom.study import load_study, plan


@flow(name="study", flow_run_name="{path}", persist_result=False)
def study(path: Plain, root: Plain = DEFAULT_ROOT, shard: int = 0, shards: int = 1) -> list[dict[str, Any]]:
    """Run every arm of every seed of shard `shard` of `shards`: workers that share a store take a shard each.

    Returns what each experiment returned, and what of its ledger forbids a verdict. Finished runs are reused.
    """
    config = load_study(Path(path))
    planned = [plan(config, seed) for seed in range(shard, config.seeds, shards)]  # a mistake in any stops before all
    results = []
    with handing_on():
        for number, runs in enumerate(planned):
            entries: dict[str, list[ledger.Entry]] = {}
            for run in runs:
                report(Progress(number, run.name, number, len(planned), "seeds"))
                result = experiment(run, root)
                entries[run.arm] = ledger.write(Experiment.open(root, run.name))
                against = entries["expert_iteration"] if run.yoke else entries[run.arm]
                found = ledger.disagreement(against, entries[run.arm], config.ledger_tolerance)
                results.append(result | {"ledger": found})
    return results
