"""A whole run in an object store, through a real S3 server: killed at any upload, or with faults, it ends the same."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs

from axiom.config import ExperimentConfig
from axiom.experiment import Experiment
from axiom.flows.experiment import without_server
from axiom.flows.operation import OPERATION
from tests.object_store import BUCKET, Asked, Proxy, environment, files, moto, proxied

CONFIG = {
    "name": "run",
    "iterations": 2,
    "model": {"kind": "modular"},
    "modular": {"p": 13, "embedding": 8, "hidden": 16, "steps_per_iteration": 5},
    "sampling": {"samples_per_problem": 3, "temperature": 3.0},
    "replay": {"share": 0.3},
}
TIMED = ("verdicts", "eval_verdicts", "metrics", "iteration")
"""Stages whose tables hold seconds, or handles of such."""
RUN = """
import sys
from tests.experiment.test_object_store import run
run(sys.argv[1])
"""


def run(root: str) -> Experiment:
    config = ExperimentConfig.model_validate(CONFIG)
    without_server(config, root, OPERATION)
    return Experiment.open(root, "run")


def digests(experiment: Experiment) -> dict[str, str]:
    """Of every stage whose bytes are the same whenever it is computed; each is whole."""
    found = {}
    for folder in ("problems", *(f"iterations/{number:04d}" for number in range(3))):
        for name in experiment.folder.join(folder).names():
            stage = name.removesuffix(".manifest.json")
            if stage != name:
                manifest = experiment.stages.manifest(stage, folder)
                assert experiment.stages.intact(manifest, need_files=False), (folder, stage)
                found |= {f"{folder}/{stage}": manifest.digest} if stage not in TIMED else {}
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with moto() as address:
        files(address).mkdir(BUCKET)
        yield address


@pytest.fixture
def proxy(server, monkeypatch, tmp_path) -> Iterator[Proxy]:
    monkeypatch.setenv("AXIOM_CACHE_DIR", str(tmp_path / "cache"))
    with proxied(server) as found:
        for name, value in environment(found.address).items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        yield found
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, str]:
    """On a local disk: where a run lies changes nothing of what it computes."""
    found = digests(run(str(tmp_path_factory.mktemp("undisturbed"))))
    assert len(found) == 19
    return found


def killed_at(proxy: Proxy, root: str, wanted, before: bool) -> bool:
    """Run in a process that is killed as it uploads the file that `wanted` tells, before or after it arrives."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, root],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def fault(asked: Asked) -> str | None:
        if asked.method != "PUT" or ".lease" in asked.path or not wanted(asked.path):
            return None
        os.kill(process.pid, signal.SIGKILL)
        return "cut" if before else "lost"

    proxy.fault = fault
    process.wait()
    proxy.fault = lambda asked: None
    return process.returncode == -signal.SIGKILL


def test_killed_as_it_uploads_it_resumes_to_the_same_digests(proxy, undisturbed, request):
    root = f"s3://{BUCKET}/{request.node.name}"
    assert killed_at(proxy, root, lambda path: path.endswith("iterations/0001/gold.manifest.json"), before=True)
    there = Experiment.open(root, "run")
    assert there.folder.join("iterations/0001").exists("gold.parquet")
    assert there.stages.manifest("gold", "iterations/0001") is None, "the manifest comes last"
    assert there.stages.manifest("passed_over", "iterations/0001") is None, "and no later one before it"
    assert digests(run(root)) == undisturbed


@pytest.mark.long
def test_a_finished_run_is_reused(proxy, request):
    root = f"s3://{BUCKET}/{request.node.name}"
    run(root)
    count = len(proxy.asked)
    run(root)
    stages = [asked.path for asked in proxy.asked[count:] if asked.method == "PUT" and "iterations" in asked.path]
    assert stages == [], "nothing is computed"


@pytest.mark.long
def test_killed_at_every_upload_it_resumes_to_the_same_digests(proxy, undisturbed, request):
    """Before and after each file of the problems, of the base model's evaluation and of the first round arrives."""
    base = f"s3://{BUCKET}/{request.node.name}"
    run(f"{base}/whole")
    names = [
        asked.path.partition("/run/")[2] for asked in proxy.asked if asked.method == "PUT" and "/run/" in asked.path
    ]
    points = [name for name in dict.fromkeys(names) if ".lease" not in name and "iterations/0002" not in name]
    assert len(points) > 40
    for number, name in enumerate(points):
        root, before = f"{base}/{number}", number % 2 == 0
        assert killed_at(proxy, root, lambda path, name=name: path.endswith(f"/run/{name}"), before), name
        assert digests(run(root)) == undisturbed, name


@pytest.mark.long
@pytest.mark.parametrize("kind", ["503", "500", "slow", "lost", "cut"])
def test_through_faults_it_ends_the_same(proxy, undisturbed, kind, request):
    proxy.slow_seconds = 0.3
    proxy.fault = lambda asked: kind if asked.number % 9 == 0 else None
    assert digests(run(f"s3://{BUCKET}/{request.node.name}")) == undisturbed
