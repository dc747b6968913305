"""Runs as a user starts them, in processes of their own, and the same without the workflow around them.

A run under Prefect costs ten to twenty seconds of CPU time more, most of it for a server, and leaves the same store.
What a test learns from the store alone is computed without.
"""

import io
import multiprocessing
import os
import subprocess
import sys
from contextlib import redirect_stdout
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from axiom.cli.app import main
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
    environment = os.environ | {"PREFECT_HOME": str(folder / "prefect"), "AXIOM_ROOT": str(folder / "artifacts")}
    environment["OMP_NUM_THREADS"] = "1"  # on a busy machine two threads wait for each other
    return subprocess.Popen(
        [sys.executable, "-m", "axiom.cli", *command],
        env=environment | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def start_to_kill(folder: Path, preset: Path, *settings: str) -> ForkServerProcess:
    """A run without Prefect in a process and a session of its own."""
    process = APART.Process(target=_leading, args=(str(folder / "artifacts"), str(preset), *settings))
    process.start()
    return process


def _leading(*arguments: str) -> None:
    os.setsid()
    alone(*arguments)


def finish(process: subprocess.Popen[str]) -> str:
    """What the command said; it must have succeeded."""
    out, _ = process.communicate(timeout=800)
    assert process.returncode == 0, out
    return out


def said(*command: str) -> str:
    """What a command says in this process, under the Prefect server that PREFECT_API_URL names; it must succeed."""
    with (
        redirect_stdout(io.StringIO()) as out,
        patch.object(sys, "argv", ["axiom", *command]),
        pytest.raises(SystemExit) as stop,
    ):
        main()
    assert not stop.value.code, out.getvalue()
    return out.getvalue()


def alone(root: Path | str, preset: Path | str, *settings: str, **top: Any) -> Experiment:
    """A run, begun or resumed, in this process and without Prefect."""
    config = load_config(preset, settings, **top)
    without_server(config, str(root), Operation(gpu="never"))
    return Experiment.open(str(root), config.name)
