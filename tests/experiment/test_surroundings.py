"""Surroundings do not change what a run computes: the hash seed, a clock that jumps, the run of another user."""

import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.commands import called
from tests.flows.operating import contents
from tests.processes import alone, start_alone

pytestmark = pytest.mark.slow

MODULAR = """
name = "run"
iterations = 2
[model]
kind = "modular"
[modular]
p = 13
embedding = 8
hidden = 16
steps_per_iteration = 20
[sampling]
samples_per_problem = 3
temperature = 3.0
"""
LANGUAGE = """
name = "run"
iterations = 1
[problems]
families = ["list_filter", "list_sort"]
difficulty = [1, 1]
train_size = 6
val_size = 3
test_size = 0
hidden_cases = 6
[model]
path = "PATH"
dtype = "float32"
device = "cpu"
[sampling]
engine = "transformers"
samples_per_problem = 8
temperature = 0.6
max_new_tokens = 190
[sandbox]
workers = 1
"""
TIMED = ("verdicts.parquet", "eval_verdicts.parquet", "iteration.json")
"""Files that hold seconds, or handles of such."""


@pytest.fixture(scope="module")
def presets(tmp_path_factory, programmer):
    folder = tmp_path_factory.mktemp("presets")
    (folder / "modular.toml").write_text(MODULAR)
    (folder / "language.toml").write_text(LANGUAGE.replace("PATH", str(programmer)))
    return folder


def start(folder: Path, *command: str, around=(), **more: str) -> subprocess.Popen[str]:
    """A module with its arguments."""
    folder.mkdir(exist_ok=True, parents=True)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "PYTHON"))}
    environment |= {"AXIOM_ROOT": str(folder / "artifacts"), "PREFECT_HOME": str(folder / "prefect")}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2]), **more}
    return subprocess.Popen(
        [*around, sys.executable, "-m", *command],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    out, _ = process.communicate(timeout=600)
    assert process.returncode == code, out
    return out


def left(folder: Path) -> dict[str, str]:
    """Digests of what a run left but for what a clock says."""
    return {name: digest for name, digest in contents(folder).items() if not name.endswith(TIMED)}


@pytest.fixture(scope="module")
def reference(presets, tmp_path_factory):
    """What an undisturbed run of a preset leaves."""

    @functools.cache
    def of(kind: str) -> dict[str, str]:
        root = tmp_path_factory.mktemp(kind)
        alone(root, presets / f"{kind}.toml")
        found = left(root / "run")
        assert {"iterations/0001/gold.parquet", "problems/train.parquet"} <= set(found)
        assert any("adapter" in name for name in found)
        return found

    return of


@pytest.mark.parametrize(("kind", "seed"), [("modular", "1"), ("language", "random")])
def test_every_hash_seed_gives_the_same_bytes(presets, reference, tmp_path, kind, seed):
    finish(start_alone(tmp_path, presets / f"{kind}.toml", PYTHONHASHSEED=seed))
    assert left(tmp_path / "artifacts/run") == reference(kind)


JUMPS = """
import time
real, real_ns, monotonic = time.time, time.time_ns, time.monotonic
BY = (0, 3600, -3600, 31_536_000, -31_536_000)  # an hour and a year, there and back
def jump():
    return BY[int(4 * monotonic()) % len(BY)]
time.time = lambda: real() + jump()
time.time_ns = lambda: real_ns() + 10**9 * jump()
"""


def test_a_clock_that_jumps_by_an_hour_and_a_year_changes_nothing(presets, reference, tmp_path):
    """In the run and in its private server, four times a second."""
    (tmp_path / "jumps").mkdir()
    (tmp_path / "jumps/sitecustomize.py").write_text(JUMPS)
    paths = f"{tmp_path / 'jumps'}:{Path(__file__).parents[2]}"
    finish(start(tmp_path, "axiom.cli", "run", str(presets / "modular.toml"), PYTHONPATH=paths))
    assert left(tmp_path / "artifacts/run") == reference("modular")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("artifacts/run/iterations/*/*.*")}
    finish(start_alone(tmp_path, presets / "modular.toml", PYTHONPATH=paths))
    assert {path: path.stat().st_mtime_ns for path in before} == before, "a resumed run reuses all"
    assert left(tmp_path / "artifacts/run") == reference("modular")


USERS = (12001, 12002)


def as_user(user: int) -> tuple[str, ...]:
    """Another user, who may read the interpreter wherever it is installed and write only what is theirs or open."""
    read = (
        "--inh-caps=-all,+dac_read_search",
        "--ambient-caps=+dac_read_search",
        "--bounding-set=-all,+dac_read_search",
    )
    return ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *read)


def opened(folder: Path) -> Path:
    """A folder in which all users may write, as a shared store is."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o777)
    return folder


@pytest.fixture
def shared():
    """A folder that every user may enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="axiom-users-") as folder:
        yield opened(Path(folder))


@pytest.fixture
def users(shared, presets):
    """Two users of this machine: what starts a command of theirs in a store, with homes of their own."""
    if os.getuid() != 0:
        pytest.fail("this test needs root, to be two users")

    def user(number: int):
        home = shared / f"home-{number}"
        home.mkdir()
        os.chown(home, number, number)

        def call(store: str, *command: str) -> subprocess.Popen[str]:
            roads = {"HOME": str(home), "PREFECT_HOME": str(home / ".prefect")}
            return start(home, *command, around=as_user(number), AXIOM_ROOT=str(opened(shared / store)), **roads)

        return call

    return [user(number) for number in USERS]


def test_two_users_start_at_the_same_instant(users, presets, reference, shared):
    """Of one name in one store one runs and one is refused in a sentence; another name or store is another run."""
    preset = str(presets / "modular.toml")
    rivals = [user("one", "axiom.cli", "run", preset) for user in users]  # each with a private server
    others = {
        "other/run": users[0]("other", "tests.processes", str(shared / "other"), preset),
        "one/too": users[1]("one", "tests.processes", str(shared / "one"), preset, "name=too"),
    }
    said = {run: run.communicate(timeout=600)[0] for run in rivals}
    for place, run in others.items():
        finish(run)
        assert left(shared / place) == reference("modular")
    first, second = sorted(rivals, key=lambda run: run.returncode)
    assert (first.returncode, second.returncode) == (0, 2), said
    assert said[second].count("error: ") == 1
    assert "Traceback" not in said[second]
    assert left(shared / "one/run") == reference("modular")
    owner = (shared / "one/run").stat().st_uid
    guest = next(user for user in USERS if user != owner)
    home = shared / f"home-{guest}"
    allowed = [("list",), ("status", "run"), ("inspect", "run", "--iteration", "1", "--stage", "samples")]
    refused = [("resume", "run", "--iterations", "6"), ("report", "run"), ("pause", "run")]
    roads = {"AXIOM_ROOT": str(shared / "one"), "HOME": str(home), "PREFECT_HOME": str(home / ".prefect")}
    found = called([*allowed, *refused], home, as_user(guest), **roads)
    assert [code for code, _, _ in found] == [0, 0, 0, 2, 2, 2], found
    for _, _, refusal in found[3:]:
        assert refusal.strip().splitlines()[-1].startswith("error: "), refusal
        assert "Traceback" not in refusal
