"""The whole experiment: problems once, then the loop, with detection and the report."""

from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.runtime import flow_run
from prefect.states import Completed

from axiom.config import ExperimentConfig, checked
from axiom.credentials import Plain
from axiom.environment import imported
from axiom.experiment import DEFAULT_ROOT, Experiment, iteration_folder
from axiom.experiment.gate import admit
from axiom.experiment.naming import settled
from axiom.experiment.running import Runtime
from axiom.experiment.tracked import Tracking
from axiom.flows.iteration import Round, finished, recorded, run_iteration
from axiom.flows.operation import OPERATION, Operation, announce, following, holding, pause, pause_asked
from axiom.flows.pages import Pages
from axiom.flows.turn import turn
from axiom.flows.workarounds.alive import end_if_suspended, reclaim, witnessed
from axiom.flows.workarounds.outage import patiently
from axiom.learners.unread import ignored
from axiom.progress import Pace, Progress, report
from axiom.store import Handle
from axiom.tasks.detect import detect_phases
from axiom.tasks.generate import generate
from axiom.tasks.report import write_report
from axiom.tasks.spans import span
from axiom.tasks.train import train


def run_name() -> str:
    """The experiment's name, or what a form that is about to be refused has there."""
    config = flow_run.parameters.get("config")
    name = config.get("name") if isinstance(config, dict) else getattr(config, "name", None)
    return str(name or ExperimentConfig.model_fields["name"].default)[:100]


# Parameters are validated by the gate and not by Prefect, whose message would be a page.
@flow(name="experiment", flow_run_name=run_name, persist_result=False, validate_parameters=False)
def experiment(
    config: ExperimentConfig, root: Plain = DEFAULT_ROOT, operation: Operation = OPERATION
) -> dict[str, Any]:
    """Run, or continue from the first stage that is not done, one experiment.

    Args:
        config: The whole experiment; sections that are left out have their defaults.
        root: Folder or fsspec URL that holds the experiments; a relative one begins at the worker's working directory.
        operation: How the run behaves beside others.

    Returns:
        The experiment's name, the kind of curve, where the report lies, and whether it was paused.

    """
    given, behaviour = checked(ExperimentConfig, config), checked(Operation, operation)
    admitted = begun(given, root)
    with witnessed(), following(admitted.config), holding(admitted, behaviour) as run:
        before = admitted.finished()
        result = _complete(run, Pages(run.experiment))
        if len(before) <= admitted.config.iterations or admitted.finished() != before:
            return result
        again = "a name with {date} or {n} makes each run of a schedule a new experiment"
        message = f"all {len(before)} iterations of {admitted.config.name!r} were done before; {again}"
        state: Any = Completed(name="NothingToDo", message=message, data=result)
        return state  # a call of the flow gives its data


def begun(given: ExperimentConfig, root: str) -> Experiment:
    """The experiment of a form, admitted. One whose name has `{n}` is there at once: runs that start together on a
    machine take numbers in turn.
    """
    with ExitStack() as stack:
        if "{n}" in given.name:
            stack.enter_context(turn(f"naming {given.name}", str(flow_run.name), lambda holder: None))
        admitted = admit(root, settled(given, root, scheduled(), tuple(flow_run.tags)))
        if "{n}" in given.name:
            admitted.save()
    return admitted


def scheduled() -> datetime:
    """When the run at hand was to start, of which a name's `{date}` is the day."""
    return datetime.fromisoformat(str(flow_run.scheduled_start_time))


def without_server(config: ExperimentConfig, root: str, operation: Operation) -> dict[str, Any]:
    """The same outside Prefect, for a process that is given no server: one of its own would be seen by nobody.

    Stages are plain calls with a task's retries. The store holds the same as after `experiment`.
    """
    with holding(admit(root, config), operation) as run:
        return _complete(run, None)


def _complete(run: Runtime, pages: Pages | None) -> dict[str, Any]:
    imported(*run.experiment.libraries())
    with span("experiment", run.config.name), Tracking(run.experiment) as tracking:
        _warn_of_what_is_not_read(run.config)
        seen, last, paused = _loop(run, pages, tracking)
        if pages is None:
            path = write_report.fn(run, iteration=last)
        else:
            path = write_report(run, iteration=last)
            patiently(lambda: pages.finish(path))
        tracking.finish(path)
    return {
        "name": run.config.name,
        "phases": seen["sentence"],
        "kind": seen["kind"],
        "report": path,
        "paused": paused,
    }


