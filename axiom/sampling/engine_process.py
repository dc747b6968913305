"""One vLLM engine's process as its parent sees it: JSON lines both ways, and a death that is noticed at once."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from axiom.errors import EngineError

START_SECONDS = 600.0
"""An engine that is not ready by then is taken for dead; a first start compiles for up to a minute."""
SILENCE_SECONDS = 300.0
"""An engine that says nothing for so long while it has work is taken for hung."""
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine core in the worker itself: one process, one hop less
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "HF_HUB_OFFLINE": "1",  # the model is a local directory by now
    "TOKENIZERS_PARALLELISM": "false",
}


class EngineProcess:
    """A running worker. Every method raises EngineError, with the engine's own last words, once it is dead."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.log = tempfile.NamedTemporaryFile(prefix=f"axiom-{name}-", suffix=".log", delete=False)  # noqa: SIM115
        ours, theirs = socket.socketpair()
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "axiom.sampling.vllm_worker", str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
            env={**os.environ, **ENVIRONMENT, "PYTHONPATH": path}, start_new_session=True,
        )  # fmt: skip
        theirs.close()
        self.socket = ours
        self.buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def send(self, **message: Any) -> None:
        """Hand over one message."""
        self.socket.settimeout(SILENCE_SECONDS)
        try:
            self.socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            raise self.death() from None

    def expect(self, key: str, seconds: float = SILENCE_SECONDS) -> Any:
        """The value of `key` in the next message that is no completion of a stream given up by its reader."""
        deadline = time.monotonic() + seconds
        while True:
            for message in self.receive(max(0.0, deadline - time.monotonic())):
                if key in message:
                    return message[key]
                if "done" not in message:
                    raise EngineError(
                        f"engine {self.name} answered {list(message)} where {key!r} was due; see {self.log.name}"
                    )

    def receive(self, seconds: float) -> list[dict[str, Any]]:
        """The messages that are there, waiting for the first."""
        self.socket.settimeout(max(0.01, seconds))
        try:
            data = self.socket.recv(1 << 20)
        except TimeoutError:
            self.kill()
            raise EngineError(
                f"engine {self.name} was silent for {seconds:.0f} s and was ended; see {self.log.name}"
            ) from None
        except OSError:
            data = b""
        if not data:
            raise self.death()
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def death(self) -> EngineError:
        """End what is left of the process and tell how it died."""
        self.kill()
        return EngineError(
            f"engine {self.name} (pid {self.process.pid}) died with status {self.process.returncode}: "
            f"{_last_words(Path(self.log.name))}; see {self.log.name}"
        )

    def kill(self) -> None:
        """End the process, by its own process group, and wait for it; once it has ended, nothing."""
        self.socket.close()
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()


def _last_words(log: Path) -> str:
    """The last line of the log that names an error, or its last line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\w*(Error|Exception)\b.*:", line)]
    return (errors or lines or ["it left no message"])[-1][-300:]
