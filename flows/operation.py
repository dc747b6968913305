"""How a run behaves beside others: the GPU it holds, a second run of the same name, a pause between iterations."""

import logging
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from httpx import HTTPStatusError, codes
from prefect import get_run_logger, runtime as prefect_runtime, suspend_flow_run
from prefect.client.orchestration import get_client
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.events import emit_event

from axiom.commands import suggest
from axiom.config import ExperimentConfig, Section
from axiom.errors import LockedError
from axiom.experiment import PAUSE, Experiment, lock
from axiom.experiment.running import Runtime, running
from axiom.flows.turn import turn
from axiom.flows.workarounds.alive import end_if_suspended
from axiom.flows.workarounds.outage import outliving_the_worker, patiently
from axiom.learners.gpus import gpus
from axiom.models import devices, resolve_device
from axiom.progress import Progress, listen, report

LEASE_SECONDS = 60.0
"""A killed run's slot is free after this and the server's next look, 15 s later at most."""
POLL_SECONDS = 5.0
LOGGED = ("done", "stop", "server", "queue", "pause", "engine", "warning")
"""Progress that stands in the run's log; the tasks say the rest."""


class Operation(Section):
    """How the run behaves beside others; nothing here changes a result."""

    gpu: Literal["auto", "always", "never"] = "auto"
    """Hold the machine's GPU slot for the whole experiment; `auto` does when the model runs on a GPU."""
    overlap: Literal["refuse", "queue"] = "refuse"
    """When another process writes this experiment: `refuse` fails at once and says who, `queue` waits for it."""
    beside: tuple[str, ...] = ()
    """Experiments of the same root. What one of them has computed from the same settings and inputs is taken from it:
    problems, the base model's evaluation and samples."""


OPERATION = Operation()


def slot(index: int | str | None = None) -> str:
    """Name of the concurrency limit of one GPU, `gpu:<host>:0`; by default of the first this process may see."""
    if index is None:
        index = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0] or "0"
    return f"gpu:{socket.gethostname()}:{index}"


@contextmanager
def holding(experiment: Experiment, operation: Operation) -> Iterator[Runtime]:
    """The experiment's lock first, then the GPU: whoever waits for the GPU keeps no other experiment waiting."""
    with ExitStack() as stack:
        run = _lock(stack, experiment, operation)
        experiment.take_from(operation.beside)
        experiment.folder.remove(PAUSE)  # asked of an earlier run that ended before it could pause
        stack.enter_context(gpu(experiment.config, operation))
        yield run


def _lock(stack: ExitStack, experiment: Experiment, operation: Operation) -> Runtime:
    while True:
        try:
            return stack.enter_context(running(experiment))
        except LockedError as error:
            if operation.overlap == "refuse" and not _of_this_run(experiment):
                raise
            report(Progress(0, "queue", 0, 1, "", note=str(error)))
            patiently(end_if_suspended)
            time.sleep(POLL_SECONDS)


def _of_this_run(experiment: Experiment) -> bool:
    """Whether another process of the same flow run is at the experiment: one that was resumed before it had ended."""
    run = os.environ.get("PREFECT__FLOW_RUN_ID")
    found = lock.holder(Path(experiment.folder.path)) if run and experiment.folder.local else None
    if found is None or found.host != socket.gethostname():
        return False
    with suppress(OSError):
        environment = Path(f"/proc/{found.process}/environ").read_bytes()
        return f"PREFECT__FLOW_RUN_ID={run}".encode() in environment.split(b"\0")
    return False


@contextmanager
def gpu(config: ExperimentConfig, operation: Operation, groups: Sequence[str] = ()) -> Iterator[None]:
    """Hold the GPUs that the run computes on alone, if it needs any; those of all `groups` where there are several.

    The server's slot queues runs where a person sees them, and its lease frees it a minute after a kill. While the
    server is away a lease can lapse, so a name that the operating system gives to one process has the last word.
    """
    if not needs_gpu(config, operation):
        yield
        return
    with ExitStack() as stack:
        visible = devices()
        names = [name for group in groups for name in group.split(",")] or visible[: gpus(config, len(visible))]
        for name in sorted(map(slot, names)) or [slot()]:  # in one order, so that no two wait for each other
            _hold(stack, name, config.name)
        yield


