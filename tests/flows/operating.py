"""A Prefect server and workers of a test's own: loopback, a free port, a home in a temporary folder, ended by pid."""

import hashlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import polars
import psutil

REPOSITORY = Path(__file__).resolve().parents[2]
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


ASK_SECONDS = 0.5
"""Between two questions to a server, each of which costs it ten milliseconds of CPU time."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until(what: str, condition: Callable[[], Any], seconds: float = 60.0, every: float = 0.1) -> Any:
    """The first true value of `condition`; fails with `what` was awaited."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(every)
    raise AssertionError(f"{what} did not happen within {seconds:g} s")


class Process:
    """A child in its own session, with its output in a file."""

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path, folder: Path) -> None:
        self.log = log
        with log.open("ab") as out:
            self.child = subprocess.Popen(
                arguments,
                cwd=folder,
                env=environment,
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.child.pid

    def end(self, number: int = signal.SIGTERM, seconds: float = 20.0) -> None:
        """Signal the process and wait; kill it when it stays."""
        if self.child.poll() is None:
            os.kill(self.pid, number)
        try:
            self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            os.kill(self.pid, signal.SIGKILL)
            self.child.wait()


class Operator:
    """One server, its workers, and what a person at the UI would do with them."""

    def __init__(self, home: Path, python: str = sys.executable, folder: Path = REPOSITORY, **settings: str) -> None:
        self.home, self.port = home, free_port()
        self.python, self.folder = python, folder
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")},
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": f"{self.url}/api",
            "DO_NOT_TRACK": "1",
            "PREFECT_WORKER_QUERY_SECONDS": "3",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(REPOSITORY),
            **settings,
        }
        home.mkdir(parents=True, exist_ok=True)
        self.http = httpx.Client(base_url=f"{self.url}/api", timeout=120)
        self.server: Process | None = None
        self.workers: list[Process] = []

    def start_server(self) -> None:
        command = [self.python, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        self.server = Process(command, self.environment, self.home / "server.log", self.folder)
        wait_until("the server's answer", self.healthy, 90)

    def healthy(self) -> bool:
        try:
            return self.http.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def start_worker(self, pool: str = "cpu", queue: str = "", **settings: str) -> Process:
        command = [
            self.python,
            "-m",
            "prefect",
            "worker",
            "start",
            "--pool",
            pool,
            "--name",
            f"{pool}-{len(self.workers)}",
        ]
        command += ["--work-queue", queue] if queue else []
        log = self.home / f"worker-{len(self.workers)}.log"
        worker = Process(command, {**self.environment, **settings}, log, self.folder)
        self.workers.append(worker)
        return worker

    def axiom(self, *arguments: str, **environment: str) -> str:
        return self._command(self.python, "-m", "axiom.cli", *arguments, **environment)

    def prefect(self, *arguments: str) -> str:
        return self._command(self.python, "-m", "prefect", *arguments)

    def make(self, target: str, **environment: str) -> str:
        """`make` with this Python, whose packages are taken as they are."""
        return self._command("make", "--old-file=venv", f"PY={self.python}", target, **environment)

    def _command(self, *arguments: str, **environment: str) -> str:
        done = subprocess.run(
            arguments,
            cwd=self.folder,
            env={**self.environment, **environment},
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def get(self, path: str) -> Any:
        return self._answer(lambda: self.http.get(path))

    def post(self, path: str, **body: Any) -> Any:
        return self._answer(lambda: self.http.post(path, json=body))

    def patch(self, path: str, **body: Any) -> None:
        assert self.http.patch(path, json=body).is_success, path

    @staticmethod
    def _answer(ask: Callable[[], httpx.Response]) -> Any:
        """Ask again while SQLite keeps the server from answering, as the UI and Prefect's own client do."""
        for _ in range(10):
            response = ask()
            if response.status_code != 503:
                break
            time.sleep(1.0)
        assert response.is_success, f"{response.request.url}: {response.status_code} {response.text[:500]}"
        return response.json()

    def start(self, deployment: str, parameters: dict[str, Any], **more: Any) -> str:
        """Start a run as the form does; returns its id."""
        identity = self.get(f"/deployments/name/{deployment}")["id"]
        return str(self.post(f"/deployments/{identity}/create_flow_run", parameters=parameters, **more)["id"])

    def run(self, identity: str) -> dict[str, Any]:
        return dict(self.get(f"/flow_runs/{identity}"))

    def state(self, identity: str) -> str:
        return str(self.run(identity)["state_type"])

    def await_state(self, identity: str, *states: str, seconds: float = 120.0) -> str:
        states = states or FINAL

        def reached() -> str | None:
            now = self.state(identity)
            return now if now in states else None

        try:
            return str(wait_until(f"one of {states} of run {identity}", reached, seconds, ASK_SECONDS))
        except AssertionError as error:
            state, logs = self.run(identity)["state"], "\n".join(self.logs(identity)[-20:])
            raise AssertionError(f"{error}: {state['type']}, {state['message']}\n{logs}") from None

    def set_state(self, identity: str, kind: str, name: str | None = None) -> None:
        """What the UI's Cancel and Retry buttons do."""
        self.post(f"/flow_runs/{identity}/set_state", state={"type": kind, "name": name or kind.title()})

    def logs(self, identity: str) -> list[str]:
        wanted, found = {"flow_run_id": {"any_": [identity]}}, list[str]()
        while True:
            page = self.post("/logs/filter", logs=wanted, limit=200, offset=len(found), sort="TIMESTAMP_ASC")
            found += [row["message"] for row in page]
            if len(page) < 200:
                return found

    def task_runs(self, parent: str) -> list[dict[str, Any]]:
        """Of the run and of its iterations."""
        children = self.post("/flow_runs/filter", flow_runs={"parent_flow_run_id": {"any_": [parent]}}, limit=200)
        runs = [parent, *(run["id"] for run in children)]
        found = self.post("/task_runs/filter", task_runs={"flow_run_id": {"any_": runs}}, limit=200)
        return list(found)

    def listens_at(self) -> set[str]:
        """Addresses at which the server, the workers and all below them take connections."""
        found = set()
        for process in filter(None, (self.server, *self.workers)):
            if process.child.poll() is None:
                top = psutil.Process(process.pid)
                for each in (top, *top.children(recursive=True)):
                    sockets = each.net_connections("inet")
                    found |= {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN}
        return found

    def database_bytes(self) -> int:
        """Pages in use, free ones left out."""
        with sqlite3.connect(self.home / "prefect.db") as database:
            pages, free, size = (
                database.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
        return int((pages - free) * size)

    def stop(self) -> None:
        for worker in self.workers:
            worker.end(signal.SIGTERM)
        if self.server is not None:
            self.server.end(signal.SIGTERM)


@contextmanager
def operating(home: Path, *options: str, **settings: Any) -> Iterator[Operator]:
    """A running server, set up by `axiom setup` with these options; everything is ended afterwards."""
    operator = Operator(home, **settings)
    try:
        operator.start_server()
        operator.axiom("setup", *options)
        yield operator
    finally:
        operator.stop()


def contents(folder: Path) -> dict[str, str]:
    """Digests of every stage's files by their manifests, checked; of metrics without what the clock says."""
    found = {}
    for path in sorted(folder.rglob("*.manifest.json")):
        manifest = json.loads(path.read_text())
        for name, entry in manifest["files"].items():
            file, key = path.parent / name, f"{manifest['folder']}/{name}"
            found[key] = entry["sha256"]
            assert manifest["pruned"] or hashlib.sha256(file.read_bytes()).hexdigest() == entry["sha256"], file
            if name == "metrics.parquet":
                rows = polars.read_parquet(file).drop("wall_seconds")
                rows = rows.filter(polars.col("name") != "sampling_tokens_per_second")
                found[key] = hashlib.sha256(rows.write_csv().encode()).hexdigest()
    return found


def processes_of(marker: str) -> list[int]:
    """Processes whose environment names `marker`: ours and their children, wherever they hang in the tree."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if marker.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:  # it ended meanwhile, or is another user's
                continue
    return [pid for pid in found if pid != os.getpid()]
