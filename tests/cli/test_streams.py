"""Standard streams that are closed, full or without a reader; limits of the process; a folder that is gone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from axiom.config import ExperimentConfig
from axiom.evaluation import GREEDY
from axiom.experiment import Experiment
from axiom.records import Metric
from axiom.store import write_parquet

REPOSITORY = Path(__file__).parents[2]
CALL = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
AXIOM = '"$PYTHON" -m axiom.cli'


def shell(script: str, folder: Path, around: tuple[str, ...] = (), **variables: str) -> subprocess.CompletedProcess:
    """A shell's script in the folder."""
    return subprocess.run(
        [*around, "bash", "-c", script],
        cwd=folder,
        env=CALL | {"HOME": str(folder)} | variables,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )


INHERITED = """
import os, subprocess, sys
from axiom.cli.terminal import settle_streams
settle_streams()
print("into nothing"); print("into nothing", file=sys.stderr); sys.stdin.read()
opened = open("next")
child = subprocess.run([sys.executable, "-c", "import os; [os.fstat(n) for n in range(3)]"])
with open("found", "w") as file:
    print(opened.fileno() > 2, child.returncode, file=file)
"""


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", ">&-", "2>&-", "<&-"])
def test_what_a_caller_closed_leads_nowhere_here_and_in_the_processes_that_we_start(tmp_path, closed):
    (tmp_path / "next").write_text("untouched")
    (tmp_path / "code.py").write_text(INHERITED)
    shell(f'"$PYTHON" code.py {closed} < /dev/null' if "<" not in closed else f'"$PYTHON" code.py {closed}', tmp_path)
    assert (tmp_path / "found").read_text().split() == ["True", "0"]
    assert (tmp_path / "next").read_text() == "untouched"


@pytest.mark.slow
def test_a_mistake_without_any_stream_has_its_exit_code(tmp_path):
    for command, code in (("status nope", 2), ("list", 0)):
        assert shell(f"{AXIOM} {command} <&- >&- 2>&-", tmp_path).returncode == code


def test_a_reader_that_leaves_ends_a_command_without_a_word(tmp_path):
    found = shell(f"{AXIOM} problems --family rpn --count 200 | head -1", tmp_path)
    assert found.stdout.count("\n") == 1
    assert found.stderr == ""


RUNS = """
from pathlib import Path
from axiom.cli.app import console
from axiom.cli.terminal import settle_streams
from axiom.cli.workflow import interruptible
settle_streams()
with interruptible("the same command"):
    for number in range(2000):
        console.print(f"line {number}")
Path("done").touch()
"""


def test_a_run_goes_on_without_its_reader(tmp_path):
    (tmp_path / "code.py").write_text(RUNS)
    found = shell('"$PYTHON" code.py | head -1; exit ${PIPESTATUS[0]}', tmp_path)
    assert (found.returncode, found.stdout, found.stderr) == (0, "line 0\n", "")
    assert (tmp_path / "done").exists()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["list", "problems --family rpn --count 200"])
def test_an_output_that_is_full_is_one_sentence(tmp_path, command):
    found = shell(f"{AXIOM} {command} > /dev/full", tmp_path)
    assert (found.returncode, found.stderr.strip().count("\n")) == (2, 0), found.stderr
    assert "the disk of this command's output is full" in found.stderr


@pytest.mark.slow
def test_a_folder_that_was_removed_is_one_sentence(tmp_path):
    found = shell(f"mkdir gone; cd gone; rmdir ../gone; {AXIOM} list", tmp_path)
    assert (found.returncode, found.stderr.strip().count("\n")) == (2, 0), found.stderr
    assert "the current folder has been removed" in found.stderr


@pytest.mark.slow
def test_a_name_that_the_locale_cannot_read_is_told_so(tmp_path):
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    found = shell(f"{AXIOM} list --root artefakte-ä", tmp_path, **locale)
    assert (found.returncode, found.stderr.strip().count("\n")) == (2, 0), found.stderr
    assert "signs that the locale ascii cannot read; set LC_ALL=C.UTF-8 or PYTHONUTF8=1" in found.stderr
    found = shell(f"{AXIOM} list --root artefakte-ä", tmp_path, LC_ALL="C.UTF-8")
    assert (found.returncode, "artefakte-ä" in found.stdout) == (0, True), found.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run --set model.kind=modular", "report old", "plot old --out x.svg"])
def test_too_few_addresses_for_a_chart_are_told_before_the_work(tmp_path, command):
    """The chart engine ends a process that has less, without a word."""
    experiment = Experiment.create(str(tmp_path / "artifacts"), ExperimentConfig(name="old"))
    experiment.save()
    figures = dict.fromkeys(
        ("iteration", "optimizer_step", "trained_tokens", "generated_tokens", "wall_seconds", "low"), 0
    )
    row = Metric(**figures, split="val", family=None, difficulty=None, name=GREEDY, value=0.5, high=1.0, n=9)
    write_parquet(experiment.folder, "metrics", [row], Metric)
    before = sorted(tmp_path.rglob("*"))
    found = shell(f"ulimit -v {16 << 20}; {AXIOM} {command}", tmp_path)
    assert (found.returncode, found.stderr.strip().count("\n")) == (2, 0), found.stderr
    assert "ulimit -v = 16 GiB is below the 72 GiB of addresses" in found.stderr
    assert [path for path in sorted(tmp_path.rglob("*")) if "cache" not in str(path)] == before


def test_too_few_threads_for_a_run_are_told_before_it(tmp_path):
    tmp_path.chmod(0o777)
    around = ("unshare", "--user", "--map-user=12345")
    for limit, told in ((8, 1), (8000, 0)):
        code = f"ulimit -u {limit}; \"$PYTHON\" -c 'from axiom.environment import check_threads; check_threads()'"
        found = shell(code, tmp_path, around)
        assert found.returncode == told, found.stderr
        assert ("ulimit -u = 8 leaves room for" in found.stderr) == bool(told)


@pytest.mark.slow
@pytest.mark.parametrize("out", ["p.jsonl", "p.parquet"])
def test_a_file_that_finds_no_room_is_not_left_half_written(tmp_path, out):
    """A real disk of 64 KiB, in a mount namespace of its own so that nothing stays behind."""
    user = [] if os.getuid() == 0 else ["--map-root-user"]
    script = (
        f"mkdir disk; mount -t tmpfs -o size=64k none disk; echo kept > disk/{out}; "
        f"{AXIOM} problems --family rpn --count 500 --out disk/{out}; code=$?; cat disk/*; ls -A disk; exit $code"
    )
    found = shell(script, tmp_path, ("unshare", "--mount", *user))
    assert (found.returncode, found.stderr.strip().count("\n")) == (2, 0), found.stderr
    assert f"the disk of disk/{out} is full" in found.stderr
    assert found.stdout.split() == ["kept", out]
