"""One place decides what an error is: a mistake, a machine's failure or a bug; everything else follows from it."""

import errno
import importlib
import resource
import subprocess
import sys

import httpx
import pytest
import typer

from axiom.cli import app as cli
from axiom.errors import (
    ConfigError,
    DataError,
    EngineError,
    InfrastructureError,
    LockedError,
    OutOfMemoryError,
    RegressionError,
    SandboxError,
    StorageError,
    classified,
)
from axiom.tasks import stage

torch = importlib.import_module("torch")
for _module in cli.COMMAND_MODULES:  # they register on the app, which a test exchanges
    importlib.import_module(f"axiom.cli.{_module}")
MISTAKES = (ConfigError, DataError, LockedError)
MACHINES = (SandboxError, EngineError, OutOfMemoryError, InfrastructureError)


def test_whose_fault_an_error_is_decides_its_exit_status_and_whether_it_is_tried_again():
    found = {kind: (kind("x").exit_status, kind("x").transient) for kind in (*MISTAKES, *MACHINES)}
    assert {found[kind] for kind in MISTAKES} == {(2, False)}
    assert {found[kind] for kind in MACHINES} == {(1, True)}
    assert (StorageError("x").exit_status, StorageError("x").transient) == (2, True)
    assert (RegressionError("x").exit_status, RegressionError("x").transient) == (1, False)
    for kind in found:
        error = kind("as it was said")
        assert classified(error) is error


NO_ROOM = "unable to mmap 109296 bytes from file <model.safetensors>: Cannot allocate memory (12)"
ASKED = httpx.Request("POST", "http://127.0.0.1:4200/api/logs")
SERVER = importlib.import_module("prefect.exceptions").PrefectHTTPStatusError(
    "503", request=ASKED, response=httpx.Response(503, request=ASKED)
)
FROM_OUTSIDE = {
    "Python's memory": (MemoryError(), OutOfMemoryError, "memory ran out (MemoryError)"),
    "a GPU's memory": (torch.OutOfMemoryError("CUDA out of memory. Tried"), OutOfMemoryError, "memory ran out (CUDA"),
    "a file's memory": (RuntimeError(NO_ROOM), OutOfMemoryError, "memory ran out"),
    "the system's memory": (OSError(errno.ENOMEM, "Cannot allocate memory"), OutOfMemoryError, "memory ran out"),
    "a full disk": (OSError(errno.ENOSPC, "No space left", "/x/y"), StorageError, "the disk of /x/y is full"),
    "a full output": (OSError(errno.ENOSPC, "No space left"), StorageError, "this command's output is full"),
    "no right": (PermissionError(errno.EACCES, "Permission denied", "/x"), ConfigError, "/x cannot be used"),
    "read-only": (OSError(errno.EROFS, "Read-only file system", b"/x"), ConfigError, "/x cannot be used (Read-only"),
    "Prefect's server": (SERVER, InfrastructureError, "the Prefect server answered 503; its log says why"),
    "no descriptor": (OSError(errno.EMFILE, "Too many open files"), InfrastructureError, "raise `ulimit -n`"),
    "no process": (BlockingIOError(errno.EAGAIN, "Resource"), InfrastructureError, "raise `ulimit -u`"),
    "no thread": (RuntimeError("can't start new thread"), InfrastructureError, "raise `ulimit -u`"),
}


@pytest.mark.parametrize("kind", FROM_OUTSIDE)
def test_what_the_system_and_libraries_raise_becomes_one_sentence(kind):
    error, becomes, says = FROM_OUTSIDE[kind]
    found = classified(error)
    assert type(found) is becomes
    assert says in str(found)
    assert "\n" not in str(found)


def test_torch_says_that_memory_ran_out_as_is_known_here():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert type(classified(caught.value)) is OutOfMemoryError, caught.value


BUGS = (
    ValueError("a bug"),
    KeyError("a bug"),
    RuntimeError("a bug"),
    FileNotFoundError(errno.ENOENT, "No such file", "/x"),
    ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    PermissionError(errno.EACCES, "without a file"),
    BrokenPipeError(errno.EPIPE, "Broken pipe"),
)


@pytest.mark.parametrize("bug", BUGS, ids=repr)
def test_a_bug_keeps_its_own_words_and_is_not_tried_again(bug, monkeypatch):
    monkeypatch.setattr(stage, "RETRY_DELAYS_SECONDS", [0.0, 0.0])
    calls = []
    assert classified(bug) is None
    with pytest.raises(type(bug)) as caught:
        stage.retried(lambda: attempt(calls, bug))
    assert (caught.value, len(calls)) == (bug, 1)


@pytest.mark.parametrize("kind", FROM_OUTSIDE)
def test_a_stage_is_tried_again_where_a_second_attempt_may_succeed(kind, monkeypatch):
    monkeypatch.setattr(stage, "RETRY_DELAYS_SECONDS", [0.0, 0.0])
    error, becomes, _ = FROM_OUTSIDE[kind]
    calls = []
    with pytest.raises(type(error)):
        stage.retried(lambda: attempt(calls, error))
    assert len(calls) == (3 if becomes.transient else 1)


def attempt(calls, error):
    calls.append(error)
    raise error


@pytest.mark.parametrize("kind", FROM_OUTSIDE)
def test_a_command_ends_with_that_sentence_and_status(kind, monkeypatch, capsys):
    error, becomes, says = FROM_OUTSIDE[kind]
    broken = typer.Typer()
    broken.command()(lambda: attempt([], error))
    monkeypatch.setattr(cli, "app", broken)
    monkeypatch.setattr(sys, "argv", ["axiom"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    told = capsys.readouterr().err
    assert stop.value.code == becomes.exit_status
    assert told.startswith("error:" if becomes.exit_status == 2 else "failed:")
    assert says in told
    assert told.strip().count("\n") == 0


def test_memory_that_the_system_refuses_is_a_sentence_of_a_real_process():
    """The address space of a process of its own is limited, and numpy asks for more."""
    code = (
        "import numpy, resource; from axiom.errors import classified\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 31, resource.RLIM_INFINITY))\n"
        "try: numpy.ones(1 << 32)\n"
        "except Exception as error: print(type(classified(error)).__name__)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.stdout.strip() == "OutOfMemoryError", found.stderr
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
