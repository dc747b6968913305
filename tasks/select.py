"""Samples and verdicts to gold, by the rule of the experiment's arm."""

from dataclasses import replace
from typing import Any

from axiom.experiment.ledger import Schedule
from axiom.experiment.running import Runtime
from axiom.records import Gold, History, PassedOver, Sample, Verdict
from axiom.selection.arms import ARMS, Harvest, Quota
from axiom.selection.checks import goes_by_history
from axiom.selection.curriculum import Course, out_of_pace, within, without
from axiom.selection.foothold import on
from axiom.selection.passed_over import each_passed_over
from axiom.selection.weights import weighted
from axiom.store import Handle, Writer, hash_json
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
    course: Course | None = None,
    *,
    iteration: int,
) -> Handle:
    """`gold.parquet`, and `pool.parquet` in the first round of an arm that draws from a pool.

    `history` is what is known of each training problem, this round included. `old` is what replay may take; `pool` the
    gold stage of the first round; `previous` the adapter so far, whose loss tokens count against a yoked arm's budget;
    `course` the level in force, whose problems alone a pool arm trains on. Less gold than `selection.min_gold` is noted
    as too little to train on, unless the run is yoked and trains when its expert did.
    """
    config = run.config
    arm = ARMS[config.arm]
    schedule = Schedule(run.experiment.root, config.yoke) if config.yoke else None
    spent = previous.info.get("loss_tokens_so_far", 0) if previous else 0
    quota = schedule.quota(iteration, spent) if schedule else None

    def work(out: Writer) -> None:
        harvest = _harvest(run, samples, verdicts, history, old, pool, previous, course, quota, iteration)
        if arm.pool is not None and pool is None:
            expert = schedule.final_gold(config.iterations) if schedule and arm.whole else []
            harvest = replace(harvest, pool=arm.pool(harvest, expert))
            out.table("pool", harvest.pool, Gold)
        harvest = replace(harvest, pool=within(harvest.pool, course))
        gold = weighted(arm.select(harvest), config.selection, harvest.problems, harvest.known.rates)
        out.table("gold", gold, Gold)
        fresh = [row for row in gold if row.reason != "replayed"]
        out.info.update(fresh=len(fresh), problems=len({row.problem_id for row in fresh}))
        ages = [iteration - row.iteration for row in gold if row.reason == "replayed"]
        out.info.update(staleness=sum(ages) / len(ages) if ages else None)
        data = bool(samples.rows["samples"] or harvest.pool)  # which an arm that never trains has none of
        if quota is None and data and len(gold) < config.selection.min_gold:
            out.info.update(too_few=config.selection.min_gold)
        if quota is not None and arm.yoked:
            unmet = quota.unmet(gold)
            out.info.update(unmet=unmet, steps=quota.steps if "examples" in unmet else None)

    inputs = {"samples": samples, "verdicts": verdicts, "pool": pool, **old.inputs}
    level: dict[str, Any] = {"level": course.level, "active": hash_json(sorted(course.problems))} if course else {}
    if config.curriculum.kind == "self_paced":
        level = run.experiment.settings("curriculum")
    if goes_by_history(config):
        inputs["history"] = history
    foothold = ["foothold"] if on(config.foothold) else []
    yoke = {"quota": str(quota)} if schedule else {}
    if schedule and arm.whole:
        yoke["yoke"] = schedule.digest
    settings = run.experiment.settings("selection", "replay", "arm", "seed", *foothold) | yoke | level
    version = "gold_weighted_or_helped" if foothold or config.selection.weight != "equal" else "gold"
    return run.experiment.stage("gold", iteration, work, inputs, settings, version)


def _harvest(
    run: Runtime,
    samples: Handle,
    verdicts: Handle,
    history: Handle,
    old: Old,
    pool: Handle | None,
    previous: Handle | None,
    course: Course | None,
    quota: Quota | None,
    iteration: int,
) -> Harvest:
    stages = run.experiment.stages
    known = stages.read(history.folder, "history", History) if goes_by_history(run.config) else []
    drawn = stages.rows(samples.folder, "samples", Sample)
    return Harvest(
        config=run.config,
        iteration=iteration,
        problems=run.experiment.problems_by_id,
        quota=quota,
        samples=drawn if quota else without(drawn, out_of_pace(run.config.curriculum, known)),
        verdicts=stages.rows(verdicts.folder, "verdicts", Verdict),
        buffer=old.rows(run, known),
        pool=stages.read(pool.folder, "pool", Gold) if pool else [],
        history=known,
        behaviour=lambda samples: behaviour(run.experiment.problems_by_id, samples, run.verifier),
        loss_tokens=lambda rows: run.learner.loss_tokens(run.examples(rows)),
        logprobs=lambda rows: run.learner.logprobs(run.examples(rows), run.policy(previous)),
        judge=lambda rows: list(run.judge(rows, "train")),
        active=course.problems if course else None,
    )


@light_stage("passed over")
def note_passed_over(
    run: Runtime, samples: Handle, verdicts: Handle, history: Handle, gold: Handle, *, iteration: int
) -> Handle:
    """`passed_over.parquet`: the accepted samples of the round that are no gold, and why."""
    stages, config = run.experiment.stages, run.config
    paced = config.curriculum.kind == "self_paced" and not config.yoke

    def work(out: Writer) -> None:
        known = stages.read(history.folder, "history", History) if paced else []
        rows = each_passed_over(
            stages.rows(samples.folder, "samples", Sample),
            stages.rows(verdicts.folder, "verdicts", Verdict),
            stages.read(gold.folder, "gold", Gold),
            config.selection,
            run.experiment.problems_by_id,
            out_of_pace(config.curriculum, known),
            ARMS[config.arm].by_selection,
        )
        out.table("passed_over", rows, PassedOver)

    settings = run.experiment.settings("arm", "selection", *(["curriculum"] if paced else []))
    inputs = {"samples": samples, "verdicts": verdicts, "gold": gold, "history": history if paced else None}
    return run.experiment.stage("passed_over", iteration, work, inputs, settings)
