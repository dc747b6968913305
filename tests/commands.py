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
from collections.abc import Iterable, Sequence
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


def called(
    commands: Iterable[Sequence[str]],
    folder: Path,
    around: Sequence[str] = (),
    shell: tuple[str, str] = ("", ""),
    **variables: str,
) -> list[Left]:
    """Each command in turn in the folder, with no other variables than these; `shell` runs before and after each."""
    done = subprocess.run(
        [*around, sys.executable, "-m", "tests.commands"],
        input=json.dumps([[list(words), *shell] for words in commands]),
        env=KEPT | variables,
        cwd=folder,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    return [Left(*one) for one in json.loads(done.stdout)]


def _forked(words: list[str], before: str, after: str) -> tuple[int, str, str]:
    subprocess.run(["bash", "-c", before], check=True)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            _become(words)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode())
    subprocess.run(["bash", "-c", after], check=True)
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
    for name in IMPORTED:
        importlib.import_module(name)
    print(json.dumps([_forked(*job) for job in json.load(sys.stdin)]))
