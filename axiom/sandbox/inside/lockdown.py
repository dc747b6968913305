"""The isolation layers, each a function that takes a power away for good.

A template calls `lock_template` once; a child calls `lock_child` between the fork and its candidate. Each layer returns a
sentence about what holds, or raises OSError with the reason why it does not.
"""

import ctypes
import os
import platform
import resource
import struct

from . import seccomp
from .syscalls import AUDIT_ARCH

LIBC = ctypes.CDLL(None, use_errno=True)

_SET_PDEATHSIG, _SET_DUMPABLE, _SET_SECCOMP, _SET_NO_NEW_PRIVS, _CAPBSET_DROP = 1, 4, 22, 38, 24
_SIGKILL = 9
_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC, _CLONE_NEWUSER, _CLONE_NEWNET = (
    0x20000, 0x04000000, 0x08000000, 0x10000000, 0x40000000,
)  # fmt: skip
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446
_LANDLOCK_FS_BITS = {1: 13, 2: 14, 3: 15, 4: 15}  # from version 5 on: 16
_SANDBOX_UIDS = (61_184, 65_534)  # first the range that no account has, then nobody, for namespaces that map few ids
_STACK_BYTES = 64 << 20
_OPEN_FILES = 16


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _prctl(option: int, value: int, pointer: object = 0) -> None:
    _checked(LIBC.prctl(option, ctypes.c_ulong(value), pointer, 0, 0), f"prctl({option})")


def namespaces() -> str:
    """Own network, mounts, IPC and host name: by privilege, else through a user namespace."""
    kinds = _CLONE_NEWNET | _CLONE_NEWNS | _CLONE_NEWIPC | _CLONE_NEWUTS
    if os.geteuid() == 0:
        _checked(LIBC.unshare(kinds), "unshare")
        return "network, mounts, IPC and host name of its own"
    _checked(LIBC.unshare(_CLONE_NEWUSER | kinds), "unshare")
    return "network, mounts, IPC and host name of its own, in a user namespace"


def empty_root() -> str:
    """Make an empty directory the root. Needs CAP_SYS_CHROOT, which a user namespace gives as well."""
    path = (
        f"/proc/{os.getpid()}/fdinfo"  # belongs to this process alone and vanishes with it; nothing can be made in it
    )
    _checked(LIBC.chroot(path.encode()), "chroot")
    os.chdir("/")
    return "an empty root directory"


def landlock() -> str:
    """No file may be opened, no TCP port used, no abstract socket or process outside reached."""
    version = LIBC.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    _checked(version, "landlock")
    files = (1 << _LANDLOCK_FS_BITS.get(version, 16)) - 1
    network = 0b11 if version >= 4 else 0
    scoped = 0b11 if version >= 6 else 0
    attributes = struct.pack("=QQQ", files, network, scoped)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = _checked(LIBC.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(size), 0), "landlock_create_ruleset")
    _checked(LIBC.syscall(_LANDLOCK_RESTRICT, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)
    return f"Landlock version {version}, nothing may be opened"


def identity() -> str:
    """Another user where this one is root, and no capability left either way."""
    if os.geteuid() != 0:
        _drop_capabilities()
        return f"ordinary user {os.geteuid()}"
    for uid in _SANDBOX_UIDS:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            break
        except OSError as error:
            reason = error
    else:
        raise reason
    _drop_capabilities()
    return f"user {uid}"


def _drop_capabilities() -> None:
    header = struct.pack("=II", 0x20080522, 0)
    _checked(LIBC.capset(header, bytes(24)), "capset")


def no_new_privs() -> str:
    """No set-uid program can give back what was taken."""
    _prctl(_SET_NO_NEW_PRIVS, 1)
    return "set"


def rlimits() -> str:
    """What is the same for every candidate; the child adds address space, CPU time and processes."""
    for kind, limit in (
        (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_MEMLOCK, 0), (resource.RLIMIT_MSGQUEUE, 0),
    ):  # fmt: skip
        resource.setrlimit(kind, (limit, limit))
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    stack = _STACK_BYTES if hard == resource.RLIM_INFINITY else min(hard, _STACK_BYTES)
    resource.setrlimit(resource.RLIMIT_STACK, (stack, stack))
    return f"files of 0 bytes, {_OPEN_FILES} descriptors, no core; in the child address space, CPU time and processes"


def system_calls() -> str:
    """The template's filter. The architecture must be one whose table is known."""
    _install(seccomp.template_filter(machine()))
    return f"allow-list for {machine()}"


def machine() -> str:
    """The architecture, or OSError naming one that has no table."""
    name = platform.machine()
    if name not in AUDIT_ARCH:
        raise OSError(0, f"no system call table for {name}; known: {', '.join(AUDIT_ARCH)}")
    return name


def _install(code: bytes) -> None:
    program, buffer = seccomp.as_program(code)
    _prctl(_SET_SECCOMP, 2, ctypes.byref(program))
    del buffer


LAYERS = {
    "namespaces": (namespaces,),
    "empty_root": (empty_root,),
    "rlimits": (rlimits,),
    "identity": (identity,),
    "no_new_privs": (no_new_privs,),
    "landlock": (landlock,),
    "seccomp": (system_calls,),
}
"""Each layer's name and steps, in the only order that works: what needs privilege comes before what drops it."""


def lock_template(without: frozenset[str]) -> dict[str, list[object]]:
    """Put every layer on that `without` does not name; return {layer: [holds, detail]}."""
    report: dict[str, list[object]] = {}
    for name, steps in LAYERS.items():
        if name in without:
            report[name] = [False, "left out by the config"]
            continue
        try:
            report[name] = [True, "; ".join(step() for step in steps)]
        except OSError as error:
            report[name] = [False, error.strerror or str(error)]
    _prctl(_SET_DUMPABLE, 0)
    return report


class ChildLock:
    """What a child does to itself, prepared in the template so that little is left to do after the fork."""

    def __init__(self, active: frozenset[str]) -> None:
        self._limits = "rlimits" in active
        self._machine = machine() if "seccomp" in active else None

    def __call__(self, cpu_seconds: int, memory_bytes: int) -> None:
        """Drop the last powers. From here on the process can compute, answer and exit."""
        _prctl(_SET_PDEATHSIG, _SIGKILL)
        if self._limits:
            resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
            resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        if self._machine:
            _install(seccomp.child_filter(self._machine, os.getpid()))
