"""A process beside a run that tells the server when the run's own was killed; the standard library alone, 10 MB.

A worker that is stopped kills its runs and says nothing of them, and neither does a machine that runs out of memory.
It also looks what the server says of the run: a worker that lost its server once hears of no cancellation any more, and
a run that was suspended in the UI would fail after five minutes.
"""

import json
import os
import select
import signal
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError

WORKER_SECONDS = 5.0
"""For the worker to tell first, if it lives: told twice, a run that someone retries meanwhile would crash again."""
HOOKS_SECONDS = 20.0
"""The same of a run that was cancelled: the worker loads the flow for its hooks first, and a retry that came before it
has told would be cancelled."""
PATIENCE_SECONDS = 60.0
"""For a server that is away."""
LOOK_SECONDS = 5.0
"""Between two looks at the run's state."""
CANCEL_SECONDS = 20.0
"""For the worker to end a run that is to be cancelled, if it hears of it."""
GRACE_SECONDS = 30.0
"""For the run's process to end by itself."""
AGAIN_SECONDS = 8.0
"""From one request to end to the next."""
SETTLE_SECONDS = 1.0
"""Between two looks at a run that has ended and whose state is about to be set."""
CANCELLED = "The process beside the run ended it, or saw its end, before its worker had said so."
SUSPENDED = "It was suspended with the run that it is a part of. Resume continues from the first stage not done."
MESSAGE = "Its process was killed, with its worker or alone. Retry continues from the first stage not done."


def main() -> None:
    """Read from standard input which process to watch and which runs are its own, the one at hand first; then tell.

    A second line says that the run at hand is over. How it ended is seen in its state alone: a library may make any
    exception of the one by which it was asked to end.
    """
    with open(0, "rb", buffering=0) as words:
        told = json.loads(words.readline())
        url, headers, runs = told["url"], told["headers"], told["runs"]
        process = os.pidfd_open(told["pid"])
        if _ended_here(process, words.fileno(), lambda: [look(url, headers, run) for run in runs]):
            patiently(lambda: cancelled(url, headers, runs))
            return
    dead, state = _ended(process, 0), "RUNNING"
    while state == "RUNNING" and not dead:
        dead = _ended(process, SETTLE_SECONDS)
        with suppress(OSError):
            state = look(url, headers, runs[0])
    if state in ("RUNNING", "CANCELLING", "PAUSED"):
        died = datetime.now(UTC)
        time.sleep(HOOKS_SECONDS if state == "CANCELLING" else WORKER_SECONDS)
        patiently(lambda: tell(url, headers, runs if dead else runs[:1], died))


def _ended_here(process: int, words: int, look_at_all: Callable[[], list[str]]) -> bool:
    """Wait for the end of the run or of its process; whether it was ended here, since it is to be cancelled."""
    asked: float | None = None
    while not select.select([process, words], [], [], LOOK_SECONDS)[0]:
        try:
            states = look_at_all()
        except OSError:  # the server is away, or too busy to answer
            continue
        if not {"CANCELLING", "CANCELLED"} & set(states):  # a suspended run is cancelled at once, whatever is at it
            asked = None
        elif asked is None:
            asked = time.monotonic()
        elif time.monotonic() - asked > CANCEL_SECONDS:
            end_process(process)
            return True
    return False


def patiently(call: Callable[[], None]) -> None:
    """Try `call` until the server answers, or for a minute."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        try:
            call()
            return
        except OSError:
            time.sleep(1.0)


def _ended(process: int, seconds: float) -> bool:
    return bool(select.select([process], [], [], seconds)[0])


def end_process(process: int) -> None:
    """Ask the run's process to end, again and again since a library may lose a signal; kill it when it does not."""
    end = time.monotonic() + GRACE_SECONDS
    while not _ended(process, 0):
        signal.pidfd_send_signal(process, signal.SIGTERM if time.monotonic() < end else signal.SIGKILL)
        _ended(process, AGAIN_SECONDS)


def look(url: str, headers: dict[str, str], run: str, again: bool = False) -> str:
    """The type of a run's state, or `DELETED`.

    A run that is suspended for five minutes is suspended without end from now on. `again` sets the state of a suspended
    run anew: the server waits for another heartbeat where the last came after it.
    """
    try:
        state = _ask(f"{url}/flow_runs/{run}", headers)["state"]
    except HTTPError as error:
        if error.code != HTTPStatus.NOT_FOUND:
            raise
        return "DELETED"
    if state["type"] == "PAUSED" and (again or state["state_details"].get("pause_timeout")):
        details = {**state["state_details"], "pause_timeout": None}
        kept = {"type": "PAUSED", "name": state["name"], "message": state.get("message"), "state_details": details}
        ours = _post(f"{url}/flow_runs/{run}/set_state", headers, {"state": kept, "force": True})["state"]["id"]
        since = [one for one in _ask(f"{url}/flow_run_states/?flow_run_id={run}", headers) if one["id"] != ours]
        if since[-1]["id"] != state["id"]:  # somebody pressed Resume or Cancel between our look and our word
            state = since[-1]
            undone = {key: state[key] for key in ("type", "name", "message", "state_details")}
            _post(f"{url}/flow_runs/{run}/set_state", headers, {"state": undone, "force": True})
    return str(state["type"])


def cancelled(url: str, headers: dict[str, str], runs: list[str]) -> None:
    """Mark cancelled the runs and those of their subflows that have not ended."""
    over = {"type": {"any_": ["CANCELLING", "RUNNING", "PENDING", "CRASHED"]}}
    for key in ("id", "parent_flow_run_id"):
        wanted = {key: {"any_": runs}, "state": over}
        for run in _post(f"{url}/flow_runs/filter", headers, {"flow_runs": wanted}):
            state = {"type": "CANCELLED", "name": "Cancelled", "message": CANCELLED}
            _post(f"{url}/flow_runs/{run['id']}/set_state", headers, {"state": state, "force": True})


def tell(url: str, headers: dict[str, str], runs: list[str], died: datetime) -> None:
    """Mark crashed what of the runs, and of their subflows, has been at work since before their process died.

    Those that were to be cancelled are marked cancelled, and those that are a part of a suspended run.
    """
    states = {run: look(url, headers, run, again=True) for run in runs}
    cancelled(url, headers, [run for run in runs if states[run] == "CANCELLING"])
    kind, message = ("CANCELLED", SUSPENDED) if "PAUSED" in states.values() else ("CRASHED", MESSAGE)
    # A run that is pending waits for its next process, a subflow of it for nothing.
    for key, at_work in {"id": ["RUNNING"], "parent_flow_run_id": ["RUNNING", "PENDING"]}.items():
        wanted = {key: {"any_": runs}, "state": {"type": {"any_": at_work}}}
        for run in _post(f"{url}/flow_runs/filter", headers, {"flow_runs": wanted}):
            if datetime.fromisoformat(run["state"]["timestamp"]) > died:
                continue  # a retry is at work
            state = {"type": kind, "name": kind.title(), "message": message}
            _post(f"{url}/flow_runs/{run['id']}/set_state", headers, {"state": state, "force": False})


def _post(url: str, headers: dict[str, str], body: dict[str, Any]) -> Any:
    return _ask(url, headers, json.dumps(body).encode())


def _ask(url: str, headers: dict[str, str], body: bytes | None = None) -> Any:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())
    except (HTTPException, ValueError) as error:  # the server went away as it answered, or something else answers there
        raise OSError(str(error)) from error


if __name__ == "__main__":
    main()
