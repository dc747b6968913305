"""The template: a small, locked-down Python process that forks one child for each job and watches it.

It holds no candidate, no answer and no open file. Over the control socket come jobs, each with the child's end of a
fresh channel; what goes back is how each child ended, from the kernel's own account.
"""

import fcntl
import gc
import io
import json
import mmap
import os
import random
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from importlib.machinery import BuiltinImporter, FrozenImporter
from types import ModuleType
from typing import Any, NoReturn

from . import library, lockdown

CONTROL, STOP, _LIBRARY = 3, 4, 5
JOB = struct.Struct("<IddQ")
"""ticket, CPU seconds, wall seconds, address space in bytes; the child's end of its channel comes with it."""
TICKET = struct.Struct("<I")
"""On the stop pipe: the job to end at once, if it is still the one that runs."""
REPORT = struct.Struct("<IiBddQQ")
"""ticket, wait status, who ended it, CPU seconds, wall seconds, minor page faults, peak memory in KiB."""
ITSELF, CPU_LIMIT, WALL_LIMIT, PARENT = range(4)
_OUT_OF_THE_WAY = 32


def main(options: str) -> NoReturn:
    """Lock this process down, say what holds, then serve jobs until the control socket closes."""
    settings = json.loads(options)
    _place(settings["descriptors"])
    control = socket.socket(fileno=CONTROL)
    library.preload()
    random.seed(0)
    encode = _private_module("values", settings["values"]).encode
    harness = _private_module("harness", settings["harness"])
    block = _map(_LIBRARY)
    report = lockdown.lock_template(frozenset(settings["without"]))
    lock_child = lockdown.ChildLock(frozenset(name for name, (holds, _) in report.items() if holds))
    output = harness.Output()
    _become_anonymous(block, output)
    control.send(json.dumps(report).encode())

    def child(channel: int, cpu_seconds: float, memory: int) -> NoReturn:
        os.dup2(channel, harness.CHANNEL, inheritable=False)  # CHANNEL is CONTROL: the child loses the control socket
        os.close(channel)
        os.close(STOP)
        lock_child(int(cpu_seconds) + 1, memory)
        harness.run(encode, output)

    gc.collect()
    gc.freeze()
    while True:
        _serve(control, child)


def _place(descriptors: list[int]) -> None:
    """Put the inherited descriptors at 3, 4 and 5 and close every other one."""
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, _OUT_OF_THE_WAY) for descriptor in descriptors]
    for place, descriptor in enumerate(moved, CONTROL):
        os.dup2(descriptor, place, inheritable=False)
    os.closerange(_LIBRARY + 1, 1 << 20)


def _private_module(name: str, path: str) -> Any:
    """The module at `path` with builtins of its own, which no candidate changes by assigning to `builtins`."""
    module = ModuleType(name)
    module.__dict__["__builtins__"] = dict(vars(sys.modules["builtins"]))
    with open(path, "rb") as file:
        exec(compile(file.read(), f"<{name}>", "exec"), module.__dict__)
    return module


def _map(descriptor: int) -> memoryview:
    block = mmap.mmap(descriptor, 0, mmap.MAP_SHARED, mmap.PROT_READ)
    os.close(descriptor)
    return memoryview(block)


def _become_anonymous(block: memoryview, output: io.RawIOBase) -> None:
    """Forget where this process came from: no environment, no path, nothing of the project to import."""
    os.environ.clear()
    sys.argv[:], sys.orig_argv[:] = [""], []
    sys.path.clear()
    sys.path_hooks.clear()
    sys.path_importer_cache.clear()
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter, library.Library(block)]
    for name in [name for name in sys.modules if name.split(".")[0] in {"inside", "ctypes", "__main__"}]:
        del sys.modules[name]
    text = io.TextIOWrapper(io.BufferedWriter(output), "utf-8", "backslashreplace", write_through=True)
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = text  # type: ignore[misc]
    os.dup2(1, 2)  # until here errors reach the parent, from here on nothing does


def _serve(control: socket.socket, child: Callable[[int, float, int], NoReturn]) -> None:
    """Fork a child for the next job, watch it to its end, report."""
    data, descriptors, _, _ = socket.recv_fds(control, JOB.size, 1)
    if not data:
        os._exit(0)
    ticket, cpu_seconds, wall_seconds, memory = JOB.unpack(data)
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            child(descriptors[0], cpu_seconds, memory)
        finally:
            os._exit(1)
    os.close(descriptors[0])
    ended_by = _watch(ticket, pid, started, cpu_seconds, wall_seconds)
    _, status, usage = os.wait4(pid, 0)
    control.send(REPORT.pack(
        ticket, status, ended_by, usage.ru_utime + usage.ru_stime, time.monotonic() - started,
        usage.ru_minflt, usage.ru_maxrss,
    ))  # fmt: skip


def _watch(ticket: int, pid: int, started: float, cpu_seconds: float, wall_seconds: float) -> int:
    """Wait for the child; kill it at its CPU limit, its wall limit or the parent's word. Returns who ended it."""
    handle = os.pidfd_open(pid)
    clock = (~pid << 3) | 2  # the kernel's id for the CPU clock of another process
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    poller.register(STOP, select.POLLIN)
    poller.register(CONTROL, 0)  # its end alone is of interest: jobs may be waiting in it
    wait = min(cpu_seconds, wall_seconds)
    ended_by = None
    while ended_by is None:
        ready = {descriptor for descriptor, _ in poller.poll(1000 * wait + 1)}
        cpu_left = cpu_seconds - time.clock_gettime(clock)
        wall_left = wall_seconds - (time.monotonic() - started)
        wait = min(cpu_left, wall_left)
        if handle in ready:
            ended_by = ITSELF
        elif CONTROL in ready or (STOP in ready and ticket == TICKET.unpack(os.read(STOP, TICKET.size))[0]):
            ended_by = PARENT
        elif wait <= 0:
            ended_by = CPU_LIMIT if cpu_left <= 0 else WALL_LIMIT
    if ended_by != ITSELF:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    os.close(handle)
    return ended_by
