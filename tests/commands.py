"""Commands of `axiom` in surroundings that only a process has: a disk, a home, standard streams.

What a command costs beside its work is its imports. Here one process has them, and each command is a fork of it with
streams of its own.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).parents[1]
KEPT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
IMPORTED = (
    "axiom.cli.app",
    "axiom.report.page",
    "axiom.report.charts",
    "axiom.study",
    "pyarrow.parquet",
    "scipy.stats",
)


class Left(NamedTuple):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


class Commander:
    """A process with the imports of commands, whose forks are commands of `axiom`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def call(self, *words: str, before: str = "", after: str = "") -> Left:
        """How a command ended; a shell's scripts run before and after it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([words, before, after]) + "\n")
        self._process.stdin.flush()
        return Left(*json.loads(self._process.stdout.readline()))


@contextmanager
def commanding(
    folder: Path, around: Sequence[str] = (), also: Sequence[str] = (), **variables: str
) -> Iterator[Commander]:
    """A commander in the folder that has imported the modules `also`, with no other variables than these."""
    with subprocess.Popen(
        [*around, sys.executable, "-m", "tests.commands", *also],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=KEPT | variables,
        cwd=folder,
        encoding="utf-8",
    ) as process:
        yield Commander(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0


def called(commands: Iterable[Sequence[str]], folder: Path, around: Sequence[str] = (), **variables: str) -> list[Left]:
    """Each command in turn in the folder, with no other variables than these."""
    with commanding(folder, around, **variables) as commander:
        return [commander.call(*words) for words in commands]


def _forked(words: list[str], before: str, after: str) -> tuple[int, str, str]:
    subprocess.run(["bash", "-c", before], stdin=subprocess.DEVNULL, check=True)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, open(os.devnull) as nothing:
        child = os.fork()
        if child == 0:
            for number, file in enumerate((nothing, out, err)):
                os.dup2(file.fileno(), number)
            _become(words)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode())
    subprocess.run(["bash", "-c", after], stdin=subprocess.DEVNULL, check=True)
    return code, said[0], said[1]


def _become(words: list[str]) -> None:
    """This process is the command from here on, and ends with it."""
    from axiom.cli.app import main

    code: Any = 70
    try:
        sys.argv = ["axiom", *words]
        main()
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:  # noqa: BLE001 - as the interpreter does at its end
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    for name in (*IMPORTED, *sys.argv[1:]):
        importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps(_forked(*json.loads(line))), flush=True)
