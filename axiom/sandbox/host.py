"""The parent's side of one template: start it, hand it jobs, read how each ended.

The parent is the only one who holds answers. It reads length-capped bytes from each channel after the child is dead
and never runs, unpickles or unmarshals anything that came from there.
"""

import contextlib
import fcntl
import functools
import json
import marshal
import os
import select
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import axiom.values
from axiom.errors import SandboxError
from axiom.sandbox.inside.harness import HEADER_SIZE, LENGTH_SIZE
from axiom.sandbox.inside.template import ITSELF, TICKET_SIZE
from axiom.sandbox.packing import pack

_HERE = Path(__file__).parent
_BOOT = (
    "import os, sys; os.register_at_fork = lambda **_: None; sys.path.append(sys.argv[1]); "
    "from inside.template import main; main(sys.argv[2])"
)
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "TZ": "UTC"}
"""The same order of sets, text and time everywhere. Emptied before the first candidate."""
_START_SECONDS = 120.0
_REPORT_SIZE = 256
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


@dataclass(frozen=True, slots=True)
class Program:
    """What one child is to run: `arguments` are marshalled argument lists, one for each case."""

    code: str
    entry_point: str
    arguments: tuple[bytes, ...]
    cpu_seconds: float
    wall_seconds: float
    memory_bytes: int
    output_bytes: int


@dataclass(slots=True)
class Run:
    """How a child ended: the kernel's account, and the bytes of its channel. `memory_bytes` is the limit it had."""

    status: int
    ended_by: int
    cpu_seconds: float
    wall_seconds: float
    page_faults: int
    peak_kib: int
    memory_bytes: int
    answer: bytes
    overflowed: bool

    @property
    def killed_from_outside(self) -> bool:
        """Neither the template nor the child itself can have ended it so."""
        return self.status & 0x7F == signal.SIGKILL and self.ended_by == ITSELF


@dataclass(slots=True)
class _Job:
    token: Any
    channel: socket.socket
    memory_bytes: int
    unsent: memoryview
    cap: int
    answer: bytearray = field(default_factory=bytearray)

    def overflowed(self) -> bool:
        return len(self.answer) > self.cap


@functools.cache
def _library() -> int:
    """A memory file with the packed standard library, shared by all templates of this process. Nobody can change it."""
    descriptor = os.memfd_create("library", os.MFD_ALLOW_SEALING)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(pack(sysconfig.get_path("stdlib")))
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return descriptor


