"""Odd surroundings: no home, no name, no temporary folder, another locale, a store that cannot be written."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from axiom import environment
from axiom.config import ExperimentConfig
from axiom.errors import ConfigError
from axiom.experiment import Experiment
from tests.cli.test_full_disk import finish, with_iterations
from tests.commands import called

REPOSITORY = Path(__file__).parents[2]
AXIOM = [sys.executable, "-m", "axiom.cli"]
NOBODY = ["unshare", "--user", "--map-user=12345"]
"""A user without a name or a home."""
KEPT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)}


def call(*command: str, around: tuple[str, ...] = (), folder: Path, **variables: str) -> subprocess.CompletedProcess:
    """The command line with no other variables than these."""
    return subprocess.run(
        [*around, *AXIOM, *command],
        env=KEPT | {"AXIOM_ROOT": str(folder)} | variables,
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture
def open_folder(tmp_path, tmp_path_factory):
    for place in (tmp_path_factory.getbasetemp().parent, tmp_path_factory.getbasetemp(), tmp_path):
        place.chmod(0o777)  # so that another user of this machine gets there
    return tmp_path


def test_a_user_without_name_and_home_is_told_where_caches_are(open_folder):
    found = call("list", around=NOBODY, folder=open_folder, TMPDIR=str(open_folder))
    assert (found.returncode, "Traceback" in found.stderr) == (0, False), found.stderr
    assert f"there is no home folder: caches and Prefect's files are kept in {open_folder}/axiom-12345" in found.stderr


SETTLED = """
import os, getpass
from axiom.environment import settle
said = settle()
from pathlib import Path
import prefect.settings, torch._inductor.runtime.cache_dir_utils as inductor
from axiom.environment import cache_dir
print(said); print(Path.home()); print(getpass.getuser()); print(cache_dir())
print(prefect.settings.PREFECT_HOME.value())
print(inductor.default_cache_dir())
"""


@pytest.mark.slow
def test_the_libraries_find_what_was_settled(open_folder):
    found = subprocess.run(
        [*NOBODY, sys.executable, "-c", SETTLED],
        env=KEPT | {"TMPDIR": str(open_folder)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    shelter = f"{open_folder}/axiom-12345"
    _, *places = found.stdout.splitlines()
    assert places[:4] == [shelter, "uid-12345", f"{shelter}/.cache/axiom", f"{shelter}/.prefect"], found.stderr
    assert "uid-12345" in places[4]


def test_a_home_that_can_be_written_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in environment.CACHES:
        monkeypatch.delenv(variable, raising=False)
    assert environment.settle() is None
    assert environment.cache_dir() == tmp_path / ".cache/axiom"
    assert environment.prefect_home() == tmp_path / ".prefect"
    assert not set(environment.CACHES) & set(os.environ)


READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && "$@"'


def read_only(folder: Path) -> tuple[str, ...]:
    """A prefix under which the folder cannot be written, even by root."""
    user = [] if os.getuid() == 0 else ["--map-root-user"]
    return ("unshare", "--mount", *user, "bash", "-c", READ_ONLY, "", str(folder))


@pytest.mark.slow
def test_a_read_only_home_keeps_its_models_and_nothing_else(tmp_path):
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    found = subprocess.run(
        [*read_only(home), sys.executable, "-c", SETTLED],
        env=KEPT | {"HOME": str(home), "TMPDIR": str(temporary)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    said, *places = found.stdout.splitlines()
    assert f"the home folder {home} cannot be written" in said, found.stderr
    shelter = f"{temporary}/axiom-{os.getuid()}"
    assert places[0] == str(home), "where the hub's models are"
    assert places[2:4] == [f"{shelter}/.cache/axiom", f"{shelter}/.prefect"]


READS = {
    "list": ("list",),
    "status": ("status", "expert_iteration-0"),
    "detect": ("detect", "expert_iteration-0"),
    "plot": ("plot", "expert_iteration-0", "--out", "chart.svg"),
    "compare": ("compare", *(f"{arm}-{seed}" for arm in ("expert_iteration", "frozen") for seed in range(6))),
}
WRITES = {
    "run": ("run", "--set", "model.kind=modular"),
    "resume": ("resume", "expert_iteration-0"),
    "fork": ("fork", "parent", "--at", "1", "--experiment", "child"),
    "study": ("study", "h1-modular"),
}
REPORT = {"report": ("report", "expert_iteration-0")}
DOCTOR = {"doctor": ("doctor",)}


@pytest.fixture
def kept(tmp_path):
    """A store with two arms over six seeds, and a run whose iterations are there."""
    for arm in ("expert_iteration", "frozen"):
        for seed in range(6):
            finish(str(tmp_path / "store"), f"{arm}-{seed}", seed, arm)
    with_iterations(finish(str(tmp_path / "store"), "parent"))
    (tmp_path / "here").mkdir()
    return tmp_path / "store"


def tree(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@pytest.mark.slow
def test_of_a_read_only_store_what_reads_works_and_what_writes_is_refused_at_once(kept, tmp_path):
    commands = READS | WRITES | REPORT | DOCTOR
    before = tree(kept)
    found = called(
        commands.values(), tmp_path / "here", read_only(kept), AXIOM_ROOT=str(kept), HOME=str(tmp_path), COLUMNS="200"
    )
    for command, (code, out, err) in zip(commands, found, strict=True):
        assert "Traceback" not in err, command
        if command in READS:
            assert (code, err) == (0, ""), command
        elif command == "doctor":
            assert code == 1
            assert "choose another with --root or AXIOM_ROOT" in " ".join(out.split())
        else:
            assert (code, out, err.strip().count("\n")) == (2, "", 0), (command, err)
            assert f"{kept}" in err
            assert "choose another folder with --root" in err
    assert "expert_iteration-0" in found[0].out
    assert tree(kept) == before


@pytest.mark.slow
def test_a_read_only_prefect_home_stops_what_starts_a_flow_and_nothing_else(kept, tmp_path):
    home = tmp_path / "prefect"
    home.mkdir()
    roads = {"AXIOM_ROOT": str(kept), "HOME": str(tmp_path), "PREFECT_HOME": str(home)}
    before = tree(kept)
    commands = WRITES | READS | REPORT | DOCTOR
    found = called(commands.values(), tmp_path / "here", read_only(home), **roads)
    for command, (code, out, err) in zip(commands, found, strict=True):
        assert "Traceback" not in err, command
        if command in WRITES:
            assert (code, err.strip().count("\n")) == (2, 0), (command, err)
            assert f"PREFECT_HOME = {home} cannot be written" in err
        elif command == "doctor":
            assert code == 1
            assert "set PREFECT_HOME" in out
        else:
            assert (code, err) == (0, ""), command
    after = tree(kept)
    assert {path.name for path in after.keys() - before.keys()} == {"report.html"}
    assert before.items() <= after.items()


def test_a_root_that_cannot_be_a_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for root in ("file", "file/below"):
        with pytest.raises(ConfigError, match=r"file cannot be written \(Not a directory\)"):
            Experiment.create(str(tmp_path / root), ExperimentConfig(name="new"))


def test_a_prefect_home_that_cannot_be_made_is_refused_at_once(tmp_path):
    found = call("run", "--set", "model.kind=modular", folder=tmp_path, HOME=str(tmp_path), PREFECT_HOME="/proc/no")
    assert (found.returncode, found.stderr.strip().count("\n")) == (2, 0)
    assert "PREFECT_HOME = /proc/no cannot be written" in found.stderr


def test_no_folder_for_temporary_files_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(environment.tempfile, "tempdir", None)
    monkeypatch.setattr(environment.tempfile, "_candidate_tempdir_list", lambda: ["/proc/no"])
    with pytest.raises(ConfigError, match="set TMPDIR to one that can"):
        environment.temporary_folder()


def test_a_shelter_that_another_could_fill_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(environment.tempfile, "tempdir", str(tmp_path))
    place = environment.shelter()
    assert place == environment.shelter() == tmp_path / f"axiom-{os.getuid()}"
    assert place.stat().st_mode & 0o777 == 0o700
    place.chmod(0o777)
    assert environment.shelter() not in (place, tmp_path)
    place.rmdir()
    place.symlink_to("/")
    assert environment.shelter() not in (place, Path("/"))


@pytest.mark.parametrize(
    ("encoding", "arrow"), [("ascii", "->"), ("latin-1", "->"), ("cp1252:strict", "->"), ("utf-8", "→")]
)
def test_a_terminal_that_cannot_show_a_sign_gets_another(tmp_path, encoding, arrow):
    code = (
        "import sys; from axiom.cli.terminal import settle_streams; settle_streams(); "
        "print('→ 70 · 3 × é \\u4e2d \\udcff'); print('→', file=sys.stderr)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], env=KEPT | {"PYTHONIOENCODING": encoding}, capture_output=True, check=True
    )
    assert found.stdout.decode(encoding.partition(":")[0]).startswith(f"{arrow} 70 ")
    assert found.stderr.decode(encoding.partition(":")[0]).strip() == arrow


@pytest.mark.slow
def test_the_doctor_speaks_in_ascii(tmp_path):
    found = call("doctor", folder=tmp_path, HOME=str(tmp_path), PYTHONIOENCODING="ascii")
    assert found.returncode == 0, found.stderr
    assert found.stdout.isascii()
    assert "-> some signs are replaced" in found.stdout


def test_every_text_names_its_encoding():
    """The locale's own is another on each machine."""
    for folder in ("axiom", "tasks", "flows"):
        for file in (REPOSITORY / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    assert _says_its_encoding(node), f"{file}:{node.lineno}: {ast.unparse(node)}"


def _says_its_encoding(node: ast.Call) -> bool:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    if name in ("read_text", "write_text"):
        return "encoding" in keywords
    if name in ("run", "Popen", "check_output") and ("text" in keywords or "universal_newlines" in keywords):
        return False
    if ast.unparse(node.func) == "open" or (
        name in ("open", "fdopen") and ast.unparse(node.func) not in ("os.open", "webbrowser.open")
    ):
        modes = [
            part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)
        ]
        binary = any("b" in mode for mode in modes if set(mode) <= set("rwxab+t"))
        return "encoding" in keywords or binary or "Experiment" in ast.unparse(node.func) or _opens_no_text(node)
    return True


def _opens_no_text(node: ast.Call) -> bool:
    """`open` of ours: an experiment by its root and name."""
    return ast.unparse(node) == "cls.open(root, config.name)"


ENDING = """
import atexit, gc
atexit.register(lambda: print(gc.get_freeze_count()))
from axiom.environment import imported
imported("axiom.records")
print(gc.get_freeze_count() > 10_000)
"""


def test_what_stays_in_memory_is_let_go_as_python_ends():
    """Else a library made with nanobind, as triton is, prints pages of what it leaked, below the result of a run."""
    done = subprocess.run([sys.executable, "-c", ENDING], text=True, capture_output=True, check=True)
    assert done.stdout.split() == ["True", "0"]
