"""What every stage task shares: its name, its retry policy, and how a handle leaves it."""

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from prefect import Task, get_run_logger
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging.loggers import PrefectLogAdapter
from prefect.states import Completed

from axiom.errors import classified
from axiom.experiment.running import Runtime
from axiom.progress import Listener, Progress, listen, report
from axiom.store import Handle
from axiom.tasks.spans import span

T = TypeVar("T")
RETRY_DELAYS_SECONDS = [2.0, 30.0]
LOG_SECONDS = 60.0
"""How often a long stage says in its log how far it is."""


def is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Retry a machine's failure (engine, memory, storage, sandbox); never bad input or a bug."""
    return _may_succeed_later(state.result(raise_on_failure=False, _sync=True))  # type: ignore[call-overload]


def _may_succeed_later(error: BaseException) -> bool:
    found = classified(error)
    return found is not None and found.transient


def stage_task(name: str) -> Callable[[Callable[..., Handle]], Callable[..., Handle]]:
    """Make a stage a Prefect task: it is called in the main thread and gives back its handle.

    Outside a flow it is a plain call with the same retries.
    """

    def wrap(function: Callable[..., Handle]) -> Callable[..., Handle]:
        def shown(run: Runtime, *args: Any, **kwargs: Any) -> State[dict[str, Any]]:
            _tag(run)
            with listen(_to_log()):
                handle = function(run, *args, **kwargs)
                report(Progress(0, "finished", 1, 1, "", note=summary(handle)))
            return Completed(
                name="Reused" if handle.reused else None, message=summary(handle), data=handle.model_dump(mode="json")
            )

        prefect_task: Task[..., Any] = Task(
            shown,
            name=name,
            task_run_name=name,
            cache_policy=NO_CACHE,
            persist_result=False,
            retries=len(RETRY_DELAYS_SECONDS),
            retry_delay_seconds=RETRY_DELAYS_SECONDS,
            retry_condition_fn=is_transient,
        )

        def call(run: Runtime, *args: Any, iteration: int = 0, **kwargs: Any) -> Handle:
            title = f"{name}{' train' * ('train' in args)}{' eval' * ('eval' in args)}"
            report(Progress(iteration, title, 0, 0, ""))
            with span(title, run.config.name, iteration):
                return stage(run, *args, iteration=iteration, **kwargs)

        def stage(run: Runtime, *args: Any, iteration: int, **kwargs: Any) -> Handle:
            if FlowRunContext.get() is None:
                return _told(name, iteration, retried(lambda: function(run, *args, iteration=iteration, **kwargs)))
            purpose = " eval" if "eval" in args else ""
            title = f"{run.config.name} · iteration {iteration} · {name}{purpose}"
            named = prefect_task.with_options(task_run_name=title)
            state = named(run, *args, iteration=iteration, return_state=True, **kwargs)
            return _told(name, iteration, Handle.model_validate(state.result(_sync=True)))

        call.fn = function  # type: ignore[attr-defined]
        return call

    return wrap


def _tag(run: Runtime) -> None:
    """Tag the task run once it is under way: Prefect asks the server for a slot of each tag that it has before."""
    context = TaskRunContext.get()
    assert context is not None, "a stage runs as a task"
    context.task_run.tags = [run.config.name, run.config.arm]


def light_stage(name: str) -> Callable[[Callable[..., Handle]], Callable[..., Handle]]:
    """The same policy for a stage of milliseconds, without a task run, which would add 4 KB to Prefect's database."""

    def wrap(function: Callable[..., Handle]) -> Callable[..., Handle]:
        def call(*args: Any, iteration: int = 0, **kwargs: Any) -> Handle:
            report(Progress(iteration, name, 0, 0, ""))
            return _told(name, iteration, retried(lambda: function(*args, iteration=iteration, **kwargs)))

        call.fn = function  # type: ignore[attr-defined]
        return call

    return wrap


def retried(work: Callable[[], T]) -> T:
    """The result of `work`, tried again after a machine's failure as often as a task is."""
    for delay in RETRY_DELAYS_SECONDS:
        try:
            return work()
        except Exception as error:
            if not _may_succeed_later(error):
                raise
            time.sleep(delay)
    return work()


def _told(name: str, iteration: int, handle: Handle) -> Handle:
    total = sum(handle.rows.values())
    report(Progress(iteration, name, total, total, "rows", reused=handle.reused, note=summary(handle)))
    return handle


def _to_log() -> Listener:
    """A listener for the log of the stage at work: what loads, how far it is, what is wrong.

    On the command line nothing goes there: the terminal has it.
    """
    if not logging.getLogger("prefect.flow_runs").isEnabledFor(logging.INFO):
        return lambda progress: None
    adapter = get_run_logger()
    assert isinstance(adapter, PrefectLogAdapter), "a stage runs as a task"
    # A logger of its own, since those of task runs are set to pass Prefect's warnings alone.
    logger = adapter.logger.getChild("axiom")
    logger.setLevel(logging.INFO)
    log, counted = PrefectLogAdapter(logger, adapter.extra), time.monotonic()

    def tell(progress: Progress) -> None:
        nonlocal counted
        if progress.note or progress.doing:
            log.log(logging.WARNING if progress.stage == "warning" else logging.INFO, progress.note or progress.doing)
        elif progress.total and time.monotonic() - counted >= LOG_SECONDS:
            counted = time.monotonic()
            rate = f", {progress.rate:,.0f} tokens/s" if progress.rate else ""
            log.info(f"{progress.done} of {progress.total} {progress.unit}{rate}")

    return tell


ROWS = {
    "history": "problems",
    "gold": "examples",
    "buffer": "programs to replay",
    "passed_over": "accepted samples",
    "losses": "optimizer steps",
    "evaluation": "problems",
    "eval_samples": "samples",
    "distance": "problems",
    "diversity": "solved problems",
}
"""What the rows of a table are, where its name does not say so."""


def summary(handle: Handle) -> str:
    """What a stage wrote and took, for its state and its log: `13 optimizer steps in 8.1 s, 912 tokens/s`."""
    seconds, tokens = handle.info.get("seconds"), handle.info.get("tokens")
    took = "" if seconds is None else f" in {seconds:.3g} s"
    took += f", {tokens / seconds:,.0f} tokens/s" if tokens and seconds else ""
    took += f" with {handle.info['engine']}" if handle.info.get("engine") else ""
    place = f"{'reused, ' * handle.reused}{handle.folder}"
    rows = ", ".join(
        f"{count} {name} problems" if handle.folder == "problems" else f"{count} {ROWS.get(name, name)}"
        for name, count in handle.rows.items()
    )
    return f"{rows.replace('eval_', '') or 'nothing to do'}{took} ({place})"
