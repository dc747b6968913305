"""Each stage × each way to fail, on a real server and worker: the run completes, equal to an undisturbed one.

A row of the matrix is one experiment that is struck at one stage after the other, each time while the stage is at work:
the run's process is stopped there, struck, and let go. Then a person does what the UI offers. Stages share the flow's
process, so killing the one kills the other. Rows run side by side, each with a GPU slot of its own: what takes time is
starting processes and waiting for the lease of a killed one.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from axiom.config import load_config
from axiom.experiment.lock import read_note
from axiom.flows.operation import slot
from tests.flows.operating import Operator, contents, operating, processes_of, wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]
REPOSITORY = Path(__file__).parents[2]
FILES = {
    "problems": "val.parquet",
    "samples": "samples.parquet",
    "verdicts": "verdicts.parquet",
    "history": "history.parquet",
    "gold": "gold.parquet",
    "passed_over": "passed_over.parquet",
    "adapter": "adapter/network.safetensors",
    "eval_samples": "eval_samples.parquet",
    "eval_verdicts": "eval_verdicts.parquet",
    "evaluation": "evaluation.parquet",
    "metrics": "metrics.parquet",
    "report": "report.html",
}
"""Stages in their order, with the file each publishes."""
STAGES = list(FILES)
ITERATIONS = 6
FILLER = ".filler"
LEASE_SECONDS = 120.0
"""A killed run gives its slot back within this."""
SIGTERM_PENDING = 1 << (signal.SIGTERM - 1)


class Row:
    """One experiment of the matrix, its runs, and the strikes it takes."""

    def __init__(
        self, operator: Operator, store: Path, name: str, gpu: int, queue: str = "default", iterations: int = ITERATIONS
    ) -> None:
        self.operator, self.store, self.name, self.folder = operator, store, name, store / name
        self.slot, self.iterations = slot(gpu), iterations
        config = load_config(REPOSITORY / "deployments/modular.toml", (), name=name, iterations=iterations)
        self.parameters = {
            "config": config.model_dump(mode="json"),
            "root": str(store),
            "operation": {"gpu": "always"},
        }
        self.more = {"job_variables": {"env": {"CUDA_VISIBLE_DEVICES": str(gpu)}}, "work_queue_name": queue}
        self.runs: list[str] = []
        self.ends: dict[str, int] = {}

    @property
    def run(self) -> str:
        return self.runs[-1]

    def start(self) -> None:
        self.runs.append(self.operator.start("experiment/modular", self.parameters, **self.more))

    def place(self, stage: str, iteration: int = 1) -> Path:
        """The folder the stage writes to."""
        if stage == "report":
            return self.folder
        return self.folder / ("problems" if stage == "problems" else f"iterations/{iteration:04d}")

    def published(self, stage: str, iteration: int = 1) -> Path:
        """What is there once the stage is done."""
        return self.place(stage, iteration) / ("report.html" if stage == "report" else f"{stage}.manifest.json")

    def at_work(self, stage: str, iteration: int, pid: int) -> bool:
        if stage == "report":  # it draws with a library that nothing before it needs
            return "vl_convert" in Path(f"/proc/{pid}/maps").read_text()
        before = STAGES[STAGES.index(stage) - 1]
        if stage not in ("problems", "samples") and not self.published(before, iteration).exists():
            return False
        place = self.place(stage, iteration)
        return place.exists() and any(entry.name.startswith(".tmp-") and entry.is_dir() for entry in os.scandir(place))

    def stop_at(self, stage: str) -> int:
        """Stop the run's process while the stage is at work, in the first iteration or in the next one; its pid."""
        pid = int(wait_until(f"the process of {self.name}", lambda: writer(self.folder / ".lock.json"), 300))
        os.setpriority(os.PRIO_PROCESS, pid, 10)  # so that whoever waits for it is awake in time
        before = STAGES[max(0, STAGES.index(stage) - 1)]
        for iteration in range(1, self.iterations + 1):
            if stage not in ("problems", "samples"):
                wait_until(f"{before} of {self.name}", self.published(before, iteration).exists, 240, every=0.001)
            while not self.published(stage, iteration).exists():
                os.kill(pid, signal.SIGSTOP)
                wait_until("the stop", lambda: state_of(pid) in "TXZ", every=0.0002)
                if self.at_work(stage, iteration, pid):
                    return pid
                os.kill(pid, signal.SIGCONT)
                time.sleep(0.005 if stage == "report" else 0.0005)
        raise AssertionError(f"{self.name} was never seen at {stage}: {self.operator.logs(self.run)[-5:]}")

    def ended(self) -> None:
        """The run's process is gone, and its worker has said so: only then is Retry not taken for the old process's."""
        self.ends[self.run] = self.ends.get(self.run, 0) + 1
        wait_until(f"word of the end of {self.name}'s process", lambda: self.exits() == self.ends[self.run], 120, 0.5)
        wait_until("the end of its witness", lambda: not processes_of(f"PREFECT__FLOW_RUN_ID={self.run}"), 10)

    def exits(self) -> int:
        return sum(bool(re.match(r"Process for flow run .* exited", line)) for line in self.operator.logs(self.run))

    def retry(self) -> None:
        """The UI's Retry button."""
        self.ended()
        self.operator.set_state(self.run, "SCHEDULED", "AwaitingRetry")

    def retry_by_command(self) -> None:
        self.ended()
        self.operator.prefect("flow-run", "retry", self.run)

    def resume(self) -> None:
        """By command, on no worker; it ends with the experiment."""
        self.ended()
        self.operator.axiom("resume", self.name, "--root", str(self.store))

    def crash(self, stage: str, strike: Callable[[int], None], states: Sequence[str] = ("CRASHED",)) -> None:
        strike(self.stop_at(stage))
        assert self.operator.await_state(self.run, *states, "COMPLETED", seconds=120) in states, (self.name, stage)

    def slot_is_free(self) -> bool:
        slots = {row["name"]: row["active_slots"] for row in self.operator.post("/v2/concurrency_limits/filter")}
        return slots[self.slot] == 0

    def complete(self) -> dict[str, str]:
        """The digests of what a run leaves that completes, ends every process and frees the slot."""
        state = self.operator.await_state(self.run, seconds=300)
        assert state == "COMPLETED", (self.name, state, self.operator.logs(self.run)[-6:])
        for run in self.runs:
            wait_until("the end of every process", lambda run=run: not processes_of(f"PREFECT__FLOW_RUN_ID={run}"), 60)
        wait_until(f"{self.slot} is free", self.slot_is_free, LEASE_SECONDS, every=1.0)
        return contents(self.folder)


