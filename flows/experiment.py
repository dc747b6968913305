"""The whole experiment: problems once, then the loop, with detection and the report."""

from pathlib import Path
from typing import Any

from prefect import flow

from axiom.config import ExperimentConfig
from axiom.experiment import DEFAULT_ROOT, Experiment, iteration_folder
from axiom.learners import check
from axiom.progress import Progress, report
from axiom.runtime import Runtime, running
from axiom.store import Handle
from flows.iteration import Round, finished, iteration, recorded
from tasks.detect import detect_phases
from tasks.generate import generate
from tasks.report import write_report
from tasks.train import train


@flow(name="experiment", flow_run_name="{config.name}", persist_result=False)
def experiment(config: ExperimentConfig, root: str = DEFAULT_ROOT) -> dict[str, Any]:
    """Run, or continue from the first stage that is not done, the experiment of `config` under the folder `root`.

    Returns the experiment's name, the kind of curve and where the report lies.
    """
    check(config)
    with running(Experiment.create(root, config)) as run:
        problems = generate(run)
        state = Round(problems=problems)
        seen: dict[str, Any] = {}
        for number in range(config.iterations + 1):
            state = _advance(run, number, state, evaluated=_due(config, number), paused=_paused(config, seen))
            seen = detect_phases(run, iteration=number)
            report(Progress(number, "done", 1, 1, "", note=seen["line"]))
            _prune(run, number - 2, state.adapter)
            if config.training.patience and seen["evaluations_without_gain"] >= config.training.patience:
                report(Progress(number, "stop", 1, 1, "", note=f"no gain for {config.training.patience} evaluations"))
                break
        path = write_report(run, iteration=config.iterations)
    return {"name": config.name, "phases": seen["sentence"], "kind": seen["kind"], "report": path}


def _advance(run: Runtime, number: int, before: Round, evaluated: bool, paused: bool) -> Round:
    """The iteration's result: from the store if it is all there, else computed by a flow of its own."""
    done = finished(run, number, before, evaluated, paused)
    if done is not None:
        report(Progress(number, "iteration", 1, 1, "", reused=True, note=f"{iteration_folder(number)} is done"))
        return done
    restored = restore(run, before.adapter)
    before = before.model_copy(update={"adapter": restored})
    after = iteration(run.experiment.root, run.config.name, number, before.model_dump(mode="json"), evaluated, paused)
    return Round.model_validate(after)


def restore(run: Runtime, adapter: Handle | None) -> Handle | None:
    """The handle of an adapter whose files are there: if they were pruned or damaged, it is trained again."""
    if adapter is None or adapter.info["adapter_folder"] is None:
        return adapter
    stages, folder = run.experiment.stages, adapter.info["adapter_folder"]
    manifest = stages.manifest("adapter", folder)
    if manifest is not None and stages.intact(manifest):
        return adapter
    number = int(Path(folder).name)
    before, handles = recorded(run, number)
    return train(run, handles["gold"], restore(run, before.adapter), iteration=number, need_files=True)


def _due(config: ExperimentConfig, number: int) -> bool:
    return number % config.evaluation.every == 0 or number == config.iterations


def _paused(config: ExperimentConfig, seen: dict[str, Any]) -> bool:
    return config.training.only_if_improved and seen.get("evaluations_without_gain", 0) > 0


def _prune(run: Runtime, number: int, in_force: Handle | None) -> None:
    """Delete an adapter that is no checkpoint and no longer in force."""
    folder = iteration_folder(number)
    if number < 1 or number % run.config.checkpoint_every == 0:
        return
    if in_force is None or in_force.info["adapter_folder"] != folder:
        run.experiment.stages.prune("adapter", folder, "adapter/")
