"""The error vocabulary: named by whose mistake it is, because that decides what happens next.

    AxiomError
    ├── UserError (also ValueError)     the input is wrong: one sentence, exit code 2, never retried
    │   ├── ConfigError                 a preset, an option or a name
    │   ├── DataError                   a file the user handed in or an artifact of another shape
    │   └── LockedError                 somebody else is writing this experiment
    ├── RegressionError                 a run that is known to learn does not; no machine failed
    └── InfrastructureError             a machine failed: retried, then the stage fails; never a verdict
        ├── SandboxError                a template died, a layer does not hold, a canary had a wrong outcome
        ├── EngineError                 the sampling engine crashed or hung
        ├── OutOfMemoryError            host or device memory ran out
        └── StorageError                a file could not be read or written

A program that a model wrote and that fails is none of these: it is a `Verdict`.
"""


class AxiomError(Exception):
    """Base of every error axiom raises on purpose."""


class UserError(AxiomError, ValueError):
    """The input is wrong. The message gives the value, the limit and the next step."""


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


class SandboxError(InfrastructureError):
    """The sandbox cannot vouch for its verdicts."""


class EngineError(InfrastructureError):
    """The sampling engine crashed, hung or answered out of turn."""


class OutOfMemoryError(InfrastructureError):
    """Host or device memory ran out even at the smallest batch."""


class StorageError(InfrastructureError):
    """A file could not be read or written."""
