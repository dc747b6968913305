"""Each stage × each way to fail, on a real server and worker: the run completes, equal to an undisturbed one.

A row of the matrix is one run whose iteration i+1 is struck while its i-th stage is at work. After each strike a person
does what the UI offers (mostly Retry). Stages share the flow's process, so killing the one kills the other. The rows
run side by side: what takes time is starting processes.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from prefect_operator import Operator, contents, operating, processes_of, wait_until

from axiom.config import load_config

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]
REPOSITORY = Path(__file__).parents[1]
STAGES = {
    "samples": "samples.parquet", "verdicts": "verdicts.parquet", "gold": "gold.parquet",
    "adapter": "adapter/network.safetensors", "eval_samples": "eval_samples.parquet",
    "eval_verdicts": "eval_verdicts.parquet", "evaluation": "evaluation.parquet", "metrics": "metrics.parquet",
}  # fmt: skip
"""Of an iteration, in their order, with the file each publishes."""
NAMES = list(STAGES)
FILLER = ".filler"


class Row:
    """One run of the matrix and its folder."""

    def __init__(self, operator: Operator, store: Path, name: str, iterations: int = len(STAGES)) -> None:
        self.operator, self.store, self.name, self.folder = operator, store, name, store / name
        config = load_config(REPOSITORY / "deployments/modular.toml", (), name=name, iterations=iterations)
        self.parameters = {"config": config.model_dump(mode="json"), "root": str(store)}
        self.run = ""

    def start(self) -> None:
        self.run = self.operator.start("experiment/modular", self.parameters)

    def place(self, iteration: int) -> Path:
        return self.folder / "iterations" / f"{iteration:04d}"

    def before(self, iteration: int, stage: str) -> Path:
        """The manifest after which the stage is at work."""
        at = NAMES.index(stage)
        if at == 0:
            return self.place(iteration - 1) / "iteration.manifest.json"
        return self.place(iteration) / f"{NAMES[at - 1]}.manifest.json"

    def await_stage(self, iteration: int, stage: str) -> None:
        mark = self.before(iteration, stage)
        wait_until(f"{stage} of iteration {iteration} of {self.name}", mark.exists, 240, every=0.001)

    def pid(self) -> int:
        return int((self.folder / ".lock.json").read_text().split()[1])

    def ended(self) -> None:
        wait_until(f"the end of {self.name}'s process", lambda: not self.processes(), 120)
        time.sleep(1.0)

    def processes(self) -> list[int]:
        """The flow's own: Prefect tells each by an environment variable."""
        return processes_of(f"PREFECT__FLOW_RUN_ID={self.run}")

    def done(self) -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in self.folder.rglob("*.manifest.json")}

    def retry(self) -> None:
        """The UI's Retry button, pressed once the last process is gone: else Prefect lays its end to the new one."""
        self.ended()
        self.operator.set_state(self.run, "SCHEDULED", "AwaitingRetry")

    def complete(self) -> None:
        state = self.operator.await_state(self.run, seconds=300)
        assert state == "COMPLETED", (self.name, state, self.operator.logs(self.run)[-6:])

    def digests(self) -> dict[str, str]:
        return contents(self.folder)


def exception_and_truncated_file(row: Row) -> None:
    """A folder lies where the stage's file goes, so it raises; meanwhile the file of the stage before is damaged."""
    for number, file in enumerate(STAGES.values(), 1):
        (row.place(number) / file).mkdir(parents=True)
        (row.place(number) / file / "in the way").touch()
    row.start()
    for number, (stage, file) in enumerate(STAGES.items(), 1):
        assert row.operator.await_state(row.run, seconds=240) == "FAILED"
        shutil.rmtree(row.place(number) / file)
        at = NAMES.index(stage)
        damaged = row.place(number) / STAGES[NAMES[at - 1]] if at else row.folder / "problems" / "val.parquet"
        done = row.done()
        os.truncate(damaged, damaged.stat().st_size // 2)
        row.retry()
        assert row.operator.await_state(row.run, seconds=240) in ("COMPLETED", "FAILED"), row.operator.logs(row.run)[
            -6:
        ]
        rewritten = {path for path, stamp in done.items() if path.stat().st_mtime_ns != stamp}
        allowed = {f"{NAMES[at - 1]}.manifest.json", "problems.manifest.json", "adapter.manifest.json"}
        assert {path.name for path in rewritten} <= allowed, (stage, rewritten)  # adapters are marked when pruned
    row.complete()
    assert any(task["state_name"] == "Reused" for task in row.operator.task_runs(row.run))


def signalled(number: signal.Signals) -> Callable[[Row], None]:
    def strike(row: Row) -> None:
        row.start()
        for iteration, stage in enumerate(NAMES, 1):
            row.await_stage(iteration, stage)
            os.kill(row.pid(), number)
            state = row.operator.await_state(row.run, "CRASHED", "FAILED", "COMPLETED", seconds=120)
            assert state != "COMPLETED", f"{stage}: the signal came too late"
            row.retry()
        row.complete()

    return strike


def cancelled(row: Row) -> None:
    """Each time a fresh run with the same parameters continues what was cancelled."""
    for iteration, stage in enumerate(NAMES, 1):
        row.start()
        row.await_stage(iteration, stage)
        row.operator.set_state(row.run, "CANCELLING")
        assert row.operator.await_state(row.run, seconds=120) == "CANCELLED"
        row.ended()
    row.start()
    row.complete()


def full_disk(row: Row) -> None:
    """The disk fills while the stage is at work and has room again a second later: the stage's own retries suffice."""
    row.folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(row.folder)], check=True)
    try:
        row.start()
        for iteration, stage in enumerate(NAMES, 1):
            row.await_stage(iteration, stage)
            filler = row.folder / FILLER
            with filler.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(1 << 20))
                except OSError:
                    pass
            time.sleep(1.0)
            filler.unlink()
            time.sleep(0.2)
            if row.operator.state(row.run) == "FAILED":  # it hit what is no stage: the record that all are done
                row.retry()
        if row.operator.await_state(row.run, seconds=240) == "FAILED":
            row.retry()
        row.complete()
        row.kept = row.digests()
    finally:
        subprocess.run(["umount", "--lazy", str(row.folder)], check=True)


ROWS: dict[str, Callable[[Row], None]] = {
    "exception-and-truncated-file": exception_and_truncated_file,
    "sigkill": signalled(signal.SIGKILL),
    "sigterm": signalled(signal.SIGTERM),
    "cancel": cancelled,
    "full-disk": full_disk,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("matrix")


@pytest.fixture(scope="module")
def operator(store):
    with operating(store / "home") as running:
        running.start_worker("cpu")
        yield running
    wait_until("the end of every process", lambda: not processes_of(f"PREFECT_HOME={store}"), 60)


@pytest.fixture(scope="module")
def calm(operator: Operator, store: Path) -> dict[str, str]:
    """What an undisturbed run leaves."""
    row = Row(operator, store, "calm")
    row.start()
    row.complete()
    return row.digests()


@pytest.fixture(scope="module")
def matrix(operator: Operator, store: Path, calm) -> dict[str, Future]:
    """Every row on its way, two at a time."""

    def strike(kind: str) -> dict[str, str]:
        row = Row(operator, store, kind)
        ROWS[kind](row)
        return row.kept if hasattr(row, "kept") else row.digests()

    with ThreadPoolExecutor(2) as threads:
        yield {kind: threads.submit(strike, kind) for kind in ROWS}


@pytest.mark.parametrize("kind", ROWS)
def test_every_stage_survives(matrix, calm, kind: str):
    assert matrix[kind].result() == calm
