"""The error vocabulary: named by whose mistake it is, because that decides what happens next.

    AxiomError
    ├── UserError (also ValueError)     the input is wrong: one sentence, exit code 2, never retried
    │   ├── ConfigError                 a preset, an option or a name
    │   ├── DataError                   a file the user handed in or an artifact of another shape
    │   └── LockedError                 somebody else is writing this experiment
    ├── RegressionError                 a run that is known to learn does not; no machine failed
    └── InfrastructureError             a machine failed: retried, then the stage fails; never a verdict
        ├── SandboxError                a template died, a layer does not hold, a canary had a wrong outcome
        ├── EngineError                 a process that samples or trains crashed or hung
        ├── OutOfMemoryError            host or device memory ran out
        └── StorageError                a file could not be read or written

A program that a model wrote and that fails is none of these: it is a `Verdict`. What libraries and the system raise
when memory, disks, processes or descriptors run out becomes one of these in `classified`, the one place that decides
whether an error is a sentence or a bug.
"""

import errno
import os


class AxiomError(Exception):
    """Base of every error axiom raises on purpose.

    `exit_status` is that of a command which ends with it, `transient` whether a second attempt may succeed.
    """

    exit_status = 1
    transient = False


class UserError(AxiomError, ValueError):
    """The input is wrong. The message gives the value, the limit and the next step."""

    exit_status = 2


class ConfigError(UserError):
    """A preset, an option or a name cannot be used."""


class DataError(UserError):
    """A file does not have the shape it must have."""


class LockedError(UserError):
    """Another process is writing this experiment."""


class RegressionError(AxiomError):
    """A run that is known to learn no longer does. No machine failed: a second attempt would find the same."""


class InfrastructureError(AxiomError):
    """A machine failed, not a candidate: the stage is retried."""

    transient = True


class SandboxError(InfrastructureError):
    """The sandbox cannot vouch for its verdicts."""


class EngineError(InfrastructureError):
    """A process that samples or trains crashed, hung or answered out of turn."""


class OutOfMemoryError(InfrastructureError):
    """Host or device memory ran out even at the smallest batch."""


class StorageError(InfrastructureError):
    """A file could not be read or written."""

    exit_status = 2


FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says of a disk without room."""
_WRONG_PLACE = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.ENAMETOOLONG,
        errno.ELOOP,
    }
)
"""Errors that a second attempt would meet again."""


def of_the_system(error: OSError, path: str, done: str) -> ConfigError | StorageError:
    """What the system says of `path`, which could not be `done` ("read", "written"), in a sentence."""
    if error.errno in FULL:
        return StorageError(f"the disk of {path} is full; free some space and resume; finished stages are kept")
    says = f"{path} cannot be {done} ({error.strerror or error})"
    if error.errno in _WRONG_PLACE:
        return ConfigError(f"{says}; choose another folder with --root, or change what is there")
    return StorageError(f"{says}; check the disk and resume; finished stages are kept")


def classified(error: BaseException) -> AxiomError | None:
    """The error as one of ours, whoever raised it; None for a bug, which keeps its traceback."""
    if isinstance(error, AxiomError):
        return error
    says = " ".join(str(error).split())[:300] or type(error).__name__
    if _of_memory(error):
        return OutOfMemoryError(
            f"memory ran out ({says}); free some, or lower sampling.batch_size, training.batch_size or the problems"
        )
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.EMFILE, errno.ENFILE):
        return InfrastructureError(f"no file can be opened any more ({says}); raise `ulimit -n`")
    if number == errno.EAGAIN or (isinstance(error, RuntimeError) and "can't start new thread" in says):
        return InfrastructureError(f"the system refuses another process or thread ({says}); raise `ulimit -u`")
    if (status := server_status(error)) >= 500:
        return InfrastructureError(
            f"the Prefect server answered {status}; its log says why, mostly a database that cannot be used or a full "
            f"disk; mend that and resume; finished stages are kept"
        )
    if isinstance(error, OSError) and (number in FULL or (number in _WRONG_PLACE and error.filename)):
        return of_the_system(error, os.fsdecode(error.filename or "this command's output"), "used")
    return None


def server_status(error: BaseException) -> int:
    """The HTTP status that an error of Prefect's client holds, 0 for any other; Prefect is not loaded for it."""
    return int(vars(error)["response"].status_code) if type(error).__name__ == "PrefectHTTPStatusError" else 0


def _of_memory(error: BaseException) -> bool:
    """Whether memory ran out, of this machine or of a device, as Python, the system or torch says it."""
    allocation = isinstance(error, RuntimeError) and any(
        text in str(error) for text in ("can't allocate memory", "Cannot allocate memory", "CUDA out of memory")
    )
    of_torch = type(error).__name__ == "OutOfMemoryError"  # torch's, without loading torch
    return isinstance(error, MemoryError) or of_torch or allocation or getattr(error, "errno", None) == errno.ENOMEM
