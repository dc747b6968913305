"""A long run of the smallest learner through a real server and worker: memory, orchestration, a minute without server.

`make soak` prints the figures. What is asserted holds on a busy machine too; the figures say how much room there is.
"""

import json
import signal
import statistics
import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from axiom.config import load_config
from tests.flows.operating import Operator, contents, operating, wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]
REPOSITORY = Path(__file__).parents[2]
ITERATIONS, OUTAGE_AT, OUTAGE_SECONDS = 300, 60, 60.0
STEADY = OUTAGE_AT + 40
"""Iteration from which memory is compared: caches are full, and the server runs again."""
SMALL = (
    "modular.p=11",
    "modular.steps_per_iteration=5",
    "sampling.samples_per_problem=2",
    "replay.rounds=3",
)
MEBIBYTE = 1 << 20
FEW = 50
"""Iterations at the beginning and at the end whose orchestration is compared."""
LOOKS = (50, STEADY, 200, ITERATIONS)
"""Iterations at which memory is printed."""
GROWTH = 0.06
"""Of memory from iteration `STEADY` to the last, for the unrest of the allocator: 150 KB an iteration are over it."""


@dataclass
class Memory:
    """Resident bytes of each process by the iteration that ran."""

    rows: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def look(self, iteration: int, pids: dict[str, int]) -> None:
        for name, pid in pids.items():
            try:
                self.rows.setdefault(name, []).append((iteration, psutil.Process(pid).memory_info().rss))
            except psutil.NoSuchProcess:
                continue

    def around(self, name: str, iteration: int) -> float:
        """Median MiB of the 15 iterations up to this one."""
        return statistics.median(size for at, size in self.rows[name] if iteration - 15 < at <= iteration) / MEBIBYTE


@pytest.fixture(scope="module")
def operator(tmp_path_factory):
    with operating(tmp_path_factory.mktemp("soak")) as running:
        running.start_worker("cpu")
        yield running


def done(folder: Path, number: int) -> Path:
    return folder / f"iterations/{number:04d}/iteration.manifest.json"


def outage(operator: Operator, folder: Path) -> None:
    wait_until("the iteration before the outage", done(folder, OUTAGE_AT).exists, 300)
    operator.server.end(signal.SIGKILL)
    time.sleep(OUTAGE_SECONDS)
    operator.start_server()


def watch(operator: Operator, folder: Path) -> Memory:
    """Memory until the last iteration is done."""
    memory, number = Memory(), 0
    wait_until("the run's process", (folder / ".lock.json").exists, 120)
    flow = json.loads((folder / ".lock.json").read_text())["process"]
    while not done(folder, ITERATIONS).exists() and psutil.pid_exists(flow):
        while done(folder, number + 1).exists():
            number += 1
        pids = {"flow": flow, "worker": operator.workers[0].pid, "server": operator.server.pid}
        memory.look(number, pids)
        time.sleep(0.5)
    return memory


def orchestration(folder: Path) -> list[float]:
    """Seconds of each iteration that no stage worked."""
    ends = [done(folder, number).stat().st_mtime for number in range(ITERATIONS + 1)]
    gaps = []
    for number, (before, after) in enumerate(pairwise(ends), 1):
        manifests = (json.loads(path.read_text()) for path in done(folder, number).parent.glob("*.manifest.json"))
        gaps.append(after - before - sum(manifest["info"]["seconds"] for manifest in manifests))
    return gaps


def test_three_hundred_iterations(operator: Operator, tmp_path: Path):
    config = load_config(REPOSITORY / "deployments/modular.toml", SMALL, name="soak", iterations=ITERATIONS)
    folder, before = tmp_path / "soak", operator.database_bytes()
    tree = config.model_dump(mode="json")
    run = operator.start("experiment/modular", {"config": tree, "root": str(tmp_path)})
    breaker = threading.Thread(target=outage, args=(operator, folder))
    breaker.start()
    memory = watch(operator, folder)
    breaker.join()
    assert operator.await_state(run, seconds=120) == "COMPLETED", operator.logs(run)[-5:]

    gaps = orchestration(folder)
    longest = max(gaps)
    quiet = [gap for gap in gaps if gap < OUTAGE_SECONDS / 2]
    grown = (operator.database_bytes() - before) / MEBIBYTE / ITERATIONS * 100
    print(f"\n{ITERATIONS} iterations; seconds an iteration beside its stages: median {statistics.median(quiet):.2f}, ")
    print(f"mean {statistics.mean(quiet):.2f}, 99 % {sorted(quiet)[int(len(quiet) * 0.99)]:.2f}, most {max(quiet):.2f}")
    print(f"the iteration of the outage of {OUTAGE_SECONDS:.0f} s: {longest:.0f} s; {grown:.1f} MiB of database a 100")
    early, late = (statistics.median(part) for part in (gaps[:FEW], gaps[-FEW:]))
    print(f"of the first {FEW} iterations {early:.2f} (median), of the last {FEW} {late:.2f}")
    grew = {}
    for name in ("flow", "worker", "server"):
        sizes = {look: memory.around(name, look) for look in LOOKS}
        print(f"{name}: " + ", ".join(f"{size:.0f} MiB at iteration {look}" for look, size in sizes.items()))
        grew[name] = sizes[ITERATIONS] / sizes[STEADY] - 1
    assert max(grew.values()) < GROWTH, grew
    assert statistics.median(quiet) < 1.0
    assert len(quiet) == ITERATIONS - 1, "one iteration waited for the server"
    assert grown < 5.0
    assert operator.run(run)["run_count"] == 1, "nothing was begun twice"
    assert contents(folder), "every file is what its manifest says"