def _hold(stack: ExitStack, name: str, experiment: str) -> None:
    if prefect_runtime.deployment.id is not None:
        _take_slot(stack, name)
    holder = f"process {os.getpid()} with experiment {experiment!r} since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"

    def waiting(other: str) -> None:
        report(Progress(0, "queue", 0, 1, "", note=f"waiting for {name}, which {other} holds"))

    stack.enter_context(turn(name, holder, waiting, lambda: patiently(end_if_suspended)))


def _take_slot(stack: ExitStack, name: str) -> None:
    """Take a slot of the server. Prefect would wait for one without a word, and without hearing of *Suspend*."""
    told = False
    while True:
        leased = concurrency(
            name, strict=True, lease_duration=LEASE_SECONDS, raise_on_lease_renewal_failure=False, max_retries=0
        )
        try:
            stack.enter_context(leased)
        except ConcurrencySlotAcquisitionError as error:
            refused = error.__cause__
            if not isinstance(refused, HTTPStatusError) or refused.response.status_code != codes.LOCKED:
                raise
        else:
            return
        if not told:
            note = f"waiting for {name}: all its slots of the Prefect server are taken"
            report(Progress(0, "queue", 0, 1, "", note=note))
            told = True
        patiently(end_if_suspended)
        time.sleep(POLL_SECONDS)


def needs_gpu(config: ExperimentConfig, operation: Operation) -> bool:
    """Whether the run holds a GPU slot."""
    if operation.gpu == "auto":
        return config.model.kind == "language" and resolve_device(config.model) == "cuda"
    return operation.gpu == "always"


def pause_asked(experiment: Experiment) -> bool:
    """Whether `axiom pause` asked for a pause; asking once pauses once."""
    if not experiment.folder.exists(PAUSE):
        return False
    experiment.folder.remove(PAUSE)
    return True


def pause(experiment: Experiment, number: int) -> None:
    """Suspend a deployment's run after iteration `number` until it is resumed in the UI, maybe by another worker.

    A run of the command line just ends; `axiom resume` goes on with the next iteration.
    """
    again = suggest("resume", experiment.config.name, root=experiment.root)
    report(Progress(number, "pause", 1, 1, "", note=f"paused; continue with: {again}"))
    if prefect_runtime.deployment.id is not None:
        suspend_flow_run(timeout=None)


def announce(name: str, number: int, alarm: dict[str, Any]) -> None:
    """Tell the server's automations of an alarm or its revocation, so that they can notify somebody."""
    emit_event(
        f"axiom.{alarm['kind']}",
        resource={"prefect.resource.id": f"axiom.experiment.{name}", "name": name},
        payload={"iteration": number, "estimate": alarm["estimate"], "detail": alarm["detail"]},
    )


@contextmanager
def following(config: ExperimentConfig) -> Iterator[None]:
    """Name and tag the run so that it can be found, and copy the library's progress into its log, whoever reads its
    output.
    """
    names = {config.name, config.arm, f"seed {config.seed}", *prefect_runtime.flow_run.tags}
    patiently(lambda: _tag(prefect_runtime.flow_run.id, config.name, sorted(names)))
    logger = get_run_logger()
    # Of a run from the command line Prefect would print warnings as well, and the display has told them.
    loud = logging.INFO if prefect_runtime.deployment.id is None else logging.WARNING

    def log(progress: Progress) -> None:
        if progress.note and progress.stage in LOGGED:
            level = loud if progress.stage == "warning" else logging.INFO
            where = f"iteration {progress.iteration}: " if progress.stage in ("done", "stop", "pause") else ""
            logger.log(level, "%s%s", where, progress.note)

    with listen(log), outliving_the_worker():
        yield


def _tag(flow_run: str, name: str, names: list[str]) -> None:
    with get_client(sync_client=True) as client:
        client.update_flow_run(UUID(flow_run), name=name, tags=names)