class Template:
    """One template process, and the jobs it has been given but not finished."""

    def __init__(self, without: Sequence[str] = (), rich: bool = False, modules: Sequence[str] = ()) -> None:
        """Start it and wait until it is locked down. `rich` loads every extension module a candidate may have.

        `modules` are installed ones that its candidates may use as well.

        Raises SandboxError when it dies on the way.
        """
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stop, self._stop = os.pipe()
        self.jobs: dict[int, _Job] = {}
        self.rich = rich
        self.finished = self.checked = 0
        self._next_ticket = 0
        self.process = _spawn(theirs.fileno(), stop, without, rich, modules)
        theirs.close()
        os.close(stop)
        self.layers: dict[str, tuple[bool, str]] = self._hello()
        self._control.setblocking(False)

    def _hello(self) -> dict[str, tuple[bool, str]]:
        self._control.settimeout(_START_SECONDS)
        try:
            data = self._control.recv(1 << 16)
        except TimeoutError:
            data = b""
        if not data:
            self.close()
            assert self.process.stderr is not None
            said = self.process.stderr.read().decode(errors="replace").strip().splitlines() or ["nothing"]
            raise SandboxError(f"a sandbox template did not start; its last output: {said[-1]}")
        return {name: (bool(holds), str(detail)) for name, (holds, detail) in json.loads(data).items()}

    def fileno(self) -> int:
        """The control socket: readable when a job has ended or the template has died."""
        return self._control.fileno()

    def submit(self, program: Program, token: Any) -> bool:
        """Queue `program`; `token` comes back with its `Run`. False when the template has died.

        Raises SandboxError when this process has no descriptor left.
        """
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            raise SandboxError(
                f"no descriptors left for a sandbox channel ({error.strerror}); raise ulimit -n"
            ) from error
        ours.setblocking(False)
        body = marshal.dumps((program.code, program.entry_point, program.output_bytes, program.arguments))
        cap = program.output_bytes + HEADER_SIZE * (len(program.arguments) + 2)
        job = _Job(token, ours, program.memory_bytes, memoryview(len(body).to_bytes(LENGTH_SIZE, "little") + body), cap)
        self._next_ticket = (self._next_ticket + 1) & 0xFFFFFFFF
        message = marshal.dumps((self._next_ticket, program.cpu_seconds, program.wall_seconds, program.memory_bytes), 2)
        try:
            socket.send_fds(self._control, [message], [theirs.fileno()])
        except (BrokenPipeError, ConnectionResetError):
            ours.close()
            return False
        finally:
            theirs.close()
        self.jobs[self._next_ticket] = job
        _send(job)
        return True

    def exchange(self) -> None:
        """Move bytes on every open channel without waiting; end a job that answers too much."""
        for ticket, job in self.jobs.items():
            _send(job)
            _receive(job)
            if job.overflowed():
                os.write(self._stop, ticket.to_bytes(TICKET_SIZE, "little"))

    def collect(self) -> list[tuple[Any, Run]]:
        """The jobs that have ended since the last call. Raises SandboxError when the template has died."""
        ended: list[tuple[Any, Run]] = []
        while True:
            try:
                data = self._control.recv(_REPORT_SIZE)
            except BlockingIOError:
                return ended
            except OSError:
                data = b""
            if not data and ended:
                return ended  # the next call finds the end again, and these are not lost
            if not data:
                raise SandboxError(f"a sandbox template died (exit status {self.process.poll()})")
            ticket, status, ended_by, cpu, wall, faults, peak = map(int, data.split())
            job = self.jobs.pop(ticket)
            self.finished += 1
            _receive(job)
            job.channel.close()
            run = Run(
                status,
                ended_by,
                cpu / 1e6,
                wall / 1e6,
                faults,
                peak,
                job.memory_bytes,
                bytes(job.answer),
                job.overflowed(),
            )
            ended.append((job.token, run))

    def run_now(self, program: Program) -> Run:
        """Run `program` alone and wait for it."""
        if not self.submit(program, None):
            raise SandboxError(f"a sandbox template died (exit status {self.process.poll()})")
        poller = select.poll()
        poller.register(self, select.POLLIN)
        while True:
            poller.poll(20)
            self.exchange()
            for _, run in self.collect():
                return run

    def begun(self) -> Any:
        """The token of the job whose child has said that it is ready, None when there is none."""
        for job in self.jobs.values():
            _receive(job)
            if job.answer:
                return job.token
        return None

    def withdraw(self, token: Any) -> None:
        """Hang up on a job that has not begun: its child will find nothing to read and leave."""
        for job in self.jobs.values():
            if job.token is token:
                job.channel.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the template and whatever it runs. Safe to call twice."""
        self._control.close()
        if self._stop >= 0:
            os.close(self._stop)
            self._stop = -1
        for job in self.jobs.values():
            job.channel.close()
        self.jobs.clear()
        self.process.kill()
        self.process.wait()


def _spawn(
    control: int, stop: int, without: Sequence[str], rich: bool, modules: Sequence[str]
) -> "subprocess.Popen[bytes]":
    descriptors = [control, stop, _library()]
    options = {
        "values": axiom.values.__file__,
        "harness": str(_HERE / "inside/harness.py"),
        "without": list(without),
        "descriptors": descriptors,
        "rich": rich,
        "modules": list(modules),
        "path": list(map(os.path.abspath, sys.path)),
    }
    return subprocess.Popen(
        [sys.executable, "-s", "-P", "-S", "-B", "-c", _BOOT, str(_HERE), json.dumps(options)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd="/",
        env=_ENVIRONMENT,
        pass_fds=descriptors,
        start_new_session=True,  # Ctrl-C is the parent's to handle
    )


def _send(job: _Job) -> None:
    with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
        while job.unsent:
            job.unsent = job.unsent[job.channel.send(job.unsent) :]


def _receive(job: _Job) -> None:
    with contextlib.suppress(BlockingIOError, ConnectionResetError):
        while len(job.answer) <= job.cap and (data := job.channel.recv(1 << 16)):
            job.answer += data