def writer(holder: Path) -> str | None:
    """The pid in a lock's file, unless it is left over from a process that was killed."""
    found = read_note(holder.parent)
    return str(found.process) if found and found.alive() else None


def state_of(pid: int) -> str:
    """One letter: R runs, S sleeps, T is stopped, Z is a zombie, X is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def terminate(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGCONT)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def killed(stages: Sequence[str], row: Row) -> dict[str, str]:
    """SIGKILL; the next process waits until the lease of the slot has lapsed."""
    row.start()
    for stage in stages:
        row.crash(stage, kill)
        row.retry()
    return row.complete()


def terminated(row: Row) -> dict[str, str]:
    """SIGTERM, continued in every way there is."""
    row.start()
    ways = [row.retry, row.retry_by_command]
    for number, stage in enumerate(STAGES):
        row.crash(stage, terminate)
        wait_until("the slot is free at once", row.slot_is_free, 20)
        if stage == STAGES[-1]:
            row.resume()
            row.start()  # finds nothing left to do
        else:
            ways[number % 2]()
    return row.complete()


def cancelled(row: Row) -> dict[str, str]:
    """Cancel; each time a fresh run with the same parameters continues."""
    for stage in STAGES:
        row.start()
        pid = row.stop_at(stage)
        row.operator.set_state(row.run, "CANCELLING")
        wait_until("the worker's signal", partial(terminated_soon, pid), 60)
        os.kill(pid, signal.SIGCONT)
        assert row.operator.await_state(row.run, seconds=120) == "CANCELLED", stage
        row.ended()
        wait_until("the slot is free", row.slot_is_free, LEASE_SECONDS)  # at once, unless it took too long to end
    row.start()
    return row.complete()


def terminated_soon(pid: int) -> bool:
    pending = re.findall(r"^S(?:hd|ig)Pnd:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return any(int(mask, 16) & SIGTERM_PENDING for mask in pending)


def exception_and_truncated_file(row: Row) -> dict[str, str]:
    """A folder lies where the stage's file goes, so it raises; meanwhile the file of the stage before is damaged."""
    for stage, file in FILES.items():
        (row.place(stage) / file).mkdir(parents=True)
        (row.place(stage) / file / "in the way").touch()
    row.start()
    for number, (stage, file) in enumerate(FILES.items()):
        assert row.operator.await_state(row.run, seconds=240) == "FAILED", stage
        shutil.rmtree(row.place(stage) / file)
        before = STAGES[max(0, number - 1)]
        damaged = row.place(before) / FILES[before]
        done = {path: path.stat().st_mtime_ns for path in row.folder.rglob("*.manifest.json")}
        if damaged.exists():
            os.truncate(damaged, damaged.stat().st_size // 2)
        row.retry()
        row.operator.await_state(row.run, "RUNNING", seconds=60)
        row.operator.await_state(row.run, seconds=240)
        rewritten = {path.name for path, stamp in done.items() if path.stat().st_mtime_ns != stamp}
        assert rewritten <= {f"{before}.manifest.json", "adapter.manifest.json"}, stage  # adapters are marked as pruned
    digests = row.complete()
    assert any(task["state_name"] == "Reused" for task in row.operator.task_runs(row.run))
    return digests


def worker_killed(row: Row) -> dict[str, str]:
    """The run goes on; the next worker looks after new ones."""
    queue = row.more["work_queue_name"]
    worker = row.operator.start_worker("cpu", queue=queue)
    row.start()
    for stage in STAGES:
        pid = row.stop_at(stage)
        worker.end(signal.SIGKILL)
        os.kill(pid, signal.SIGCONT)
        worker = row.operator.start_worker("cpu", queue=queue)
    return row.complete()


def worker_stopped(row: Row) -> dict[str, str]:
    """A worker that is stopped as a service is takes its runs along."""
    queue = row.more["work_queue_name"]
    worker = row.operator.start_worker("cpu", queue=queue)
    row.start()
    pid = row.stop_at("samples")
    os.kill(pid, signal.SIGCONT)
    worker.end(signal.SIGTERM, 60)
    assert row.operator.await_state(row.run, seconds=20) == "CRASHED"
    wait_until("the end of the run's process", lambda: state_of(pid) == "X", 60)
    row.operator.start_worker("cpu", queue=queue)
    row.operator.set_state(row.run, "SCHEDULED", "AwaitingRetry")
    return row.complete()


def server_killed(row: Row) -> dict[str, str]:
    """The run waits for the server, which is its own here; a stage an iteration, since stages go on without it."""
    with operating(row.store / "home-of-the-killed") as row.operator:
        row.operator.axiom("setup", "--no-deploy", "--gpus", str(SLOTS))
        row.operator.start_worker("cpu")
        row.start()
        for stage in STAGES:
            pid = row.stop_at(stage)
            row.operator.server.end(signal.SIGKILL)
            os.kill(pid, signal.SIGCONT)
            row.operator.start_server()
        return row.complete()


def full_disk(row: Row) -> dict[str, str]:
    """Once so long that the retries of the stage are used up; then with room again, so that they suffice."""
    row.folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(row.folder)], check=True)
    try:
        row.start()
        fill(row, row.stop_at("problems"))
        assert row.operator.await_state(row.run, seconds=120) == "FAILED"
        assert "is full; free some space" in row.operator.run(row.run)["state"]["message"]
        (row.folder / FILLER).unlink()
        row.retry()
        for stage in STAGES[1:-1]:
            fill(row, row.stop_at(stage))
            wait_until(f"the failure of {stage}", partial(failed, row), 60, every=0.01)
            (row.folder / FILLER).unlink()
        fill(row, row.stop_at("report"))  # which is not retried by itself
        assert row.operator.await_state(row.run) == "FAILED"
        (row.folder / FILLER).unlink()
        row.retry()
        return row.complete()
    finally:
        subprocess.run(["umount", "--lazy", str(row.folder)], check=True)


