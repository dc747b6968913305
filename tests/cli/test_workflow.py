"""`axiom run` with the private server that Prefect starts for it: Ctrl-C, a kill, and a server that does not start."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PRESET = REPOSITORY / "deployments" / "modular.toml"


def start(folder: Path, *command: str, **more: str) -> subprocess.Popen[str]:
    """The command in a session of its own, as a terminal's foreground job."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    environment |= {"AXIOM_ROOT": str(folder / "artifacts"), "PREFECT_HOME": str(folder / "prefect"), **more}
    environment["OMP_NUM_THREADS"] = "1"
    return subprocess.Popen(
        [sys.executable, "-m", "axiom.cli", *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        cwd=REPOSITORY,
    )


def at_work(folder: Path, process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes below a run that has finished an iteration, the first after the base model's, since it began."""

    def finished() -> int:
        return len(list(folder.glob("artifacts/ctrl-c/iterations/*/iteration.manifest.json")))

    before, end = max(1, finished()), time.monotonic() + 150
    while time.monotonic() < end and process.poll() is None:
        if finished() > before:
            return psutil.Process(process.pid).children(recursive=True)
        time.sleep(0.05)
    raise AssertionError(process.communicate(timeout=10)[0])


def gone(processes: list[psutil.Process], seconds: float) -> bool:
    return not psutil.wait_procs(processes, timeout=seconds)[1]


def run_of(iterations: int) -> tuple[str, ...]:
    return "run", str(PRESET), "--experiment", "ctrl-c", "--iterations", str(iterations)


@pytest.mark.slow
def test_a_signal_ends_a_run_at_once_and_its_server_and_the_last_line_says_how_to_go_on(tmp_path):
    """Ctrl-C, then SIGTERM to the run that goes on, then a kill, of which nobody can tell anything."""
    commands = {signal.SIGINT: run_of(5000), signal.SIGTERM: ("resume", "ctrl-c"), signal.SIGKILL: ("resume", "ctrl-c")}
    for number, command in commands.items():
        process = start(tmp_path, *command)
        below = at_work(tmp_path, process)
        assert below, "a private server"
        began = time.monotonic()
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
        out, _ = process.communicate(timeout=60)
        assert time.monotonic() - began < 30
        assert gone(below, 30), number
        assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number], out
        if number != signal.SIGKILL:
            assert "Traceback" not in out
            last = out.strip().splitlines()[-1]
            assert last.startswith("interrupted; what is finished is kept, and `")
            assert last.endswith("axiom resume ctrl-c` goes on from there")
        if number != signal.SIGINT:
            assert re.search(r"^iteration +1/5000  train .* reused$", out, re.MULTILINE), out


@pytest.mark.slow
def test_a_server_that_cannot_start_is_one_sentence(tmp_path):
    process = start(tmp_path, *run_of(1), PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="1")
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Traceback (most" not in out.split("failed:")[-1]
    assert out.splitlines()[-1].startswith("failed: the run's private Prefect server did not start within 1 s")


def test_a_home_of_prefect_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "prefect").write_text("a file where the folder should be")
    process = start(tmp_path, *run_of(1))
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert out.splitlines()[-1].startswith(f"error: PREFECT_HOME = {tmp_path / 'prefect'} cannot be written")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("url", "code"), [("http://127.0.0.1:9/api", 1), ("127.0.0.1:4200", 2), ("http://[", 2), ("ftp://x/api", 2)]
)
def test_a_server_that_cannot_answer_is_one_sentence(tmp_path, url, code):
    process = start(tmp_path, *run_of(1), PREFECT_API_URL=url)
    out, _ = process.communicate(timeout=600)
    assert process.returncode == code, out
    assert "Traceback" not in out
    assert out.count(f"PREFECT_API_URL = {url}") == 1
    lines = [line for line in out.splitlines() if not line.startswith("starting Prefect (")]
    assert len(lines) == 2, "what is started, and what is wrong"
