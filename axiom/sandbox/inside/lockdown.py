"""The isolation layers, each a function that takes a power away for good.

A template calls `lock_template` once; a child calls its `ChildLock` between the fork and its candidate. Each layer
returns a sentence about what holds, or raises OSError with the reason why it does not.
"""

import os
import sys

from . import seccomp
from .libc import Buffer, Kernel, machine, words

_SET_PDEATHSIG, _SET_DUMPABLE, _SET_SECCOMP, _SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SECCOMP_FILTER = 2
_SIGKILL = 9
_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC, _CLONE_NEWUSER, _CLONE_NEWNET = (
    0x20000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x40000000,
)
_LANDLOCK_FS_BITS = {1: 13, 2: 14, 3: 15, 4: 15}  # from version 5 on: 16
_SANDBOX_UIDS = (61_184, 65_534)  # first the range that no account has, then nobody, for namespaces that map few ids
_CAPABILITY_VERSION = 0x20080522
_CPU, _FSIZE, _STACK, _CORE, _NPROC, _NOFILE, _MEMLOCK, _AS, _MSGQUEUE = 0, 1, 3, 4, 6, 7, 8, 9, 12
_STACK_BYTES = 64 << 20
_OPEN_FILES = 16
_SOME_PID = 0x7EADBEEF  # stands in the prepared filter where the child's own will

with open("/proc/self/uid_map", encoding="ascii") as _file:  # read now: later the root directory is empty
    _MAPS_EVERYBODY = _file.read().split() == ["0", "0", "4294967295"]
kernel = Kernel()


def namespaces() -> str:
    """Own network, mounts, IPC and host name: by privilege, else through a user namespace."""
    kinds = _CLONE_NEWNET | _CLONE_NEWNS | _CLONE_NEWIPC | _CLONE_NEWUTS
    if os.geteuid() == 0:
        kernel("unshare", kinds)
        return "separate network, mounts, IPC and host name"
    kernel("unshare", _CLONE_NEWUSER | kinds)
    return "separate network, mounts, IPC and host name, in a user namespace"


def empty_root() -> str:
    """Make an empty directory the root. Needs CAP_SYS_CHROOT, which a user namespace gives as well."""
    os.chroot(f"/proc/{os.getpid()}/fdinfo")  # it vanishes with this process, and nothing can be made in it
    os.chdir("/")
    return "an empty root directory"


def landlock() -> str:
    """No file may be opened, no TCP port used, no abstract socket or process outside reached."""
    version = kernel("landlock_create_ruleset", 0, 0, 1)
    files = (1 << _LANDLOCK_FS_BITS.get(version, 16)) - 1
    network = 0b11 if version >= 4 else 0
    scoped = 0b11 if version >= 6 else 0
    size = 8 if version < 4 else 16 if version < 6 else 24
    attributes = Buffer(words(files, network, scoped))
    ruleset = kernel("landlock_create_ruleset", attributes.address, size, 0)
    kernel("landlock_restrict_self", ruleset, 0)
    os.close(ruleset)
    return f"Landlock ABI version {version}: no file can be opened"


def identity() -> str:
    """Another user where this one is root, and no capability left either way."""
    if os.geteuid() != 0:
        _drop_capabilities()
        return f"ordinary user {os.geteuid()}"
    name = _become_somebody_else()
    _drop_capabilities()
    return name


def _become_somebody_else() -> str:
    for uid in _SANDBOX_UIDS:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        except OSError as error:
            reason = error
        else:
            return f"user {uid}"
    if _MAPS_EVERYBODY:
        raise reason
    return "root of a user namespace that maps nobody else: an ordinary user of the machine"


def _drop_capabilities() -> None:
    header, none = Buffer(words(_CAPABILITY_VERSION, 0, size=4)), Buffer(bytes(24))
    kernel("capset", header.address, none.address)


def no_new_privs() -> str:
    """No set-uid program can give back what was taken."""
    kernel("prctl", _SET_NO_NEW_PRIVS, 1)
    return "set"


