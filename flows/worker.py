"""A process that runs experiments of a study one after the other: `python -m axiom.flows.worker [vllm]`.

It reads a run a line and answers in lines: progress, then the result or why there is none. Its model stays loaded from
run to run. What libraries print goes to its standard error.
"""

import json
import os
import signal
import sys
import threading
import time
import traceback
from dataclasses import asdict
from queue import SimpleQueue
from typing import Any, TextIO

from axiom.config import build_config
from axiom.ending import INTERRUPTED, LAST_SECONDS, between_calls
from axiom.errors import classified
from axiom.experiment.running import handing_on
from axiom.flows.experiment import experiment, without_server
from axiom.flows.operation import Operation
from axiom.progress import Progress, listen
from axiom.sampling.engine_process import EngineProcess

VLLM = "vllm"
"""Argument by which the worker starts an engine's process before it is asked for anything."""
TOLD = ("done", "stop", "pause", "warning")
"""Progress that a study shows."""


def main() -> None:
    """Serve the process that started this one until it closes our input, or dies."""
    # A shell's background jobs inherit that it is ignored.
    signal.signal(signal.SIGINT, between_calls(signal.default_int_handler))
    os.environ.pop("PREFECT__FLOW_RUN_ID", None)  # its study's, of which it is no part that Prefect knows
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if VLLM in sys.argv[1:]:
        EngineProcess.ahead()
    asked: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
    busy = threading.Event()

    def tell(progress: Progress) -> None:
        if progress.stage in TOLD:
            _answer(out, progress=asdict(progress))

    threading.Thread(target=_listen, args=(asked, busy), name="asked", daemon=True).start()
    with handing_on(gpu=True), listen(tell):
        while (run := asked.get()) is not None:
            busy.set()
            _answer(out, **_run(**run))
            busy.clear()


def _run(config: dict[str, Any], root: str, beside: list[str]) -> dict[str, Any]:
    operation = Operation(gpu="never", beside=tuple(beside))  # the study holds the GPU for all
    run = experiment if os.environ.get("PREFECT_API_URL") else without_server
    try:
        return {"result": run(build_config(config), root, operation)}
    except Exception as error:  # noqa: BLE001 (the process that asked decides what follows)
        found = classified(error)
        if found is None:
            traceback.print_exc()
        return {"error": type(found or error).__name__, "text": str(found or repr(error))}


def _answer(out: TextIO, **message: Any) -> None:
    out.write(json.dumps(message) + "\n")
    out.flush()


def _listen(asked: "SimpleQueue[dict[str, Any] | None]", busy: threading.Event) -> None:
    """Hand on what is asked. The end of our input in the midst of a run means that nobody waits for it any more.

    A library may lose the interrupt that then ends the run, so the process ends in any case.
    """
    for line in sys.stdin:
        asked.put(json.loads(line))
    asked.put(None)
    if busy.is_set():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(LAST_SECONDS)
        os._exit(INTERRUPTED)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