def _warn_of_what_is_not_read(config: ExperimentConfig) -> None:
    for why, keys in ignored(config).items():
        told = f"{why} {', '.join(keys)}, which {'are' if len(keys) > 1 else 'is'} set here"
        report(Progress(0, "warning", 1, 1, "", note=told))


def _loop(run: Runtime, pages: Pages | None, tracking: Tracking) -> tuple[dict[str, Any], int, bool]:
    """Every iteration; what was seen in the last one, its number, and whether a pause ended them."""
    config, paused = run.config, False
    state, seen, pace = Round(problems=generate(run)), dict[str, Any](), Pace(config.iterations)
    known = run.experiment.last_done()
    for number in range(config.iterations + 1):
        reused = (done := finished(run, number, state, _due(config, number), _paused(config, seen))) is not None
        state = done or _advance(run, pages, number, state, _due(config, number), _paused(config, seen))
        write = not reused or number >= known  # of a finished run that is walked again the tables stay whole
        seen = detect_phases(run, iteration=number, whole=number == config.iterations, write=write)
        _tell(number, seen["parts"], reused, pace)
        tracking.follow(number)
        if pages is not None:
            _show(run, pages, number, seen, reused)
        _prune(run, number - 2, state.adapter)
        if number == 1:  # runs that differ in anything have other policies from here on
            run.experiment.take_from(())
        if config.training.patience and seen["evaluations_without_gain"] >= config.training.patience:
            report(Progress(number, "stop", 1, 1, "", note=f"no gain for {config.training.patience} evaluations"))
            break
        if number < config.iterations and pause_asked(run.experiment):
            pause(run.experiment, number)
            paused = True
            break
        if pages is not None:
            patiently(end_if_suspended)
    return detect_phases(run, iteration=number, whole=True), number, paused


def _advance(run: Runtime, pages: Pages | None, number: int, before: Round, evaluated: bool, paused: bool) -> Round:
    """The iteration's result, computed in a flow of its own."""
    before = before.model_copy(update={"adapter": restore(run, before.adapter)})

    def began(flow_run: str) -> None:
        if pages is not None:
            pages.began(number, flow_run)

    with span("iteration", run.config.name, number):
        return patiently(lambda: run_iteration(run, number, before, evaluated, paused, began))


def _tell(number: int, parts: list[tuple[str, str]], reused: bool, pace: Pace) -> None:
    """One line for the iteration, wherever the run is followed."""
    seconds, left = pace.done(number, reused)
    took = "" if seconds is None else f", {seconds:.3g} s"
    line = f"{'reused: ' * reused}{', '.join(whole for _, whole in parts)}{took}"
    told = Progress(number, "done", 1, 1, "", reused=reused, note=line, parts=tuple(parts), seconds=seconds, left=left)
    report(told)


def _show(run: Runtime, pages: Pages, number: int, seen: dict[str, Any], reused: bool) -> None:
    patiently(reclaim)
    metrics = run.headlines(number)
    patiently(lambda: pages.show(number, metrics, seen["sentence"]))
    for alarm in seen["alarms"] if not reused else ():
        announce(run.config.name, number, alarm)


def restore(run: Runtime, adapter: Handle | None) -> Handle | None:
    """The handle of an adapter whose files are there: if they were pruned or damaged, it is trained again.

    With the settings that made it, which in a fork's shared iterations are its parent's.
    """
    if adapter is None or adapter.info["adapter_folder"] is None:
        return adapter
    stages, folder = run.experiment.stages, adapter.info["adapter_folder"]
    manifest = stages.manifest("adapter", folder)
    if manifest is not None and stages.intact(manifest):
        return adapter
    number = int(Path(folder).name)
    before, handles = recorded(run, number)
    trained = train(run.as_made(number), handles["gold"], restore(run, before.adapter), iteration=number)
    return trained if adapter.folder == folder else adapter  # a round without gold names the adapter of an earlier one


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
