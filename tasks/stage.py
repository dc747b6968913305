"""What every stage task shares: its name, its retry policy, and how a handle leaves it."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext, TaskRunContext
from prefect.states import Completed

from axiom.errors import classified
from axiom.experiment.running import Runtime
from axiom.progress import Progress, report
from axiom.store import Handle

T = TypeVar("T")
RETRY_DELAYS_SECONDS = [2.0, 30.0]


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
            handle = function(run, *args, **kwargs)
            return Completed(
                name="Reused" if handle.reused else None, message=_summary(handle), data=handle.model_dump(mode="json")
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
    report(Progress(iteration, name, total, total, "rows", reused=handle.reused, note=_summary(handle)))
    return handle


ROWS = {
    "history": "problems",
    "gold": "examples",
    "buffer": "programs to replay",
    "passed_over": "accepted samples",
    "losses": "optimizer steps",
    "evaluation": "problems",
    "eval_samples": "samples",
}
"""What the rows of a table are, where its name does not say so."""


def _summary(handle: Handle) -> str:
    """What a stage wrote, for the terminal and for the state in Prefect: `13 optimizer steps (iterations/0003)`."""
    place = f"{'reused, ' * handle.reused}{handle.folder}"
    rows = ", ".join(
        f"{count} {name} problems" if handle.folder == "problems" else f"{count} {ROWS.get(name, name)}"
        for name, count in handle.rows.items()
    )
    return f"{rows.replace('eval_', '') or 'nothing to do'} ({place})"
