"""Samples and verdicts to gold, by the rule of the experiment's arm."""

from dataclasses import replace

from axiom.experiment import VERSIONS, iteration_folder
from axiom.experiment.ledger import Schedule
from axiom.experiment.running import Runtime
from axiom.records import Gold, History, PassedOver, Sample, Verdict
from axiom.selection.arms import ARMS, Harvest, Quota
from axiom.selection.checks import goes_by_history
from axiom.selection.passed_over import passed_over
from axiom.selection.weights import weighted
from axiom.store import Handle, Writer
from axiom.tasks.replay import Old
from axiom.tasks.stage import light_stage, stage_task
from axiom.verification.behaviour import behaviour


@stage_task("select")
def select_gold(
    run: Runtime,
    samples: Handle,
    verdicts: Handle,
    history: Handle,
    old: Old,
    pool: Handle | None,
    previous: Handle | None,
    *,
    iteration: int,
) -> Handle:
    """`gold.parquet`, and `pool.parquet` in the first round of an arm that draws from a pool.

    `history` is what is known of each training problem, this round included. `old` is what replay may
    take; `pool` the gold stage of the first round; `previous` the adapter so far, whose loss tokens count against a
    yoked arm's budget. Less gold than `selection.min_gold` is noted as too little to train on, unless
    the run is yoked and trains when its expert did.
    """
    stages, config = run.experiment.stages, run.config
    arm = ARMS[config.arm]
    schedule = Schedule(run.experiment.root, config.yoke) if config.yoke else None
    spent = previous.info.get("loss_tokens_so_far", 0) if previous else 0
    quota = schedule.quota(iteration, spent) if schedule else None

    def work(out: Writer) -> None:
        harvest = replace(
            _harvest(run, samples, verdicts, history, old, pool, quota, iteration),
            logprobs=lambda rows: run.learner.logprobs(run.examples(rows), run.policy(previous)),
        )
        if arm.pool is not None and pool is None:
            expert = schedule.final_gold(config.iterations) if schedule else []
            harvest = replace(harvest, pool=arm.pool(harvest, expert))
            out.table("pool", harvest.pool, Gold)
        gold = weighted(arm.select(harvest), config.selection, harvest.problems, harvest.known.rates)
        out.table("gold", gold, Gold)
        fresh = [row for row in gold if row.reason != "replayed"]
        out.info.update(fresh=len(fresh), problems=len({row.problem_id for row in fresh}))
        ages = [iteration - row.iteration for row in gold if row.reason == "replayed"]
        out.info.update(staleness=sum(ages) / len(ages) if ages else None)
        data = bool(harvest.samples or harvest.pool)  # which an arm that never trains has none of
        if quota is None and data and len(gold) < config.selection.min_gold:
            out.info.update(too_few=config.selection.min_gold)
        if quota is not None and arm.yoked:
            unmet = quota.unmet(gold)
            out.info.update(unmet=unmet, steps=quota.steps if "examples" in unmet else None)

    inputs = {"samples": samples, "verdicts": verdicts, **({"pool": pool} if pool else {})}
    if goes_by_history(config):
        inputs["history"] = history
    yoke = {"yoke": schedule.digest, "quota": str(quota)} if schedule else {}
    return stages.run(
        "gold",
        iteration_folder(iteration),
        settings=run.experiment.settings("selection", "replay", "arm", "seed") | yoke,
        version=VERSIONS["gold"],
        inputs=inputs | old.inputs,
        work=work,
    )


def _harvest(
    run: Runtime,
    samples: Handle,
    verdicts: Handle,
    history: Handle,
    old: Old,
    pool: Handle | None,
    quota: Quota | None,
    iteration: int,
) -> Harvest:
    stages = run.experiment.stages
    known = stages.read(history.folder, "history", History) if goes_by_history(run.config) else []
    return Harvest(
        config=run.config,
        iteration=iteration,
        problems=run.experiment.problems_by_id,
        quota=quota,
        samples=stages.read(samples.folder, "samples", Sample),
        verdicts=stages.read(verdicts.folder, "verdicts", Verdict),
        buffer=old.rows(run, known),
        pool=stages.read(pool.folder, "pool", Gold) if pool else [],
        history=known,
        behaviour=lambda samples: behaviour(run.experiment.problems_by_id, samples, run.verifier),
        loss_tokens=lambda rows: run.learner.loss_tokens(run.examples(rows)),
    )


@light_stage("passed over")
def note_passed_over(run: Runtime, samples: Handle, verdicts: Handle, gold: Handle, *, iteration: int) -> Handle:
    """`passed_over.parquet`: the accepted samples of the round that are no gold, and why."""
    stages, config = run.experiment.stages, run.config

    def work(out: Writer) -> None:
        rows = passed_over(
            stages.read(samples.folder, "samples", Sample),
            stages.read(verdicts.folder, "verdicts", Verdict),
            stages.read(gold.folder, "gold", Gold),
            config.selection,
            run.experiment.problems_by_id,
        )
        out.table("passed_over", rows, PassedOver)

    return stages.run(
        "passed_over",
        iteration_folder(iteration),
        settings=run.experiment.settings("selection"),
        version=VERSIONS["passed_over"],
        inputs={"samples": samples, "verdicts": verdicts, "gold": gold},
        work=work,
    )
