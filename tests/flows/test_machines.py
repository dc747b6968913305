"""A study over several machines: a server and three workers, each in network, mount, host name and process namespaces
of its own, that share one folder. Needs root.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.flows.operating import REPOSITORY, Operator, Process, contents, wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
STORE = "/mnt/store"
"""Where each machine mounts the folder that they share."""
PRESET = """
iterations = 10
[model]
kind = "modular"
[modular]
p = 23
steps_per_iteration = 2
"""
STUDY = """
name = "spread"
preset = "preset.toml"
seeds = 2
arms = ["expert_iteration", "static_rft"]
[grid]
"modular.weight_decay" = [0.5]
"""
RUNS = [f"spread-{arm}-weight_decay_0.5-s0{seed}" for seed in range(2) for arm in ("expert_iteration", "static_rft")]
"""Each second one replays the one before."""
BOOT = f"""
hostname "$1"; shift
ip link set lo up
mount -t tmpfs none /mnt
mkdir {STORE}
mount --bind "$1" {STORE}; shift
mount -t tmpfs none /tmp
exec "$@"
"""
"""What a machine has to itself: its name, its loopback, its temporary files; and the shared folder."""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def network() -> Iterator[list[str]]:
    """Namespaces that a bridge joins, the first with the bridge; this process is the host 10.77.0.254 in it."""
    names = [f"axm{os.getpid() % 100_000}{letter}" for letter in "habc"]
    hub, *others = names
    for name in names:
        ip("netns", "add", name)
    try:
        ip("-n", hub, "link", "add", "bridge", "type", "bridge")
        ip("-n", hub, "addr", "add", "10.77.0.1/24", "dev", "bridge")
        ip("-n", hub, "link", "set", "bridge", "up")
        ip("link", "add", hub, "type", "veth", "peer", "name", "outside", "netns", hub)
        ip("-n", hub, "link", "set", "outside", "master", "bridge", "up")
        ip("addr", "add", "10.77.0.254/24", "dev", hub)
        ip("link", "set", hub, "up")
        for number, name in enumerate(others, 11):
            ip("-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", name, "netns", hub)
            ip("-n", hub, "link", "set", name, "master", "bridge", "up")
            ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False)


class Cluster(Operator):
    """A server on the first machine; the terminal is there too. A worker on each other."""

    def __init__(self, home: Path, machines: list[str]) -> None:
        super().__init__(home)
        self.shared, self.machines, self.port = home / "shared", machines, 4200
        self.shared.mkdir()
        self.url = f"http://10.77.0.1:{self.port}"
        self.http = httpx.Client(base_url=f"{self.url}/api", timeout=120)
        self.environment |= {"PREFECT_API_URL": f"{self.url}/api", "PREFECT_HOME": "/tmp/prefect"}

    def boot(self, machine: str, *command: str) -> Process:
        """A process on a machine, in a mount and process namespace that dies with it."""
        apart = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-ec", BOOT]
        words = ["ip", "netns", "exec", machine, *apart, "boot", machine, str(self.shared)]
        log = self.home / f"{machine}.log"
        return Process([*words, self.python, "-m", *command], self.environment, log, self.folder)

    def start_server(self) -> None:
        self.server = self.boot(self.machines[0], "prefect", "server", "start", "--host", "10.77.0.1")
        wait_until("the server's answer", self.healthy, 120)

    def start_worker(self, pool: str = "cpu", queue: str = "", **settings: str) -> Process:
        machine = self.machines[1 + len(self.workers)]
        command = ["prefect", "worker", "start", "--pool", pool, "--name", machine, "--limit", "1"]
        self.workers.append(self.boot(machine, *command))
        return self.workers[-1]

    def terminal(self, *command: str) -> tuple[int, str]:
        """A command of axiom on the first machine, from a folder that all share: its status and output."""
        before = (self.home / f"{self.machines[0]}.log").stat().st_size
        process = self.boot(self.machines[0], "axiom.cli", *command)
        status = process.child.wait(300)
        return status, (self.home / f"{self.machines[0]}.log").read_bytes()[before:].decode()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if os.geteuid() != 0:
        pytest.fail("namespaces need root: run it as root, or leave it out with -k 'not machines'")
    home = tmp_path_factory.mktemp("machines")
    with network() as machines:
        running = Cluster(home, machines)
        try:
            running.start_server()
            assert running.terminal("setup", "--no-deploy", "--gpus", "0")[0] == 0
            (running.shared / "preset.toml").write_text(PRESET)
            (running.shared / "study.toml").write_text(STUDY)
            yield running
        finally:
            running.stop()


SUBMIT = ("study", f"{STORE}/study.toml", "--submit", "cpu", "--root", f"{STORE}/artifacts")


def flow_runs(cluster: Cluster) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    wanted = {"tags": {"all_": ["study spread"]}}
    for run in cluster.post("/flow_runs/filter", flow_runs=wanted, limit=200):
        found.setdefault(run["name"], []).append(run)
    return found


def marks(cluster: Cluster, run: str) -> dict[str, int]:
    """Each finished round of a run, and when it was recorded."""
    folder = cluster.shared / "artifacts" / run / "iterations"
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/iteration.manifest.json")}


def test_three_machines_share_a_study_though_one_is_lost(cluster: Cluster, tmp_path: Path):
    first = cluster.boot(cluster.machines[0], "axiom.cli", *SUBMIT)
    wait_until("a submitted run", lambda: flow_runs(cluster), 300)
    first.end(signal.SIGKILL)  # the terminal is closed while it submits
    status, said = cluster.terminal(*SUBMIT)
    assert status == 0, said
    submitted = flow_runs(cluster)
    assert {name: len(runs) for name, runs in submitted.items()} == dict.fromkeys(RUNS, 1)
    assert f"{RUNS[1]}: Waiting. It waits for {RUNS[0]}, whose schedule it replays." in said
    assert cluster.terminal("compare", f"{STORE}/study.toml", "--root", f"{STORE}/artifacts")[0] == 2

    lost = cluster.start_worker()
    victim = wait_until("a round", lambda: next((run for run in RUNS if len(marks(cluster, run)) > 2), None), 200)
    cluster.start_worker()
    cluster.start_worker()
    os.kill(lost.pid, signal.SIGKILL)  # and all that the machine ran, the witness of the run too
    done = marks(cluster, victim)
    assert len(done) < 11
    waited = time.monotonic()

    def completed() -> bool:
        runs = [run for each in flow_runs(cluster).values() for run in each]
        return all(run["state_type"] == "COMPLETED" for run in runs)

    wait_until("the end of all runs", completed, 1200, every=2.0)
    print(f"all done {time.monotonic() - waited:.0f} s after the loss of a machine")
    after = marks(cluster, victim)
    assert {name: after[name] for name in done} == done, "a round that was done before the loss was computed again"
    runs = {name: run for name, [run] in flow_runs(cluster).items()}
    assert runs[victim]["run_count"] == 2
    for expert, replay in zip(RUNS[::2], RUNS[1::2], strict=True):
        states = cluster.get(f"/flow_run_states/?flow_run_id={runs[replay]['id']}")
        begun = min(state["timestamp"] for state in states if state["type"] == "RUNNING")
        rounds = max(marks(cluster, expert).values())
        assert datetime.fromisoformat(begun).timestamp() > rounds / 1e9, f"{replay} began before {expert} was done"
    status, said = cluster.terminal(*SUBMIT)
    assert (status, "4 runs: 4 Done" in said) == (0, True), said
    assert sum(map(len, flow_runs(cluster).values())) == len(RUNS)
    shutil.move(cluster.shared / "artifacts" / RUNS[3], tmp_path / "lost")
    status, said = cluster.terminal(*SUBMIT)
    assert "3 Done" in said, said
    assert {name: len(runs) for name, runs in flow_runs(cluster).items()} == {**dict.fromkeys(RUNS, 1), RUNS[3]: 2}
    wait_until("the lost run", lambda: len(marks(cluster, RUNS[3])) == 11, 400)
    wait_until("its end", completed, 200)
    status, said = cluster.terminal("compare", f"{STORE}/study.toml", "--root", f"{STORE}/artifacts")
    assert status == 0, said

    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    environment |= {"PREFECT_HOME": str(tmp_path / "prefect"), "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    in_turn = [sys.executable, "-m", "axiom.cli", "study", str(cluster.shared / "study.toml"), "--root", str(tmp_path)]
    subprocess.run(in_turn, env=environment, check=True, cwd=tmp_path)
    for run in RUNS:
        assert contents(cluster.shared / "artifacts" / run) == contents(tmp_path / run), run
