"""A fork shares what came before it to the byte and goes its own way after."""

import os
import subprocess
import sys

import pytest

from axiom.experiment import Experiment

pytestmark = pytest.mark.slow


def axiom(folder, *command: str) -> str:
    environment = os.environ | {"PREFECT_HOME": str(folder / "prefect"), "AXIOM_ROOT": str(folder / "artifacts")}
    return subprocess.run(
        [sys.executable, "-m", "axiom.cli", *command], env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_a_fork_inherits_then_differs_and_resumes(tmp_path):
    small = ["--set", "model.kind=modular", "--set", "modular.p=23"]
    axiom(tmp_path, "run", "--experiment", "parent", "--iterations", "4", *small)
    axiom(tmp_path, "fork", "parent", "--at", "3", "--experiment", "child", "--set", "sampling.temperature=4.0")
    parent, child = (Experiment.open(str(tmp_path / "artifacts"), name) for name in ("parent", "child"))
    assert (child.inherited, parent.inherited) == (3, 0)
    assert (child.config.sampling.temperature, child.config.iterations) == (4.0, 4)
    for number in range(5):
        folder = f"iterations/{number:04d}"
        ours, theirs = child.stages.manifest("evaluation", folder), parent.stages.manifest("evaluation", folder)
        assert ours is not None
        assert theirs is not None
        if number < 3:
            assert ours == theirs
    folder = "iterations/0003"
    assert child.stages.manifest("samples", folder).digest != parent.stages.manifest("samples", folder).digest
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "artifacts/child/iterations").rglob("*.*")}
    axiom(tmp_path, "resume", "child")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "artifacts/child/iterations").rglob("*.*")} == before