def rlimits() -> str:
    """What is the same for every candidate; the child adds address space, CPU time and processes."""
    for kind, limit in ((_CORE, 0), (_FSIZE, 0), (_NOFILE, _OPEN_FILES), (_MEMLOCK, 0), (_MSGQUEUE, 0)):
        _limit(kind, limit, limit)
    current = Buffer(bytes(16))
    kernel("prlimit64", 0, _STACK, 0, current.address)
    _limit(_STACK, *(min(_STACK_BYTES, int.from_bytes(current.bytes[8:], sys.byteorder)),) * 2)
    return f"files of 0 bytes, {_OPEN_FILES} descriptors, no core; in the child address space, CPU time and processes"


def system_calls() -> str:
    """The template's filter. The architecture must be one whose table is known."""
    name = machine()
    _install(seccomp.template_filter(name))
    return f"allow-list for {name}"


def _install(code: bytes) -> None:
    instructions = Buffer(code)
    program = Buffer(words(len(code) // 8, instructions.address))  # struct sock_fprog
    kernel("prctl", _SET_SECCOMP, _SECCOMP_FILTER, program.address)


def _limit(kind: int, soft: int, hard: int) -> None:
    limits = Buffer(words(soft, hard))
    kernel("prlimit64", 0, kind, limits.address, 0)


LAYERS = {
    "namespaces": namespaces,
    "empty_root": empty_root,
    "rlimits": rlimits,
    "identity": identity,
    "no_new_privs": no_new_privs,
    "landlock": landlock,
    "seccomp": system_calls,
}
"""The layers by name, in the only order that works: what needs privilege comes before what drops it."""


def lock_template(without: frozenset[str]) -> dict[str, list[object]]:
    """Put every layer on that `without` does not name; return {layer: [holds, detail]}."""
    report: dict[str, list[object]] = {}
    for name, put_on in LAYERS.items():
        if name in without:
            report[name] = [False, "left out by the config"]
            continue
        try:
            report[name] = [True, put_on()]
        except OSError as error:
            report[name] = [False, error.strerror or str(error)]
    kernel("prctl", _SET_DUMPABLE, 0)
    return report


class ChildLock:
    """What a child does to itself. Every byte the kernel will read is laid out here, before the first fork, because
    each page that a child writes for the first time costs it microseconds.
    """

    def __init__(self, active: frozenset[str]) -> None:
        self._calls: list[tuple[str, tuple[int, ...]]] = [("prctl", (_SET_PDEATHSIG, _SIGKILL))]
        self._memory, self._cpu, none = Buffer(bytes(16)), Buffer(bytes(16)), Buffer(bytes(16))
        self._kept = [none]
        if "rlimits" in active:
            for kind, limits in ((_AS, self._memory), (_CPU, self._cpu), (_NPROC, none)):
                self._calls.append(("prlimit64", (0, kind, limits.address)))
        self._pid_places: list[memoryview] = []
        if "seccomp" in active:
            code = seccomp.child_filter(machine(), _SOME_PID)
            instructions = Buffer(code)
            mark = _SOME_PID.to_bytes(4, sys.byteorder)
            places = [place for place in range(4, len(code), 8) if code[place : place + 4] == mark]
            self._pid_places = [instructions.bytes[place : place + 4] for place in places]
            program = Buffer(words(len(code) // 8, instructions.address))  # struct sock_fprog
            self._kept += [instructions, program]
            self._calls.append(("prctl", (_SET_SECCOMP, _SECCOMP_FILTER, program.address)))
        self._resolved = kernel.resolve(self._calls)

    def __call__(self, cpu_seconds: int, memory_bytes: int) -> None:
        """Drop the last powers. From here on the process can compute, answer and exit."""
        self._memory.bytes[:] = memory_bytes.to_bytes(8, sys.byteorder) * 2
        self._cpu.bytes[:] = words(cpu_seconds, cpu_seconds + 1)
        for place in self._pid_places:
            place[:] = os.getpid().to_bytes(4, sys.byteorder)
        for call in self._resolved:
            kernel.raw(*call)
