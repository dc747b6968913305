"""A process that samples or trains, and its parent: JSON lines both ways, and a death that is noticed at once.

`EngineProcess` is the process as its parent sees it, `Worker` what runs in it.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic_core import to_jsonable_python

from axiom.errors import EngineError

START_SECONDS = 1800.0
"""An engine that is not ready by then is taken for hung: a first start compiles for up to a minute, and the weights of
a large model may come over a slow network."""
SILENCE_SECONDS = 300.0
"""An engine that says nothing for so long while it has work is taken for hung."""
BEATS = 10
"""Signs of life that an engine gives in that time while it computes, whether or not a completion has ended."""
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine core in the worker itself: one process, one hop less
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_WORKER_MULTIPROCESSING_METHOD": "spawn",  # older releases would fork a process with threads
    "HF_HUB_OFFLINE": "1",  # the model is a local directory by now
    "TOKENIZERS_PARALLELISM": "false",
}
ORPHAN_SECONDS = 1.0
"""How often a worker looks whether its parent lives."""
ENGINE = "axiom.sampling.vllm_worker"
"""The module that an engine's process runs."""


class EngineProcess:
    """A running worker. Every method raises EngineError, with the worker's own last words, once it is dead.

    It sees the GPUs `devices`, as `CUDA_VISIBLE_DEVICES` names them; None for those of this process.
    """

    def __init__(
        self,
        name: str,
        devices: str | None = None,
        module: str = ENGINE,
        environment: Mapping[str, str] = ENVIRONMENT,
        kind: str = "engine",
    ) -> None:
        self.name, self.devices, self.kind = name, devices, kind
        self.log = tempfile.NamedTemporaryFile(prefix=f"axiom-{name}-", suffix=".log", delete=False)  # noqa: SIM115
        ours, theirs = socket.socketpair()
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        seen = {} if devices is None else {"CUDA_VISIBLE_DEVICES": devices}
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment, "PYTHONPATH": path, **seen},
            start_new_session=True,
        )
        theirs.close()
        self.socket = ours
        self.buffer = b""
        self.heard = time.monotonic()

    @classmethod
    def ahead(cls) -> None:
        """Start a process that imports vLLM, which takes it seconds, before anyone asks for an engine."""
        _waiting.append(cls("vllm"))

    @classmethod
    def of(cls, name: str, devices: str | None = None) -> "EngineProcess":
        """The process that was started ahead if it is alive and no GPUs are named, else a new one."""
        while _waiting and devices is None:
            found = _waiting.pop()
            if found.process.poll() is None:
                found.name = name
                return found
            found.kill()
        return cls(name, devices)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def send(self, **message: Any) -> None:
        """Hand over one message; records, settings and paths in it become JSON."""
        self.socket.settimeout(SILENCE_SECONDS)
        try:
            self.socket.sendall(json.dumps(message, default=to_jsonable_python).encode() + b"\n")
        except TimeoutError:
            raise self._hung(SILENCE_SECONDS) from None
        except OSError:
            raise self.death() from None
        self.heard = time.monotonic()

    def expect(self, key: str, seconds: float | None = None) -> Any:
        """The value of `key` in the next message that is no completion of a stream given up by its reader."""
        while True:
            for message in self.receive(seconds):
                if key in message:
                    return message[key]
                if "done" not in message:
                    raise EngineError(
                        f"{self.kind} {self.name} answered {list(message)} instead of {key!r}; see {self.log.name}"
                    )

    def receive(self, seconds: float | None = None) -> list[dict[str, Any]]:
        """The messages that are there, waiting for the first until the engine has been silent for too long.

        A silence of `seconds` (`SILENCE_SECONDS`) counts from the last message either way.
        """
        limit = SILENCE_SECONDS if seconds is None else seconds
        self.socket.settimeout(max(0.01, self.patience(limit)))
        try:
            data = self.socket.recv(1 << 20)
        except TimeoutError:
            raise self._hung(limit) from None
        except OSError:
            data = b""
        if not data:
            raise self.death()
        self.heard = time.monotonic()
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def patience(self, limit: float | None = None) -> float:
        """Seconds until the engine, if it stays silent, is taken for hung; below 0 afterwards."""
        return self.heard + (SILENCE_SECONDS if limit is None else limit) - time.monotonic()

    def _hung(self, seconds: float) -> EngineError:
        self.kill()
        return EngineError(f"{self.kind} {self.name} was silent for {seconds:.0f} s and was ended; see {self.log.name}")

    def death(self) -> EngineError:
        """End what is left of the process and tell how it died."""
        self.kill()
        return EngineError(
            f"{self.kind} {self.name} (pid {self.process.pid}) died with status {self.process.returncode}: "
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


class Worker:
    """What runs in the process: a message `{"op": "use", ...}` calls `on_use` with the rest of it."""

    def __init__(self, channel: socket.socket) -> None:
        self.reader = channel.makefile("r", encoding="utf-8")
        self.writer = channel.makefile("w", encoding="utf-8")

    @classmethod
    def serve(cls) -> None:
        """Answer the messages of the socket whose descriptor is the first argument, until it closes.

        The second argument is the parent's process id.
        """
        threading.Thread(target=_follow, args=(int(sys.argv[2]),), daemon=True).start()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
        worker = cls(socket.socket(fileno=int(sys.argv[1])))
        for line in worker.reader:
            message = json.loads(line)
            worker.act(message.pop("op"), message)

    def act(self, name: str, given: dict[str, Any]) -> None:
        """Do what a message asks for."""
        getattr(self, f"on_{name}")(**given)

    def send(self, **message: Any) -> None:
        """Write one line."""
        self.writer.write(json.dumps(message, default=to_jsonable_python) + "\n")
        self.writer.flush()


def _follow(parent: int) -> None:
    """End this process when its parent is gone; the kernel's own signal would follow the thread that started it."""
    while os.getppid() == parent:
        time.sleep(ORPHAN_SECONDS)
    os._exit(1)


_waiting: list[EngineProcess] = []
"""Those that were started ahead; they die with this process."""


def _last_words(log: Path) -> str:
    """The last line of the log that names an error, or its last line."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\w*(Error|Exception)\b.*:", line)]
    return (errors or lines or ["it left no message"])[-1][-300:]
