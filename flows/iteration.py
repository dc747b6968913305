"""One round: sample, verify, select, train, evaluate, measure. Iteration 0 only measures the base model."""

import asyncio
from collections.abc import Callable
from typing import Any

from prefect import flow, tags
from prefect.context import FlowRunContext, TagsContext
from prefect.runtime import flow_run
from pydantic import BaseModel

from axiom.errors import DataError
from axiom.experiment import VERSIONS, iteration_folder
from axiom.experiment.running import Runtime
from axiom.flows.workarounds.alive import undisturbed
from axiom.flows.workarounds.numbering import number_anew
from axiom.records import Purpose
from axiom.selection.arms import ARMS
from axiom.selection.curriculum import Course
from axiom.selection.foothold import on
from axiom.store import Handle, Writer
from axiom.tasks.course import course
from axiom.tasks.evaluate import count_diversity, distance_measured, evaluate_policy, measure_distance
from axiom.tasks.measure import measure
from axiom.tasks.remember import remember
from axiom.tasks.replay import Old, keep_gold
from axiom.tasks.sample import evaluation_drawn, sample
from axiom.tasks.select import note_passed_over, select_gold
from axiom.tasks.train import train
from axiom.tasks.verify import verify


class Round(BaseModel, frozen=True):
    """What the next iteration needs of the last: handles, no data."""

    problems: Handle
    adapter: Handle | None = None
    metrics: Handle | None = None
    history: Handle | None = None
    """What is known of each training problem."""
    evaluation: Handle | None = None
    """The last iteration's, which that history could not know yet."""
    buffer: Handle | None = None
    """Old gold that may be replayed; none where the run replays nothing."""
    pool: Handle | None = None
    """The first round's gold stage, for an arm that draws from a pool."""


def run_iteration(
    run: Runtime, number: int, before: Round, evaluated: bool, paused: bool, began: Callable[[str], None]
) -> Round:
    """Run or reuse every stage of iteration `number` in a flow run of its own; returns what the next needs.

    `evaluated` says whether the policy is measured, `paused` whether training rests. What the iteration begins and ends
    with stays out of Prefect's database. Outside a flow there is no flow run to make.
    """
    if FlowRunContext.get() is None:
        return run_stages(run, number, before, evaluated, paused)
    after = before

    # Asynchronous only because Prefect ends a synchronous subflow by waiting up to a second for its heartbeat's thread.
    @flow(
        name="iteration", flow_run_name="{name} · iteration {number}", persist_result=False, validate_parameters=False
    )
    async def iteration(name: str, number: int, evaluated: bool, paused: bool) -> None:
        nonlocal after
        # Its tags are not its tasks': Prefect would ask the server for a concurrency slot of each before a task begins.
        # The stages tag themselves once they run.
        began(str(flow_run.id))
        with TagsContext(current_tags=set()):
            after = run_stages(run, number, before, evaluated, paused)

    number_anew(iteration)
    # Not asyncio.run, which would hold back a keyboard interrupt until the next await, and stages have none.
    loop = asyncio.new_event_loop()
    try:
        with tags(run.config.name, run.config.arm), undisturbed():
            loop.run_until_complete(iteration(run.config.name, number, evaluated, paused))
        return after
    finally:
        loop.close()


def run_stages(run: Runtime, number: int, before: Round, evaluated: bool, paused: bool) -> Round:
    """The stages in their order, then the record that all of them are done."""
    handles: dict[str, Handle] = {}
    adapter, pool, history, buffer = before.adapter, before.pool, before.history, None
    if number > 0:
        level = course(run, before.history, number)
        drawn = handles["samples"], handles["verdicts"] = _drawn(run, before, adapter, "train", number, level)
        history = handles["history"] = remember(
            run, before.problems, *drawn, before.history, before.evaluation, level, iteration=number
        )
        if drawn[0].rows["samples"] and run.config.model.kind == "language":
            handles["diversity"] = count_diversity(run, before.problems, *drawn, iteration=number)
        old = _old_gold(run, number, before)
        handles["gold"] = select_gold(run, *drawn, history, old, pool, adapter, level, iteration=number)
        handles["passed_over"] = note_passed_over(run, *drawn, history, handles["gold"], iteration=number)
        if _replays(run):
            kept = Old(old.buffer, (*old.gold, handles["gold"]))
            buffer = handles["buffer"] = keep_gold(run, history, kept, iteration=number)
        if ARMS[run.config.arm].pool is not None:
            pool = pool or handles["gold"]
        adapter = handles["adapter"] = _policy(run, before, handles["gold"], number, evaluated, paused)
    if evaluated:
        samples, verdicts = _drawn(run, before, adapter, "eval", number)
        handles["eval_samples"], handles["eval_verdicts"] = samples, verdicts
        handles["evaluation"] = evaluate_policy(run, before.problems, samples, verdicts, iteration=number)
        if _has_distance(run, number, adapter):
            handles["distance"] = measure_distance(run, before.problems, samples, adapter, iteration=number)
    metrics = measure(run, handles, before.metrics, iteration=number)
    after = Round(
        problems=before.problems,
        adapter=adapter,
        metrics=metrics,
        history=history,
        evaluation=handles.get("evaluation"),
        buffer=buffer,
        pool=pool,
    )
    _record(run, number, before, after, handles | {"metrics": metrics}, evaluated, paused)
    return after


