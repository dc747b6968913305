"""The private Prefect server of a command that is given none.

A server takes seconds to start: the command starts it first, and checks the model and imports meanwhile.
"""

import atexit
import http.client
import importlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
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
STARTS = 3
"""How often a server is started again that ends while its run goes on."""


class _Server:
    """A server's process, which ends with this one. What it prints is kept for the sentence on its failure."""

    def __init__(self) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  (as long as this)
        self._port, self._ending, self._over, self._turn = 0, False, False, threading.Lock()
        self._keeper = threading.Thread(target=self._keep, name="private-server", daemon=True)
        self._start()
        self.url = f"http://127.0.0.1:{self._port}/api"
        atexit.register(self.stop)

    def _start(self) -> None:
        with socket.create_server(("127.0.0.1", self._port), backlog=128) as listening:
            self._port, number = listening.getsockname()[1], listening.fileno()
            command = [sys.executable, "-P", str(PROGRAM), str(number), str(os.getpid())]
            self._process = subprocess.Popen(
                command,
                env=os.environ | SETTINGS,
                pass_fds=(number,),
                start_new_session=True,
                stdout=self._said,
                stderr=self._said,
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def join(self, seconds: float) -> None:
        """Wait until it answers, and keep it from now on. Until it can, a question waits; one that has ended hangs up.

        Raises InfrastructureError if it does not answer within so long.
        """
        asking = http.client.HTTPConnection("127.0.0.1", self._port, timeout=seconds)
        try:
            asking.request("GET", "/api/health")
            asking.getresponse().read()
        except (TimeoutError, BlockingIOError):
            raise failed(f"did not start within {seconds:g} s", self.last_words()) from None
        except (OSError, http.client.HTTPException):
            raise failed("ended as it started", self.last_words()) from None
        finally:
            asking.close()
        if self._keeper.ident is None:  # another flow of this process may have begun to keep it
            self._keeper.start()

    def _keep(self) -> None:
        """Start it again where it was: its database has all that the run has told it, and the run waits for it.

        One that ends again and again ends the run: what speaks to it would wait for minutes.
        """
        for left in reversed(range(STARTS + 1)):
            self._process.wait()
            with self._turn:
                if self._ending:
                    return
                if left:
                    self._start()
        self._over = True
        os.kill(os.getpid(), signal.SIGTERM)

    def failure(self) -> InfrastructureError | None:
        """Why it has ended, if it will not be started again."""
        return failed("ended again and again", self.last_words()) if self._over else None

    def last_words(self) -> str:
        """The last error that it printed, empty where there is none."""
        number = self._said.fileno()  # whose place the server shares: it stays where it is
        said = os.pread(number, os.fstat(number).st_size, 0).decode(errors="replace")
        found = re.findall(r"^[\w.]*?(\w+(?:Error|Exception|Interrupt)\b.*)$", said, re.MULTILINE)
        return found[-1][:200] if found else ""

    def stop(self, seconds: float = END_SECONDS) -> None:
        """End it, by force if it lasts longer."""
        with self._turn:
            self._ending = True
        self._process.terminate()
        try:
            self._process.wait(seconds)
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


def stop_now() -> None:
    """End the private server of this process at once, if there is one: it would keep its database locked."""
    for server in _servers:
        server.stop(0)


def failure(status: int = 0) -> InfrastructureError | None:
    """Why the private server of this process failed, if it has ended for good or answered with this status."""
    if not _servers or os.environ.get("PREFECT_API_URL"):
        return None
    return _servers[-1].failure() or (
        failed(f"answered {status}", _servers[-1].last_words()) if status >= 500 else None
    )


def failed(what: str, words: str = "") -> InfrastructureError:
    """The sentence for a private server that is of no use; `words` are its own."""
    why = f" ({words})" if words else ""
    return InfrastructureError(
        f"the run's private Prefect server {what}{why}; check that PREFECT_HOME = {prefect_home()} can be written, has "
        f"room and a sound prefect.db, or name another folder, or your own server with PREFECT_API_URL"
    )
