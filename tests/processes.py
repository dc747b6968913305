"""Commands of axiom in processes of their own, as a user starts them."""

import os
import subprocess
import sys
from pathlib import Path


def start(folder: Path, *command: str) -> subprocess.Popen[str]:
    """A command whose store and Prefect files lie in `folder`, in a session of its own."""
    environment = os.environ | {"PREFECT_HOME": str(folder / "prefect"), "AXIOM_ROOT": str(folder / "artifacts")}
    environment["OMP_NUM_THREADS"] = "1"  # on a busy machine two threads wait for each other
    return subprocess.Popen(
        [sys.executable, "-m", "axiom.cli", *command],
        env=environment,
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
