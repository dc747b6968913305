"""Seccomp filters as BPF programs.

Two are stacked. The template installs `template_filter` once, so the kernel compiles the long list once; each child
adds the short `child_filter`, which takes away what only the template needs. The stricter answer of the two wins.
"""

from collections.abc import Iterable

from .libc import numbers
from .syscalls import ALLOWED, AUDIT_ARCH, CHECKED, FATAL, TEMPLATE_ONLY

KILL, ALLOW = 0x80000000, 0x7FFF0000
EPERM, EACCES, ECHILD, ENOTTY, ENOSYS = 1, 13, 10, 25, 38

_LOAD, _JEQ, _JGE, _JSET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARGS = 0, 4, 16
_X32_BIT = 0x40000000

_PROT_EXEC = 4
_WRITING = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000 | 0o20000000  # WRONLY, RDWR, CREAT, TRUNC, APPEND, TMPFILE
_CLONE_THREAD = 0x10000
_AF_UNIX = 1
_CRASHES = (4, 6, 7, 8, 11)  # SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV
_FCNTL = (0, 1, 2, 3, 4, 1030)  # DUPFD, GETFD, SETFD, GETFL, SETFL, DUPFD_CLOEXEC
_FIONREAD, _FIONBIO, _FIONCLEX, _FIOCLEX, _TCGETS = 0x541B, 0x5421, 0x5450, 0x5451, 0x5401

Rule = tuple[int, list[bytes]]


def errno(number: int) -> int:
    """The filter's answer that makes the call fail with this errno."""
    return 0x00050000 | number


def _op(code: int, k: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return code.to_bytes(2, "little") + bytes((if_true, if_false)) + k.to_bytes(4, "little")


def _end(answer: int) -> bytes:
    return _op(_RETURN, answer)


def _argument(index: int, high: bool = False) -> bytes:
    return _op(_LOAD, _ARGS + 8 * index + (4 if high else 0))


def _if_bits(index: int, mask: int, then: int, otherwise: int) -> list[bytes]:
    return [_argument(index), _op(_JSET, mask, 0, 1), _end(then), _end(otherwise)]


def _by_value(index: int, answers: dict[int, int], otherwise: int) -> list[bytes]:
    body = [_argument(index)]
    for value, answer in answers.items():
        body += [_op(_JEQ, value, 0, 1), _end(answer)]
    return [*body, _end(otherwise)]


def _if_null(index: int, then: int, otherwise: int) -> list[bytes]:
    return [
        _argument(index),
        _op(_JEQ, 0, 0, 3),
        _argument(index, high=True),
        _op(_JEQ, 0, 0, 1),
        _end(then),
        _end(otherwise),
    ]


def _crash_of(pid: int) -> list[bytes]:
    """tgkill: abort() and the like on oneself is a crash; every other signal is an attack."""
    crashes = [part for number in _CRASHES for part in (_op(_JEQ, number, 0, 1), _end(ALLOW))]
    body = [_argument(2), *crashes, _end(KILL)]
    return [_argument(0), _op(_JEQ, pid, 1, 0), _end(KILL), *body]


def _program(machine: str, rules: Iterable[Rule], default: int) -> bytes:
    head = [_op(_LOAD, _ARCH), _op(_JEQ, AUDIT_ARCH[machine], 1, 0), _end(KILL), _op(_LOAD, _NUMBER)]
    if machine == "x86_64":
        head += [_op(_JGE, _X32_BIT, 0, 1), _end(KILL)]
    body = []
    for number, answer in rules:
        body += [_op(_JEQ, number, 0, len(answer)), *answer]
    return b"".join([*head, *body, _end(default)])


def _checks() -> dict[str, list[bytes]]:
    opening = {"open": 1, "openat": 2}
    return {
        **{name: _if_bits(flags, _WRITING, KILL, errno(EACCES)) for name, flags in opening.items()},
        "mmap": _if_bits(2, _PROT_EXEC, errno(EPERM), ALLOW),
        "mprotect": _if_bits(2, _PROT_EXEC, errno(EPERM), ALLOW),
        "fcntl": _by_value(1, dict.fromkeys(_FCNTL, ALLOW), errno(EPERM)),
        "ioctl": _by_value(
            1,
            {**dict.fromkeys((_FIONREAD, _FIONBIO, _FIONCLEX, _FIOCLEX), ALLOW), _TCGETS: errno(ENOTTY)},
            errno(EPERM),
        ),
        "socketpair": _by_value(0, {_AF_UNIX: ALLOW}, KILL),
        "sendto": _if_null(4, ALLOW, KILL),
        "clone3": [_end(errno(ENOSYS))],
    }


def template_filter(machine: str) -> bytes:
    """The long list: everything a template or a child may call; all else fails or ends the process."""
    checks = _checks()
    checked = numbers(CHECKED, architecture=machine)
    rules = [(checked[name], checks[name]) for name in checks if name in checked]
    later = [number for name, number in checked.items() if name not in checks]  # the child's filter decides
    free = numbers(ALLOWED, TEMPLATE_ONLY, architecture=machine).values()
    rules += [(number, [_end(ALLOW)]) for number in (*free, *later)]
    rules += [(number, [_end(KILL)]) for number in numbers(FATAL, architecture=machine).values()]
    return _program(machine, rules, errno(EPERM))


def child_filter(machine: str, pid: int) -> bytes:
    """What the template may do and a candidate may not: fork, wait, signal, pass descriptors, set limits."""
    answers = {
        "clone": _if_bits(0, _CLONE_THREAD, errno(EPERM), KILL),
        "prlimit64": _if_null(2, ALLOW, errno(EPERM)),
        "tgkill": _crash_of(pid),
        "pidfd_open": [_end(KILL)],
        "pidfd_send_signal": [_end(KILL)],
        "seccomp": [_end(KILL)],
        "prctl": [_end(errno(EPERM))],
        "recvmsg": [_end(errno(EPERM))],
        "wait4": [_end(errno(ECHILD))],
        "waitid": [_end(errno(ECHILD))],
    }
    known = numbers(CHECKED, TEMPLATE_ONLY, architecture=machine)
    return _program(machine, [(known[name], body) for name, body in answers.items()], ALLOW)
