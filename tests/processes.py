"""Runs as a user starts them, in processes of their own, and the same without the workflow around them.

A run under Prefect costs ten to twenty seconds of CPU time more, most of it for a server, and leaves the same store.
What a test learns from the store alone is computed without.
"""

import multiprocessing
import os
import subprocess
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from axiom.config import load_config
from axiom.experiment import Experiment
from axiom.flows.experiment import without_server
from axiom.flows.operation import Operation

REPOSITORY = Path(__file__).parents[1]
APART = multiprocessing.get_context("forkserver")
"""Processes that find what a run imports."""
APART.set_forkserver_preload(
    ["axiom.flows.experiment", "axiom.learners.modular", "axiom.report.page", "axiom.report.charts", "s3fs", "torch"]
)


def start(folder: Path, *command: str) -> subprocess.Popen[str]:
    """A command whose store and Prefect files lie in `folder`, in a session of its own."""
    return _start(folder, "axiom.cli", *command)


def start_alone(folder: Path, preset: Path, *settings: str, **more: str) -> subprocess.Popen[str]:
    """A run without Prefect in a new process, to give it other surroundings."""
    return _start(folder, "tests.processes", str(folder / "artifacts"), str(preset), *settings, **more)


def start_to_kill(folder: Path, preset: Path, *settings: str) -> ForkServerProcess:
    """A run without Prefect in a process and a session of its own."""
    process = APART.Process(target=_leading, args=(str(folder / "artifacts"), str(preset), *settings))
    process.start()
    return process


def _leading(*arguments: str) -> None:
    os.setsid()
    alone(*arguments)


def _start(folder: Path, module: str, *arguments: str, **more: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PREFECT_HOME": str(folder / "prefect"), "AXIOM_ROOT": str(folder / "artifacts")}
    environment["OMP_NUM_THREADS"] = "1"  # on a busy machine two threads wait for each other
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env=environment | {"PYTHONPATH": str(REPOSITORY)} | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """What the command said; it must have succeeded."""
    out, _ = process.communicate(timeout=800)
    assert process.returncode == 0, out
    return out


def alone(root: Path | str, preset: Path | str, *settings: str, **top: Any) -> Experiment:
    """A run, begun or resumed, in this process and without Prefect."""
    config = load_config(preset, settings, **top)
    without_server(config, str(root), Operation(gpu="never"))
    return Experiment.open(str(root), config.name)


if __name__ == "__main__":
    alone(*sys.argv[1:])
