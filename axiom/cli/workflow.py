"""Flows from the command line: their settings, and what a signal and a server that fails to start read like."""

import importlib
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from axiom.cli import server
from axiom.cli.app import console, errors
from axiom.cli.outputs import check_folder
from axiom.ending import INTERRUPTED, Ending, Terminated, between_calls, insisted
from axiom.environment import check_addresses, check_threads, imported, prefect_home
from axiom.errors import AxiomError, ConfigError, InfrastructureError, server_status

START = "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"
SETTINGS = {
    START: "120",  # for the private server of a run that is given none; on a busy machine Prefect's 20 are not enough
    "PREFECT_LOGGING_LEVEL": "WARNING",  # the display tells what Prefect would log
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TQDM_DISABLE": "1",
}
"""Mostly what other libraries print while a run shows its own progress; a variable that is already set stays."""


def _terminated(number: int, frame: object) -> None:
    raise Terminated


def check_surroundings() -> None:
    """What a flow needs around it, tried before anything is written.

    Raises DataError when Prefect could not keep its files, which it would tell only after minutes, and ConfigError when
    its server's address is none, or where a limit of the process is too low for a run.
    """
    check_addresses()
    check_threads()
    url = os.environ.get("PREFECT_API_URL")
    if not url:
        check_folder("PREFECT_HOME =", prefect_home())
    elif not re.match(r"https?://[\w.:-]|https?://\[[0-9a-fA-F:]+\]", url):
        raise ConfigError(
            f"PREFECT_API_URL = {url} is not the address of a server; write it like http://127.0.0.1:4200/api, or "
            f"unset it for a private server"
        )


def _prepare() -> None:
    check_surroundings()
    for variable, value in SETTINGS.items():
        os.environ.setdefault(variable, value)


def start_server() -> None:
    """Start the private server of a flow that is given none, which takes seconds; `load_flow` waits for it.

    Raises as `check_surroundings`.
    """
    _prepare()
    server.start()


def load_flow(module: str, name: str, *ahead: str) -> Callable[..., Any]:
    """The flow, by name: the command line alone starts flows, and the library itself stays free of Prefect.

    `ahead` are modules that it will import in any case. Raises as `check_surroundings`, and InfrastructureError when
    the private server does not start.
    """
    _prepare()
    imported(module, *ahead)
    server.join()
    flow: Callable[..., Any] = getattr(sys.modules[module], name)
    return flow


@contextmanager
def interruptible(going_on: str, written: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Around a flow: it goes on when nobody reads its output, and a signal ends it with one line on how to go on.

    `going_on` is what continues what was `written`. Raises InfrastructureError when the private server does not start
    or fails, or the one that is named does not answer.
    """
    console.outlives_its_reader = errors.outlives_its_reader = True
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, between_calls(_terminated))  # Prefect's own handler hands on to it
    if before[signal.SIGINT] is signal.default_int_handler:  # not where a shell had it ignored
        signal.signal(signal.SIGINT, between_calls(signal.default_int_handler))

    def said() -> str:
        if failed := server.failure():
            return f"failed: {failed}"
        if written():
            return f"interrupted; what is finished is kept, and {going_on} goes on from there"
        return "interrupted before anything was written; the same command starts again"

    ending = Ending()
    try:
        with insisted(said, server.stop_now) as ending:
            yield
    except BaseException as error:  # after a signal whichever: a library may have made it of the signal's
        status = INTERRUPTED if ending.status is None and isinstance(error, KeyboardInterrupt) else ending.status
        if status is None:
            if found := _of_the_server(error):
                raise found from None
            raise
        if failed := server.failure():
            ending.status = failed.exit_status
            raise failed from None
        errors.print(said(), highlight=False, markup=False)
        raise typer.Exit(status) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _of_the_server(error: BaseException) -> AxiomError | None:
    """What a failure of Prefect's server reads like; None for any other error."""
    if isinstance(error, AxiomError) or not isinstance(error, Exception):
        return None
    if isinstance(error, RuntimeError) and "Failed to reach API" in str(error):
        named = importlib.import_module("axiom.flows.workarounds.early").address()
        return InfrastructureError(
            f"no Prefect server answers at PREFECT_API_URL = {named}; start it with `prefect server start`, or unset "
            f"PREFECT_API_URL, in Prefect's profile too, for a private one"
        )
    if isinstance(error, RuntimeError) and "ephemeral Prefect API server" in str(error):
        return server.failed(f"did not start within {os.environ[START]} s")
    return server.failure(server_status(error))
