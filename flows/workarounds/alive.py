"""That a run shows as what it is: crashed as soon as its process is killed, running as long as it lives."""

import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

from prefect import runtime as prefect_runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.context import FlowRunContext
from prefect.exceptions import Pause
from prefect.settings import get_current_settings
from prefect.states import Running

from axiom.flows.workarounds.early import is_private

WITNESS = Path(__file__).with_name("witness.py")


@contextmanager
def witnessed() -> Iterator[None]:
    """Have a process beside this one that tells the server if this one is killed in the block.

    It outlives the block until the run's state, which is set after it, says how it ended.
    """
    settings = get_current_settings().api
    if settings.url is None or is_private(settings.url):  # it ends with the run
        yield
        return
    told = {"pid": os.getpid(), "url": settings.url, "headers": _headers(), "runs": _own_runs()}
    witness = subprocess.Popen(
        [sys.executable, "-I", "-S", str(WITNESS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        encoding="utf-8",
    )
    try:
        _say(witness, json.dumps(told))
        yield
    finally:
        _say(witness, "over")


def _say(witness: "subprocess.Popen[str]", line: str) -> None:
    assert witness.stdin is not None, "it was asked for"
    with suppress(BrokenPipeError):  # it was killed
        witness.stdin.write(f"{line}\n")
        witness.stdin.flush()


def reclaim() -> None:
    """Show the runs of this process as running again, if its silence made the server take it for dead."""
    with get_client(sync_client=True) as client:
        for run in _own_runs():
            _reclaim(client, UUID(run))


def end_if_suspended() -> None:
    """End the process, as `axiom pause` does, if somebody suspended the run in the UI; *Resume* goes on from here."""
    if "PREFECT__FLOW_RUN_ID" not in os.environ:  # no worker started it, so it cannot be suspended
        return
    context = FlowRunContext.get()
    if context is not None:  # it may have been resumed since, and another process waits for the end of this one
        context.flow_run_suspension_request.raise_if_requested()
    with get_client(sync_client=True) as client:
        for run in map(UUID, _own_runs()):
            state = client.read_flow_run(run).state
            if state is not None and state.is_paused():  # the process beside the run keeps it so
                raise Pause(state=state)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Have a flow run that is called in the block end by itself though the run at hand is suspended meanwhile.

    Prefect would leave it at its next task, and it would show as running for good.
    """
    context = FlowRunContext.get()
    if context is None:
        yield
        return
    request = type(context.flow_run_suspension_request)  # which its child flows and their tasks share
    with context.model_copy(update={"flow_run_suspension_request": request()}):
        yield


def _reclaim(client: SyncPrefectClient, run: UUID) -> None:
    state = client.read_flow_run(run).state
    if state is not None and (state.is_crashed() or state.is_failed()):  # failed: a retry that met this one's lock
        client.set_flow_run_state(run, Running(message="It was taken for dead while the server was away."), force=True)


def _own_runs() -> list[str]:
    """The run at hand, and the one that the worker started, of which it may be a part."""
    return list(dict.fromkeys(filter(None, (prefect_runtime.flow_run.id, os.environ.get("PREFECT__FLOW_RUN_ID")))))


def _headers() -> dict[str, str]:
    """What the server wants to see of whoever speaks to it, as Prefect's own client sends it."""
    settings = get_current_settings().api
    if settings.auth_string:
        return {"Authorization": f"Basic {b64encode(settings.auth_string.get_secret_value().encode()).decode()}"}
    return {"Authorization": f"Bearer {settings.key.get_secret_value()}"} if settings.key else {}
