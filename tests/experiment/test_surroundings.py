"""Surroundings do not change what a run computes: the hash seed, a clock that jumps, the run of another user."""

import functools
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier

import pytest

from axiom.cli.workflow import SETTINGS
from tests.commands import Left, commanding
from tests.flows.operating import contents
from tests.processes import REPOSITORY, alone, finish

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


def start(folder: Path, *command: str, **more: str) -> subprocess.Popen[str]:
    """A command of `axiom`, without the variables of the test's process."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "PYTHON"))}
    environment |= {"AXIOM_ROOT": str(folder / "artifacts"), "PREFECT_HOME": str(folder / "prefect")}
    return subprocess.Popen(
        [sys.executable, "-m", "axiom.cli", *command],
        env=environment | {"OMP_NUM_THREADS": "1", **more},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


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


BOTH = """
import sys
from tests.processes import alone
for preset in sys.argv[2:]:
    alone(f"{sys.argv[1]}/{preset}", f"{preset}.toml")
"""


def test_every_hash_seed_gives_the_same_bytes(presets, reference, tmp_path):
    """The reference has one that was drawn for this process."""
    kinds = ("modular", "language")
    environment = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", BOTH, str(tmp_path), *kinds], env=environment, cwd=presets, check=True)
    for kind in kinds:
        assert left(tmp_path / kind / "run") == reference(kind)


JUMPS = """
import time
real, real_ns, monotonic = time.time, time.time_ns, time.monotonic
BY = (0, 3600, -3600, 31_536_000, -31_536_000)  # an hour and a year, there and back
def jump():
    return BY[int(4 * monotonic()) % len(BY)]
time.time = lambda: real() + jump()
time.time_ns = lambda: real_ns() + 10**9 * jump()
"""


@pytest.mark.usefixtures("returning")
def test_a_clock_that_jumps_by_an_hour_and_a_year_changes_nothing(presets, reference, tmp_path, monkeypatch):
    """In the run and in its private server, four times a second; and as the run is resumed."""
    (tmp_path / "jumps").mkdir()
    (tmp_path / "jumps/sitecustomize.py").write_text(JUMPS)
    paths = f"{tmp_path / 'jumps'}:{REPOSITORY}"
    finish(start(tmp_path, "run", str(presets / "modular.toml"), PYTHONPATH=paths))
    assert left(tmp_path / "artifacts/run") == reference("modular")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("artifacts/run/iterations/*/*.*")}
    for name in ("time", "time_ns"):
        monkeypatch.setattr(time, name, getattr(time, name))  # to be set back
    exec(JUMPS, {})
    alone(tmp_path / "artifacts", presets / "modular.toml")
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


def homes(shared: Path, number: int) -> dict[str, str]:
    """A home of the user's own, and what names it."""
    home = shared / f"home-{number}"
    home.mkdir()
    os.chown(home, number, number)
    return {"HOME": str(home), "PREFECT_HOME": str(home / ".prefect")}


RUN = ("axiom.flows.experiment", "axiom.learners.modular", "torch")
"""What a run imports besides."""


@pytest.fixture
def users(shared, server_url):
    """What calls commands of two users of this machine, with homes of their own, through one Prefect server."""
    if os.getuid() != 0:
        pytest.fail("this test needs root, to be two users")
    with ExitStack() as stack:
        roads = {number: homes(shared, number) | {"PREFECT_API_URL": server_url} for number in USERS}
        yield {
            number: stack.enter_context(commanding(Path(road["HOME"]), as_user(number), RUN, **SETTINGS, **road))
            for number, road in roads.items()
        }


def test_two_users_start_at_the_same_instant(users, presets, reference, shared):
    """Of one name in one store one runs and one is refused in a sentence; another name or store is another run."""
    one, other = (str(opened(shared / store)) for store in ("one", "other"))
    rival = ("run", str(presets / "modular.toml"))
    runs = {
        USERS[0]: [(*rival, "--root", one), (*rival, "--root", other)],
        USERS[1]: [(*rival, "--root", one), (*rival, "--root", one, "--experiment", "too")],
    }
    instant = Barrier(len(USERS))

    def both(user: int) -> list[Left]:
        users[user].call("--version")  # it has imported all
        instant.wait()
        return [users[user].call(*words) for words in runs[user]]

    with ThreadPoolExecutor() as pool:
        said = dict(zip(USERS, pool.map(both, USERS), strict=True))
    assert sorted(first.code for first, _ in said.values()) == [0, 2], said
    assert all(second.code == 0 for _, second in said.values()), said
    [refused] = [first for first, _ in said.values() if first.code == 2]
    assert (refused.err.count("error: "), "Traceback" in refused.err) == (1, False), refused
    for place in ("one/run", "one/too", "other/run"):
        assert left(shared / place) == reference("modular")
    guest = next(user for user, (first, _) in said.items() if first.code == 2)
    allowed = [("list",), ("status", "run"), ("inspect", "run", "--iteration", "1", "--stage", "samples")]
    forbidden = [("resume", "run", "--iterations", "6"), ("report", "run"), ("pause", "run")]
    found = [users[guest].call(*words, "--root", one) for words in (*allowed, *forbidden)]
    assert [code for code, _, _ in found] == [0, 0, 0, 2, 2, 2], found
    for _, _, refusal in found[3:]:
        assert refusal.strip().splitlines()[-1].startswith("error: "), refusal
        assert "Traceback" not in refusal
