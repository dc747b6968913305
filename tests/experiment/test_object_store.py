"""A whole run in an object store, through a real S3 server: killed at any upload, or with faults, it ends the same."""

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest
import s3fs

from axiom.config import ExperimentConfig, override
from axiom.errors import ConfigError, DataError
from axiom.experiment import Experiment
from axiom.experiment.fork import fork
from axiom.flows.experiment import without_server
from axiom.flows.operation import OPERATION
from axiom.folders import Folder
from axiom.store import MANIFEST, Writer
from tests.object_store import BUCKET, Asked, Proxy, address_name, environment, files, proxied, seaweed
from tests.processes import APART

pytestmark = pytest.mark.slow

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


def run(root: str) -> Experiment:
    config = ExperimentConfig.model_validate(CONFIG)
    without_server(config, root, OPERATION)
    return Experiment.open(root, "run")


def run_with(environment: dict[str, str], root: str) -> None:
    os.environ |= environment
    run(root)


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
def server(tmp_path_factory) -> Iterator[str]:
    with seaweed(tmp_path_factory.mktemp("seaweed")) as address:
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
    assert len(found) == 22
    return found


def killed(proxy: Proxy, root: str, at: Callable[[str], str | None]) -> bool:
    """Run in a process that is killed as it uploads a file: `at` its path says "cut", before it arrives, or "lost"."""
    process = APART.Process(target=run_with, args=(dict(os.environ), root))
    lock, dead = threading.Lock(), False

    def fault(asked: Asked) -> str | None:
        nonlocal dead
        with lock:
            if dead or asked.method != "PUT" or ".lease" in asked.path or (kind := at(asked.path)) is None:
                return None
            dead = True
            os.kill(process.pid, signal.SIGKILL)
            return kind

    proxy.fault = fault
    process.start()
    process.join()
    proxy.fault = lambda asked: None
    assert process.exitcode == (-signal.SIGKILL if dead else 0)
    return dead


@pytest.mark.slow
def test_killed_as_it_uploads_it_resumes_to_the_same_digests(proxy, undisturbed, request):
    root = f"s3://{BUCKET}/{address_name(request)}"
    assert killed(proxy, root, lambda path: "cut" if path.endswith("iterations/0001/gold.manifest.json") else None)
    there = Experiment.open(root, "run")
    assert there.folder.join("iterations/0001").exists("gold.parquet")
    assert there.stages.manifest("gold", "iterations/0001") is None, "the manifest comes last"
    assert there.stages.manifest("passed_over", "iterations/0001") is None, "and no later one before it"
    assert digests(run(root)) == undisturbed


@pytest.fixture
def parent(proxy, request) -> Experiment:
    """Two iterations whose stages are a file each; of one a file was pruned."""
    root = f"s3://{BUCKET}/{address_name(request)}"
    parent = Experiment.create(root, ExperimentConfig.model_validate(CONFIG))

    def work(out: Writer) -> None:
        for name in ("kept", "pruned"):
            (out.directory(name) / "file").write_text(name)

    with parent.locked():
        parent.save()
        for folder in ("problems", "iterations/0000", "iterations/0001"):
            for stage in ("adapter", "iteration") if "it" in folder else ("problems",):
                does = work if stage == "adapter" else lambda out: None
                parent.stages.run(stage, folder, settings=None, version="1", inputs={}, work=does)
        parent.stages.prune("adapter", "iterations/0001", "pruned/")
    return parent


