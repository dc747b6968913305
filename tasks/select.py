"""Samples and verdicts to gold, by the rule of the experiment's arm."""

from collections.abc import Sequence
from dataclasses import replace

from axiom.experiment import VERSIONS, iteration_folder
from axiom.experiment.ledger import Schedule
from axiom.experiment.running import Runtime
from axiom.records import Gold, Sample, Verdict
from axiom.selection.arms import ARMS, Harvest, Quota
from axiom.store import Handle, Writer
from axiom.tasks.stage import stage_task


@stage_task("select")
def select_gold(
    run: Runtime,
    samples: Handle,
    verdicts: Handle,
    earlier: Sequence[Handle],
    pool: Handle | None,
    previous: Handle | None,
    *,
    iteration: int,
) -> Handle:
    """`gold.parquet`, and `pool.parquet` in the first round of an arm that draws from a pool.

    `earlier` are the gold stages of the iterations to replay, newest first; `pool` that of the first round; `previous`
    the adapter so far, whose loss tokens count against a yoked arm's budget.
    """
    stages, config = run.experiment.stages, run.config
    arm = ARMS[config.arm]
    schedule = Schedule(run.experiment.root, config.yoke) if config.yoke else None
    spent = previous.info.get("loss_tokens_so_far", 0) if previous else 0
    quota = schedule.quota(iteration, spent) if schedule else None

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
        if quota is not None and arm.yoked:
            unmet = quota.unmet(gold)
            out.info.update(unmet=unmet, steps=quota.steps if "examples" in unmet else None)

    inputs = {"samples": samples, "verdicts": verdicts, **({"pool": pool} if pool else {})}
    yoke = {"yoke": schedule.digest, "quota": str(quota)} if schedule else {}
    return stages.run(
        "gold",
        iteration_folder(iteration),
        settings=run.experiment.settings("selection", "arm", "seed") | yoke,
        version=VERSIONS["gold"],
        inputs=inputs | {f"gold-{handle.folder}": handle for handle in earlier},
        work=work,
    )


def _harvest(
    run: Runtime,
    samples: Handle,
    verdicts: Handle,
    earlier: Sequence[Handle],
    pool: Handle | None,
    quota: Quota | None,
    iteration: int,
) -> Harvest:
    stages = run.experiment.stages
    gold = [stages.read(handle.folder, "gold", Gold) for handle in earlier]
    return Harvest(
        config=run.config,
        iteration=iteration,
        problems=run.experiment.problems_by_id,
        quota=quota,
        samples=stages.read(samples.folder, "samples", Sample),
        verdicts=stages.read(verdicts.folder, "verdicts", Verdict),
        earlier=[[row for row in rows if row.reason != "replayed"] for rows in gold],
        pool=stages.read(pool.folder, "pool", Gold) if pool else [],
        loss_tokens=lambda rows: run.learner.loss_tokens(run.examples(rows)),
    )
