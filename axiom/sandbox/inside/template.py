"""The template: a small, locked-down Python process that forks one child for each job and watches it.

It holds no candidate, no answer and no open file. Over the control socket come jobs, each with the child's end of a
fresh channel; what goes back is how each child ended, from the kernel's own account.
"""

import _signal as signal
import functools
import gc
import io
import json
import marshal
import os
import sys
import time
from collections.abc import Callable
from importlib.machinery import BuiltinImporter, FrozenImporter
from types import ModuleType, SimpleNamespace
from typing import Any

from . import library, lockdown
from .libc import Buffer, words
from .lockdown import kernel

CONTROL, STOP, _LIBRARY = 3, 4, 5
JOB_SIZE, TICKET_SIZE = 64, 4
ITSELF, CPU_LIMIT, WALL_LIMIT, PARENT = range(4)
_WORKING, _STARVED_FACTOR = 0.1, 10.0  # CPU share of a child that computes, and how many wall limits it may take
_GLANCE_SECONDS = 0.005
_WARM_CALLS = 64  # after which the interpreter has adapted the bytecode, and no child copies its pages to do so
_PROT_READ, _MAP_PRIVATE = 1, 2
_POLLIN = 1
_GET_FLAGS, _SET_FLAGS = 3, 4
_CLOSE_ON_EXEC = 0x40000000  # MSG_CMSG_CLOEXEC


def main(options: str) -> None:
    """Lock this process down, say what holds, then serve jobs until the control socket closes. Never returns."""
    settings = json.loads(options)
    _be_the_first_to_go()
    _place(settings["descriptors"])
    if settings["modules"]:
        library.load_installed(settings["modules"], settings["path"])
    library.preload(settings["rich"])
    encode = _private_encoder(settings["values"])
    harness = _private_module("harness", settings["harness"])
    block = _map(_LIBRARY)
    report = lockdown.lock_template(frozenset(settings["without"]))
    lock_child = lockdown.ChildLock(frozenset(name for name, (holds, _) in report.items() if holds))
    output = harness.Output()
    _become_anonymous(library.Library(block, None if settings["rich"] else harness.needs_rich), output)
    os.write(CONTROL, json.dumps(report).encode())

    def child(channel: int, cpu_seconds: float, memory: int) -> None:
        os.dup2(channel, harness.CHANNEL, inheritable=False)  # CHANNEL is CONTROL: the child loses the control socket
        os.close(channel)
        os.close(STOP)
        lock_child(int(cpu_seconds) + 1, memory)
        harness.run(encode, output)

    inbox, watch, restore = Inbox(), Watch(), _restorer()
    gc.collect()
    gc.freeze()
    while True:
        _serve(inbox, watch, child)
        restore()


def _be_the_first_to_go() -> None:
    """When memory runs out, the kernel is to end a candidate, and never the parent."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError:
        return  # a container without /proc: the kernel chooses by size


def _place(descriptors: list[int]) -> None:
    """Put the inherited descriptors at 3, 4 and 5 and close every other one."""
    above = max(*descriptors, _LIBRARY) + 1  # so that no copy lands on one that is still to be copied
    for place, descriptor in enumerate(descriptors, above):
        os.dup2(descriptor, place)
    for place in range(CONTROL, CONTROL + len(descriptors)):
        os.dup2(place - CONTROL + above, place, inheritable=False)
    os.closerange(_LIBRARY + 1, 1 << 20)


def _private_module(name: str, path: str) -> Any:
    """The module at `path` with builtins of its own, which no candidate changes by assigning to `builtins`."""
    module = ModuleType(name)
    module.__dict__["__builtins__"] = dict(vars(sys.modules["builtins"]))
    with open(path, "rb") as file:
        exec(compile(file.read(), f"<{name}>", "exec"), module.__dict__)
    return module


def _private_encoder(path: str) -> Callable[[Any], str]:
    """`axiom.values.encode` from its source at `path`, on a JSON encoder and a `math` that candidates cannot reach."""
    values = _private_module("values", path)
    encoder = _private_module("encoder", sys.modules["json.encoder"].__file__ or "")
    values.ENCODER = encoder.JSONEncoder(**values.OPTIONS)
    values.math = SimpleNamespace(isfinite=values.math.isfinite)
    encode: Callable[[Any], str] = values.encode
    for _ in range(_WARM_CALLS):  # what both make of themselves, they make before the first fork
        for value in (1, "a", 1.5, None, [1, "a"], (1, 2), {"a": 1}, [{1: "a"}, {2}]):
            encode(value)
    return encode


def _map(descriptor: int) -> memoryview:
    """The file's bytes, in a mapping whose changes stay in the process. The module mmap would cost every fork."""
    size = os.fstat(descriptor).st_size
    address = kernel("mmap", 0, size, _PROT_READ, _MAP_PRIVATE, descriptor, 0)
    os.close(descriptor)
    return Buffer.at(address, size)


def _become_anonymous(finder: library.Library, output: io.RawIOBase) -> None:
    """Forget where this process came from: no environment, no path, nothing of the project to import."""
    os.environ.clear()
    sys.argv[:], sys.orig_argv[:] = [""], []
    sys.path.clear()
    sys.path_hooks.clear()
    sys.path_importer_cache.clear()
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter, finder]
    for name in [name for name in sys.modules if name.split(".")[0] in {"inside", "_ctypes", "__main__"}]:
        del sys.modules[name]
    sys.modules["_ctypes"] = None  # type: ignore[assignment]
    sys.stdout = sys.__stdout__ = _text(output)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _text(output)  # type: ignore[misc]
    os.dup2(0, 1)  # one open file, whose flags `_restorer` keeps
    os.dup2(0, 2)  # until here errors reach the parent, from here on nothing does