def fill(row: Row, pid: int) -> None:
    """Leave no byte on the disk, then let the process go on."""
    with (row.folder / FILLER).open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    os.kill(pid, signal.SIGCONT)


def failed(row: Row) -> bool:
    """A stage that fails takes its temporary folder away."""
    return not any(row.folder.rglob(".tmp-*/"))


PAIRS = [STAGES[at : at + 2] for at in range(0, len(STAGES), 2)]
ROWS: dict[str, Callable[[Row], dict[str, str]]] = {
    **{f"killed-{'-'.join(pair)}": partial(killed, pair) for pair in PAIRS},
    "exception-and-truncated-file": exception_and_truncated_file,
    "terminated": terminated,
    "cancelled": cancelled,
    "worker-killed": worker_killed,
    "worker-stopped": worker_stopped,
    "server-killed": server_killed,
    "full-disk": full_disk,
}
SLOTS = len(ROWS) + 1
LONG = {"server-killed": len(STAGES) + 2}
"""Iterations of the rows that need more of them."""
AT_ONCE = 9


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("matrix")


@pytest.fixture(scope="module")
def operator(store):
    with operating(store / "home") as running:
        running.axiom("setup", "--no-deploy", "--gpus", str(SLOTS))
        running.start_worker("cpu", queue="default")
        yield running
    wait_until("the end of every process", lambda: not processes_of(f"PREFECT_HOME={store}"), 60)


