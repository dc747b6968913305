"""The private Prefect server of a command that is given none.

A server takes seconds to start: the command starts it first, and checks the model and imports meanwhile.
"""

import atexit
import http.client
import importlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import axiom
from axiom.environment import prefect_home
from axiom.errors import InfrastructureError

PROGRAM = Path(axiom.__file__).parent / "flows" / "workarounds" / "private.py"
SETTINGS = {
    "PREFECT_UI_ENABLED": "0",
    # Types of blocks are for forms and automations. A server that lasts registers them when it starts.
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "0",
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "0",
}
"""What a private server does without."""
END_SECONDS = 5.0
"""For the server to end by itself, as long as Prefect gives one."""


class _Server:
    """A server's process, which ends with this one."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
            self._port, number = listening.getsockname()[1], listening.fileno()
            command = [sys.executable, "-P", str(PROGRAM), str(number), str(os.getpid())]
            settings = os.environ | SETTINGS
            self._process = subprocess.Popen(command, env=settings, pass_fds=(number,), start_new_session=True)
        self.url = f"http://127.0.0.1:{self._port}/api"
        atexit.register(self.stop)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def join(self, seconds: float) -> None:
        """Wait until it answers. Until it can, a question waits; one that has ended hangs up.

        Raises InfrastructureError if it does not answer within so long.
        """
        asking = http.client.HTTPConnection("127.0.0.1", self._port, timeout=seconds)
        try:
            asking.request("GET", "/api/health")
            asking.getresponse().read()
        except (TimeoutError, BlockingIOError):
            raise did_not_start(f"did not start within {seconds:g} s") from None
        except (OSError, http.client.HTTPException):
            raise did_not_start("ended as it started, with the words above") from None
        finally:
            asking.close()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


_servers: list[_Server] = []
"""That of this process, once it is started."""


def start() -> None:
    """Start a private server, unless a server is named or this process has one."""
    if os.environ.get("PREFECT_API_URL") or (_servers and _servers[-1].running):
        return
    _servers.append(_Server())


def join() -> None:
    """Wait until the server that was started answers, and have Prefect in this process speak to it.

    Raises InfrastructureError when it does not answer.
    """
    if os.environ.get("PREFECT_API_URL") or not _servers:
        return
    server, early = _servers[-1], importlib.import_module("axiom.flows.workarounds.early")
    if not early.wanted():  # a file or a profile of Prefect names another
        server.stop()
    else:
        server.join(early.startup_seconds())
        early.speak_to(server.url)


def did_not_start(what: str) -> InfrastructureError:
    """The sentence for a private server that gives no answer."""
    return InfrastructureError(
        f"the run's private Prefect server {what}; check that PREFECT_HOME = {prefect_home()} can be written, or name "
        f"your own server with PREFECT_API_URL"
    )