def _text(output: io.RawIOBase) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(output), "utf-8", "backslashreplace", write_through=True)


def _restorer() -> Callable[[], object]:
    """A call that gives stdio its flags back: they belong to the open `/dev/null`, which children share one by one."""
    flags = kernel("fcntl", 0, _GET_FLAGS)
    return functools.partial(kernel.raw, *kernel.resolve([("fcntl", (0, _SET_FLAGS, flags))])[0])


class Inbox:
    """Receives a job and its descriptor. One message buffer, made before the first fork."""

    def __init__(self) -> None:
        self._data = Buffer(bytes(JOB_SIZE))
        self._rights = Buffer(bytes(24))  # struct cmsghdr and one descriptor, padded
        self._part = Buffer(words(self._data.address, JOB_SIZE))
        self._fresh = words(0, 0, self._part.address, 1, self._rights.address, 24, 0)
        self._message = Buffer(self._fresh)

    def receive(self) -> tuple[tuple[int, float, float, int], int]:
        """((ticket, CPU seconds, wall seconds, address space in bytes), channel). Leaves when the parent has gone."""
        self._message.bytes[:] = self._fresh
        size = kernel("recvmsg", CONTROL, self._message.address, _CLOSE_ON_EXEC)
        if not size:
            os._exit(0)
        return marshal.loads(self._data.bytes[:size]), int.from_bytes(self._rights.bytes[16:20], sys.byteorder)


class Watch:
    """Waits for a child, the stop pipe and the end of the control socket at once."""

    def __init__(self) -> None:
        self._watched = Buffer(bytes(24))  # three struct pollfd: descriptor, events, returned events
        self._patience = Buffer(bytes(16))
        self._status = Buffer(bytes(4))
        self._usage = Buffer(bytes(144))  # struct rusage

    def wait(self, handle: int, seconds: float) -> tuple[bool, bool, bool]:
        """(child ended, stop asked for, parent gone) after at most `seconds`."""
        self._watched.bytes[:] = (
            words(handle, _POLLIN, size=4) + words(STOP, _POLLIN, size=4) + words(CONTROL, 0, size=4)
        )
        nanoseconds = max(0, int(seconds * 1e9)) + 1_000_000
        self._patience.bytes[:] = words(nanoseconds // 10**9, nanoseconds % 10**9)
        kernel("ppoll", self._watched.address, 3, self._patience.address, 0, 8)
        events = self._watched.bytes
        return any(events[6:8]), any(events[14:16]), any(events[22:24])

    def reap(self, pid: int) -> tuple[int, int, int, int]:
        """(wait status, CPU microseconds, minor page faults, peak memory in KiB). os.wait4 would load `resource`."""
        kernel("wait4", pid, self._status.address, 0, self._usage.address)
        usage = self._usage.bytes.cast("q")
        cpu_us = (usage[0] + usage[2]) * 1_000_000 + usage[1] + usage[3]
        return int.from_bytes(self._status.bytes, sys.byteorder), cpu_us, usage[8], usage[4]


def _serve(inbox: Inbox, watch: Watch, child: Callable[[int, float, int], None]) -> None:
    """Fork a child for the next job, watch it to its end, report."""
    (ticket, cpu_seconds, wall_seconds, memory), channel = inbox.receive()
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            child(channel, cpu_seconds, memory)
        finally:
            os._exit(1)
    os.close(channel)
    ended_by = _watch(watch, ticket, pid, started, cpu_seconds, wall_seconds)
    status, cpu_us, faults, peak_kib = watch.reap(pid)
    wall_us = (time.monotonic() - started) * 1e6
    os.write(CONTROL, b"%d %d %d %d %d %d %d" % (ticket, status, ended_by, cpu_us, wall_us, faults, peak_kib))


def _watch(watch: Watch, ticket: int, pid: int, started: float, cpu_seconds: float, wall_seconds: float) -> int:
    """Wait for the child; kill it at its CPU limit, its wall limit or the parent's word. Returns who ended it.

    A child that still computes at its wall limit is starved by other work, not asleep: it may go on to its CPU limit.
    """
    handle = os.pidfd_open(pid)
    clock = (~pid << 3) | 2  # the kernel's id for the CPU clock of another process
    patience = min(cpu_seconds, wall_seconds)
    ended_by = None
    while ended_by is None:
        child_ended, stop, parent_gone = watch.wait(handle, patience)
        if child_ended:
            ended_by = ITSELF
            break
        cpu, wall = time.clock_gettime(clock), time.monotonic() - started
        starved = cpu >= _WORKING * wall and wall < _STARVED_FACTOR * wall_seconds
        patience = max(min(cpu_seconds - cpu, wall_seconds - wall), _GLANCE_SECONDS)
        if parent_gone or (stop and ticket == int.from_bytes(os.read(STOP, TICKET_SIZE), "little")):
            ended_by = PARENT
        elif cpu >= cpu_seconds:
            ended_by = CPU_LIMIT
        elif wall >= wall_seconds and not starved:
            ended_by = WALL_LIMIT
    if ended_by != ITSELF:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    os.close(handle)
    return ended_by
