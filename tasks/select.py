"""Samples and verdicts to gold, by the rule of the experiment's arm."""

from collections.abc import Sequence
from dataclasses import replace

from axiom.arms import ARMS, Harvest, Quota
from axiom.experiment import VERSIONS, iteration_folder
from axiom.ledger import Schedule
from axiom.records import Gold, Sample, Verdict
from axiom.runtime import Runtime
from axiom.store import Handle, Writer
from tasks.stage import stage_task


@stage_task("select")
def select_gold(
    run: Runtime, samples: Handle, verdicts: Handle, earlier: Sequence[Handle], pool: Handle | None, *, iteration: int
) -> Handle:
    """`gold.parquet`, and `pool.parquet` in the first round of an arm that draws from a pool.

    `earlier` are the gold stages of the iterations to replay, newest first; `pool` that of the first round.
    """
    stages, config = run.experiment.stages, run.config
    arm = ARMS[config.arm]
    schedule = Schedule(run.experiment.root, config.yoke) if config.yoke else None
    quota = schedule.quota(iteration) if schedule else None

    def work(out: Writer) -> None:
        harvest = _harvest(run, samples, verdicts, earlier, pool, quota, iteration)
        if arm.pool is not None and pool is None:
            expert = schedule.final_gold(config.iterations) if schedule else []
            harvest = replace(harvest, pool=arm.pool(harvest, expert))
            out.table("pool", harvest.pool, Gold)
        gold = arm.select(harvest)
        out.table("gold", gold, Gold)
        fresh = [row for row in gold if row.reason != "replayed"]
        out.info.update(fresh=len(fresh), problems=len({row.problem_id for row in fresh}))

    inputs = {"samples": samples, "verdicts": verdicts, **({"pool": pool} if pool else {})}
    yoke = {"yoke": schedule.digest, "quota": str(quota)} if schedule else {}
    return stages.run(
        "gold", iteration_folder(iteration), settings=run.experiment.settings("selection", "arm", "seed") | yoke,
        version=VERSIONS["gold"], inputs=inputs | {f"gold-{handle.folder}": handle for handle in earlier}, work=work,
    )  # fmt: skip


def _harvest(
    run: Runtime, samples: Handle, verdicts: Handle, earlier: Sequence[Handle], pool: Handle | None,
    quota: Quota | None, iteration: int,
) -> Harvest:  # fmt: skip
    stages = run.experiment.stages
    gold = [stages.read(handle.folder, "gold", Gold) for handle in earlier]
    return Harvest(
        config=run.config, iteration=iteration, problems=run.experiment.problems_by_id, quota=quota,
        samples=stages.read(samples.folder, "samples", Sample),
        verdicts=stages.read(verdicts.folder, "verdicts", Verdict),
        earlier=[[row for row in rows if row.reason != "replayed"] for rows in gold],
        pool=stages.read(pool.folder, "pool", Gold) if pool else [],
    )  # fmt: skip
