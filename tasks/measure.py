"""What an iteration did and how good its policy is, as metrics."""

from axiom.evaluation import (
    Counters,
    accuracy_metrics,
    count_metrics,
    forgetting_metrics,
    group_metrics,
    mismatch_metrics,
    outcome_metrics,
)
from axiom.evaluation.distance import distance_metrics
from axiom.evaluation.diversity import diversity_metrics
from axiom.experiment.running import Runtime
from axiom.records import Distance, Diversity, Evaluation, History, Metric, Sample, Verdict
from axiom.sampling.mismatch import Mismatch
from axiom.selection import accepted
from axiom.selection.history import after_evaluation
from axiom.store import Handle, Writer
from axiom.tasks.stage import stage_task


@stage_task("measure")
def measure(run: Runtime, handles: dict[str, Handle], before: Handle | None, *, iteration: int) -> Handle:
    """`metrics.parquet` of the iteration. `handles` are its stages by name, `before` the previous one's metrics."""
    stages, config = run.experiment.stages, run.config.evaluation

    def work(out: Writer) -> None:
        counters = _count(handles, before)
        rows: list[Metric] = []
        evaluations: list[Evaluation] = []
        if "evaluation" in handles:
            evaluations = stages.read(handles["evaluation"].folder, "evaluation", Evaluation)
            rows += accuracy_metrics(evaluations, iteration, counters, config)
        if "samples" in handles:
            folder = handles["samples"].folder
            samples = stages.rows(folder, "samples", Sample)
            verdicts = stages.rows(folder, "verdicts", Verdict)
            rows += outcome_metrics(samples, verdicts, iteration, counters, config.confidence)
            figures = _figures(handles)
            if samples:
                figures["solved"] = len({sample.problem_id for sample in accepted(samples, verdicts)})
                rows += group_metrics(samples, verdicts, iteration, counters)
            rows += count_metrics(figures, iteration, counters)
            history = after_evaluation(stages.read(folder, "history", History), evaluations, iteration)
            rows += forgetting_metrics(history, iteration, counters, config.confidence)
        if "distance" in handles:
            far = stages.read(handles["distance"].folder, "distance", Distance)
            rows += distance_metrics(far, iteration, counters, config.confidence)
        if "diversity" in handles:
            different = stages.read(handles["diversity"].folder, "diversity", Diversity)
            rows += diversity_metrics(different, iteration, counters)
        rows += mismatch_metrics(_mismatches(handles), iteration, counters)
        out.table("metrics", rows, Metric)
        out.info["counters"] = vars(counters)

    inputs = {**handles, "before": before}
    return run.experiment.stage("metrics", iteration, work, inputs, run.experiment.settings("evaluation"))


def _count(handles: dict[str, Handle], before: Handle | None) -> Counters:
    past = Counters.read(before.info["counters"]) if before else Counters()
    if "adapter" not in handles:
        return past
    adapter, samples = handles["adapter"].info, handles["samples"].info
    return Counters(
        optimizer_step=adapter["step"],
        trained_tokens=past.trained_tokens + adapter["tokens"],
        generated_tokens=past.generated_tokens + samples["tokens"],
        wall_seconds=round(past.wall_seconds + adapter["seconds"] + samples["seconds"], 3),
    )


def _mismatches(handles: dict[str, Handle]) -> list[Mismatch]:
    """Those of the iteration's samplings; samples of earlier versions have none."""
    found = [handles[name].info.get("mismatch") for name in ("samples", "eval_samples") if name in handles]
    return [Mismatch(**one) for one in found if one]


def _figures(handles: dict[str, Handle]) -> dict[str, float]:
    gold, adapter, samples = (handles[name].info for name in ("gold", "adapter", "samples"))
    figures = {
        "gold": handles["gold"].rows["gold"],
        "gold_fresh": gold["fresh"],
        "dropped": adapter["dropped"],
        "sampling_tokens_per_second": samples["tokens"] / max(samples["seconds"], 1e-9),
    }
    if gold.get("staleness") is not None:
        figures["replayed"] = handles["gold"].rows["gold"] - gold["fresh"]
        figures["replay_staleness"] = gold["staleness"]
    if handles["history"].info.get("level") is not None:
        figures["level"] = handles["history"].info["level"]
    if "too_few" in gold:
        figures["gold_too_few"] = gold["too_few"]
    return figures | ({"loss": adapter["loss"]} if adapter["examples"] else {})