@pytest.fixture(scope="module")
def calm(operator: Operator, store: Path) -> dict[str, str]:
    """What an undisturbed run leaves."""
    row = Row(operator, store, "calm", len(ROWS), iterations=max(LONG.values()))
    row.start()
    return row.complete()


@pytest.fixture(scope="module")
def matrix(request, operator: Operator, store: Path, calm) -> dict[str, Future]:
    """Every row that was selected, on its way."""
    items = [item for item in request.session.items if item.function is test_every_stage_survives]
    selected = {item.callspec.params["kind"] for item in items}

    def begin(gpu: int, kind: str) -> Future:
        queue = "default"
        if kind.startswith("worker"):
            queue = operator.post("/work_pools/cpu/queues", name=kind)["name"]
        row = Row(operator, store, kind, gpu, queue, LONG.get(kind, ITERATIONS))
        return threads.submit(ROWS[kind], row)

    sys.setswitchinterval(0.0005)  # a row that has seen its stage does not wait for another that looks for its own
    with ThreadPoolExecutor(AT_ONCE) as threads:
        yield {kind: begin(gpu, kind) for gpu, kind in enumerate(ROWS) if kind in selected}


@pytest.mark.parametrize("kind", ROWS)
def test_every_stage_survives(matrix, calm, kind: str):
    last = LONG.get(kind, ITERATIONS)
    wanted = {
        name: digest
        for name, digest in calm.items()
        if not re.match(r"iterations/(\d+)", name) or int(name.split("/")[1]) <= last
    }
    assert matrix[kind].result() == wanted
