"""Gold to the next adapter."""

from typing import Any

from axiom.experiment import iteration_folder
from axiom.experiment.ledger import Schedule
from axiom.experiment.running import Runtime
from axiom.progress import Meter, Progress, doing, report
from axiom.records import Gold, LossStep
from axiom.seeds import derive
from axiom.selection.arm import never
from axiom.selection.arms import ARMS
from axiom.store import Handle, Writer
from axiom.tasks.stage import stage_task
from axiom.training import Round


@stage_task("train")
def train(
    run: Runtime,
    gold: Handle,
    previous: Handle | None,
    *,
    iteration: int,
    paused: bool = False,
    files: bool = True,
) -> Handle:
    """`adapter/` and `losses.parquet`. What of the gold is too long is dropped and counted.

    Without gold, or with less than `selection.min_gold`, or when `paused`, the policy stays the previous one.

    Without `files`, a finished stage will do whose adapter was pruned since.
    """
    experiment = run.experiment
    before: dict[str, Any] = previous.info if previous else {"adapter_folder": None, "step": 0}
    steps, paused = gold.info.get("steps"), paused or "too_few" in gold.info

    def work(out: Writer) -> None:
        rows = [] if paused else experiment.stages.read(gold.folder, "gold", Gold)
        examples = run.examples(rows)
        lengths = run.learner.loss_tokens(examples) if examples else []
        fitting = [example for example, length in zip(examples, lengths, strict=True) if length]
        trained = {row.problem_id for row, length in zip(rows, lengths, strict=True) if length}
        losses: list[LossStep] = []
        if examples:
            doing("loading the model to train")
            meter = Meter(iteration, "train", len(fitting) * run.config.training.epochs, "examples")
            this = Round(
                run.policy(previous),
                out.directory("adapter"),
                derive(run.config.seed, "train", iteration) % 2**31,
                iteration,
                before["step"],
                steps,
                lambda step: meter.step(step.examples, step.tokens),
            )
            losses = run.learner.train(fitting or examples, this)
        out.table("losses", losses, LossStep)
        out.info.update(
            adapter_folder=iteration_folder(iteration) if examples else before["adapter_folder"],
            step=losses[-1].step if losses else before["step"],
            tokens=sum(step.tokens for step in losses),
            loss_tokens=(loss_tokens := sum(step.loss_tokens for step in losses)),
            loss_tokens_so_far=before.get("loss_tokens_so_far", 0) + loss_tokens,
            examples=len(fitting),
            dropped=len(examples) - len(fitting),
            problems=len(trained),
            longest=max(lengths, default=0),
            passes=sum(step.examples for step in losses) // max(1, len(fitting)),
            loss=sum(s.loss * s.loss_tokens for s in losses) / max(1, sum(s.loss_tokens for s in losses)),
        )

    settings = experiment.settings("seed", "model", "prompts", "training", "modular")
    settings |= {"paused": paused, "steps": steps}
    inputs = {"gold": gold, "previous": previous}
    with run.fresh_engine_on_failure():
        handle = experiment.stage("adapter", iteration, work, inputs, settings, need_files=files)
    why = _untrained(run, gold, handle, paused, iteration)
    if why:
        note = f"iteration {iteration} trained on nothing: {why}; the policy stays as it was"
        report(Progress(iteration, "warning", 1, 1, "", note=note))
    return handle


def _untrained(run: Runtime, gold: Handle, adapter: Handle, paused: bool, iteration: int) -> str | None:
    """Why a round trained on nothing; None where it trained, or belongs to an arm that never does."""
    config, rows = run.config, gold.rows["gold"]
    arm = ARMS[config.arm]
    if adapter.info["examples"] or (arm.draws is never and arm.pool is None):
        return None
    if "too_few" in gold.info:
        return f"{rows} programs are fewer than selection.min_gold = {gold.info['too_few']}"
    if paused:
        return "validation accuracy did not rise, and training.only_if_improved is set"
    if rows:
        return f"all {rows} programs are longer than training.max_length = {config.training.max_length} tokens"
    if config.yoke and arm.yoked and not Schedule(run.experiment.root, config.yoke).quota(iteration, 0).examples:
        return f"the expert run {config.yoke!r} trained on nothing in this iteration"
    return "no program was accepted"