def _replays(run: Runtime) -> bool:
    """Whether rounds take old gold; an arm with a pool draws from that alone."""
    return run.config.replay.on and ARMS[run.config.arm].pool is None


def _old_gold(run: Runtime, number: int, before: Round) -> Old:
    """What the round may replay. A fork whose parent kept no buffer begins with the gold of the shared iterations."""
    if not _replays(run):
        return Old()
    if before.buffer is not None:
        return Old(before.buffer)
    return Old(None, [recorded(run, earlier)[1]["gold"] for earlier in range(1, number)])


def _drawn(
    run: Runtime, before: Round, policy: Handle | None, purpose: Purpose, number: int, level: Course | None = None
) -> tuple[Handle, Handle]:
    """Samples and their verdicts: two stages, of which the second begins while the first goes on."""
    with run.streaming(purpose) as stream:
        samples = sample(run, before.problems, policy, purpose, stream, before.history, level, iteration=number)
        return samples, verify(run, before.problems, samples, purpose, stream, iteration=number)


def _policy(run: Runtime, before: Round, gold: Handle, number: int, evaluated: bool, paused: bool) -> Handle:
    """The iteration's adapter; one that is done and was pruned is trained again only if it is to be evaluated."""
    adapter = train(run, gold, before.adapter, iteration=number, paused=paused, files=False)
    manifest = run.experiment.stages.manifest("adapter", iteration_folder(number))
    if not evaluated or not (manifest and manifest.pruned):
        return adapter
    samples = evaluation_drawn(run, before.problems, adapter, number)
    if samples and not _has_distance(run, number, adapter):
        return adapter
    if samples and distance_measured(run, before.problems, samples, adapter, number):
        return adapter
    return train(run, gold, before.adapter, iteration=number, paused=paused)


def _has_distance(run: Runtime, number: int, adapter: Handle | None) -> bool:
    """Whether the policy's distance from the base model is measured.

    It is not where an earlier version finished the iteration and the adapter was pruned since.
    """
    if not run.config.diagnostics.distance_problems:
        return False
    stages, source = run.experiment.stages, adapter.info.get("adapter_folder") if adapter else None
    weights, done = (
        stages.manifest("adapter", source) if source else None,
        stages.manifest("iteration", iteration_folder(number)),
    )
    return not (weights and weights.pruned and done and "distance" not in done.info["stages"])


def finished(run: Runtime, number: int, before: Round, evaluated: bool, paused: bool) -> Round | None:
    """What the iteration left, if every stage of it is done and undamaged, else None."""
    stages, inherited = run.experiment.stages, number < run.experiment.inherited
    done = stages.manifest("iteration", iteration_folder(number))
    if not inherited and not stages.find("iteration", **_identity(run, number, before, evaluated, paused)):
        return None
    manifests = [stages.manifest(stage, iteration_folder(number)) for stage in (done.info["stages"] if done else ())]
    if done and all(manifest and stages.intact(manifest, need_files=False) for manifest in manifests):
        return Round.model_validate(done.info["after"])
    if inherited:
        raise DataError(f"{iteration_folder(number)} was taken over from another experiment and is damaged; fork again")
    return None


def recorded(run: Runtime, number: int) -> tuple[Round, dict[str, Handle]]:
    """What a finished iteration began with, and its stages by name."""
    manifest = run.experiment.stages.manifest("iteration", iteration_folder(number))
    assert manifest is not None, f"iteration {number} is not finished"
    handles = {name: Handle.model_validate(value) for name, value in manifest.info["stages"].items()}
    return Round.model_validate(manifest.info["before"]), handles


def _record(
    run: Runtime, number: int, before: Round, after: Round, handles: dict[str, Handle], evaluated: bool, paused: bool
) -> None:
    def work(out: Writer) -> None:
        stages = {name: handle.model_dump(mode="json") for name, handle in handles.items()}
        out.info.update(stages=stages, before=before.model_dump(mode="json"), after=after.model_dump(mode="json"))

    run.experiment.stages.run("iteration", **_identity(run, number, before, evaluated, paused), work=work)


def _identity(run: Runtime, number: int, before: Round, evaluated: bool, paused: bool) -> dict[str, Any]:
    sections = ["seed", "arm", "yoke", "model", "modular", "sampling", "sandbox", "selection", "replay", "curriculum"]
    sections += ["training", "evaluation", "diagnostics", *(["foothold"] if on(run.config.foothold) else [])]
    names = ("problems", "adapter", "metrics", "history", "evaluation", "buffer", "pool")
    inputs = {name: handle for name in names if (handle := getattr(before, name)) is not None}
    return {
        "folder": iteration_folder(number),
        "settings": {**run.experiment.settings(*sections), "evaluated": evaluated, "paused": paused},
        "version": str(VERSIONS),
        "inputs": inputs,
    }