def test_a_fork_has_what_its_parent_has_and_its_record_comes_last(parent, proxy, server):
    count = len(proxy.asked)
    child = fork(parent, override(parent.config, name="run2"), 2)
    sent = [asked.path for asked in proxy.asked[count:] if asked.method == "PUT" and ".lease" not in asked.path]
    assert sent[-1].endswith("/run2/experiment.json")
    assert (child.last_done(), child.inherited, child.forked_from) == (1, 2, "run")
    for folder in ("problems", "iterations/0000", "iterations/0001"):
        assert child.stages.names(folder) == parent.stages.names(folder)
        for stage in child.stages.names(folder):
            ours = child.stages.manifest(stage, folder)
            assert ours == parent.stages.manifest(stage, folder)
            assert child.stages.intact(ours, need_files=False)
    assert not child.folder.join("iterations/0001/pruned").exists("file")
    assert not child.is_locked()
    with pytest.raises(ConfigError, match="run2 already exists"):
        fork(parent, override(parent.config, name="run2"), 2)
    Folder(parent.folder.url).remove_all()
    assert child.last_done() == 1, "the name of one is the beginning of the other's"
    assert {path.split("/")[2] for path in files(server).find(parent.root)} == {"run2"}


def test_a_fork_that_fails_in_a_store_leaves_nothing(parent, proxy):
    def there() -> set[str]:
        return {path.split("/")[2] for path in files(proxy.address).find(parent.root)}

    files(proxy.address).pipe_file(f"{parent.folder.url}/iterations/0001/kept/file", b"other")
    with pytest.raises(DataError, match=r"'adapter' in s3://\S*/iterations/0001 is damaged"):
        fork(parent, override(parent.config, name="child"), 2)
    assert there() == {"run"}
    proxy.fault = lambda asked: (
        "403" if asked.method == "PUT" and asked.path.endswith("child/experiment.json") else None
    )
    with pytest.raises(ConfigError, match=r"experiment\.json cannot be written"):
        fork(parent, override(parent.config, name="child"), 1)
    assert there() == {"run"}


@pytest.mark.long
def test_a_fork_in_a_store_goes_on_as_one_on_a_disk(proxy, tmp_path, request):
    found = []
    for root in (str(tmp_path), f"s3://{BUCKET}/{address_name(request)}"):
        config = override(run(root).config, ["modular.learning_rate=0.1"], name="child")
        child = fork(Experiment.open(root, "run"), config, 2)
        without_server(child.config, root, OPERATION)
        found.append((digests(Experiment.open(root, "run")), digests(Experiment.open(root, "child"))))
    (_, child), _ = found
    assert found[0] == found[1]
    assert child["iterations/0002/adapter"] != found[0][0]["iterations/0002/adapter"]


@pytest.mark.long
def test_a_finished_run_is_reused(proxy, request):
    root = f"s3://{BUCKET}/{address_name(request)}"
    run(root)
    count = len(proxy.asked)
    run(root)
    stages = [asked.path for asked in proxy.asked[count:] if asked.method == "PUT" and "iterations" in asked.path]
    assert stages == [], "nothing is computed"


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_killed_at_every_upload_it_resumes_to_the_same_digests(proxy, undisturbed, request):
    """Before and after each file of the problems, of the base model's evaluation and of the first round arrives.

    It is one run, killed at the next of these points each time that it is resumed.
    """
    root, points = f"s3://{BUCKET}/{address_name(request)}", list[tuple[str, str]]()

    def at(path: str) -> str | None:
        name = path.partition("/run/")[2]
        kind = next((kind for kind in ("cut", "lost") if (name, kind) not in points), None)
        if kind and name and "iterations/0002" not in name:
            points.append((name, kind))
            return kind
        return None

    while killed(proxy, root, at):
        print(*points[-1], flush=True)
        if points[-1][0].endswith(MANIFEST):
            there = digests(Experiment.open(root, "run"))
            assert there.items() <= undisturbed.items(), "whatever has a manifest is whole"
    assert len(points) > 90
    assert digests(Experiment.open(root, "run")) == undisturbed


@pytest.mark.long
@pytest.mark.parametrize("kind", ["503", "500", "slow", "lost", "cut", "short"])
def test_through_faults_it_ends_the_same(proxy, undisturbed, kind, request):
    proxy.slow_seconds = 0.3
    proxy.fault = lambda asked: kind if asked.number % 9 == 0 else None
    assert digests(run(f"s3://{BUCKET}/{address_name(request)}")) == undisturbed
