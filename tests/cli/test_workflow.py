"""`axiom run` with the private server that Prefect starts for it: Ctrl-C, a kill, and a server that does not start."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PRESET = REPOSITORY / "deployments" / "modular.toml"


def start(
    folder: Path, *command: str, program: Sequence[str] = ("-m", "axiom.cli"), **more: str
) -> subprocess.Popen[str]:
    """The command in a session of its own, as a terminal's foreground job."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    environment |= {"AXIOM_ROOT": str(folder / "artifacts"), "PREFECT_HOME": str(folder / "prefect"), **more}
    environment["OMP_NUM_THREADS"] = "1"
    return subprocess.Popen(
        [sys.executable, *program, *command],
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


@pytest.mark.usefixtures("returning")
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
            assert "Crash detected" not in out, "a signal is none"
            last = out.strip().splitlines()[-1]
            assert last.startswith("interrupted; what is finished is kept, and `")
            assert last.endswith("axiom resume ctrl-c` goes on from there")
        if number != signal.SIGINT:
            assert re.search(r"^iteration +1/5000  train .* reused$", out, re.MULTILINE), out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variable", "what"),
    [
        ("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS=0", "did not start within 0 s"),
        ("PREFECT_API_DATABASE_CONNECTION_URL=nonesuch://", "ended as it started (NoSuchModuleError: "),
        ("a damaged database=", "ended as it started (DatabaseError: (sqlite3.DatabaseError) file is not a database)"),
    ],
)
def test_a_server_that_cannot_start_is_one_sentence(tmp_path, variable, what):
    if "damaged" in variable:
        (tmp_path / "prefect").mkdir()
        (tmp_path / "prefect/prefect.db").write_bytes(b"none of SQLite's " * 99)
    process = start(tmp_path, *run_of(1), **dict([variable.split("=")]))
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Traceback" not in out, "the server's own is left out"
    last = out.splitlines()[-1]
    assert last.startswith(f"failed: the run's private Prefect server {what}")
    assert "; check that PREFECT_HOME =" in last


def server_of(process: subprocess.Popen[str], seconds: float = 60) -> psutil.Process:
    """The private server of a run, once it has one that lives."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for child in psutil.Process(process.pid).children():
            with suppress(psutil.NoSuchProcess):  # or a zombie, which is one
                if any(word.endswith("private.py") for word in child.cmdline()):
                    return child
        time.sleep(0.02)
    raise AssertionError("it has no private server")


@pytest.mark.usefixtures("returning")
@pytest.mark.slow
def test_a_private_server_that_ends_is_started_again_and_one_that_ends_again_and_again_ends_the_run(tmp_path):
    """Nobody else could start it: the run would wait for an hour."""
    process = start(tmp_path, *run_of(5000))
    at_work(tmp_path, process)
    server_of(process).kill()
    server_of(process)
    at_work(tmp_path, process)
    for _ in range(3):
        server = server_of(process)
        server.kill()
        server.wait(10)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1, out
    assert "Traceback" not in out
    assert out.splitlines()[-1].startswith("failed: the run's private Prefect server ended again and again")


HASTY = """
import axiom.ending
from axiom.cli.app import main
axiom.ending.AGAIN_SECONDS, axiom.ending.LAST_SECONDS = 1.0, 3.0
main()
"""


@pytest.mark.usefixtures("returning")
@pytest.mark.slow
def test_a_server_that_hangs_ends_with_a_run_that_is_ended_by_force(tmp_path):
    """It would keep the database locked for every later run."""
    process = start(tmp_path, *run_of(5000), program=("-c", HASTY))
    at_work(tmp_path, process)
    server = server_of(process)
    server.suspend()
    time.sleep(2)
    process.terminate()
    assert process.wait(60) == 143
    assert gone([server], 10)


STUCK = """
import runpy, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
private = runpy.run_path(sys.argv[1])
private["_follow"].__globals__.update(PARENT_SECONDS=0.1, LAST_SECONDS=0.3)
private["_follow"](-1)
"""


def test_a_server_that_does_not_end_by_itself_ends_after_its_run():
    program = REPOSITORY / "axiom/flows/workarounds/private.py"
    assert subprocess.run([sys.executable, "-c", STUCK, str(program)], timeout=30, check=False).returncode == 1


@pytest.mark.slow
def test_a_signal_before_anything_is_written_suggests_the_same_command(tmp_path):
    """There is nothing to resume."""
    process = start(tmp_path, *run_of(5))
    assert process.stdout is not None
    assert process.stdout.readline() == "experiment ctrl-c\n"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out.splitlines()[-1] == "interrupted before anything was written; the same command starts again"


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_ctrl_c_before_a_command_has_begun_is_one_word(axiom, monkeypatch):
    monkeypatch.setattr("axiom.cli.app.imported", interrupted)
    assert axiom("list") == (130, "", "interrupted\n")


RUNS = """
import sys
from axiom.cli.app import main
try:
    main()
finally:
    print("in the run's own process:", [name for name in sys.modules if name.startswith("prefect.server")])
"""


@pytest.mark.usefixtures("returning")
@pytest.mark.slow
def test_a_run_leaves_the_server_s_libraries_to_the_server(tmp_path):
    """They take seconds to import: the run speaks to a server that was started before."""
    process = start(tmp_path, *run_of(0), program=("-c", RUNS))
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    assert out.splitlines()[-1] == "in the run's own process: []"


KILLED = """
import os, signal
from axiom.cli import server
server.start()
print(server._servers[0]._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_server_whose_command_is_killed_as_it_starts_ends_too(tmp_path):
    process = start(tmp_path, program=("-c", KILLED))
    assert process.stdout is not None
    below = psutil.Process(int(process.stdout.readline()))
    assert process.wait() == -signal.SIGKILL
    assert gone([below], 60)


def test_what_runs_nothing_and_what_is_refused_starts_no_server(axiom, monkeypatch):
    def refuse() -> None:
        raise AssertionError("a server starts")

    monkeypatch.setattr("axiom.cli.server.start", refuse)
    assert axiom(*run_of(1), "--dry-run")[0] == 0
    assert axiom(*run_of(1), "--set", "yoke=nonesuch")[0] == 2
    with pytest.raises(AssertionError, match="a server starts"):
        axiom(*run_of(1))


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
    assert len(lines) == (2 if code == 1 else 1), "what is started, if anything is, and what is wrong"


@pytest.mark.slow
def test_a_server_of_a_profile_that_does_not_answer_is_named(tmp_path):
    (tmp_path / "prefect").mkdir()
    profile = 'active = "there"\n[profiles.there]\nPREFECT_API_URL = "http://127.0.0.1:9/api"\n'
    (tmp_path / "prefect/profiles.toml").write_text(profile)
    process = start(tmp_path, *run_of(1))
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 1, out
    assert "failed: no Prefect server answers at PREFECT_API_URL = http://127.0.0.1:9/api; start it" in out


@pytest.mark.parametrize("command", [("study", "h1-modular"), ("bench", "study", "h1-modular")])
def test_ctrl_c_while_a_study_starts_says_how_to_go_on(axiom, monkeypatch, command):
    monkeypatch.setattr("axiom.cli.studies._study_flow", interrupted)
    code, _, err = axiom(*command)
    assert code == 130
    assert err.strip() == "interrupted; what is finished is kept, and the same command goes on from there"
