"""The built wheel, installed into an environment of its own, works in a folder that has nothing of the checkout."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import axiom
from tests.flows.operating import operating

ROOT = Path(__file__).parents[2]
SOURCES = ("axiom", "tasks", "flows", "deployments", "prefect.yaml", "prefect.toml", "pyproject.toml", "README.md")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy: a build leaves folders behind."""
    folder = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, folder / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(folder)], check=True, cwd=folder)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory) -> Path:
    """An environment with the wheel, in which the packages of this one are found, but not its axiom."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    [site] = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")  # its own .pth files are not read
    return python


@pytest.fixture
def elsewhere(tmp_path, python):
    """Runs a program of the environment in an empty folder; returns its output."""
    environment = {key: value for key, value in os.environ.items() if key[:7] not in ("PREFECT", "PYTHONP", "AXIOM_R")}
    environment |= {"PREFECT_HOME": str(tmp_path / "prefect"), "OMP_NUM_THREADS": "1"}
    (tmp_path / "work").mkdir()

    def run(program: str, *arguments: str) -> str:
        command = [str(python.with_name(program)), *arguments]
        done = subprocess.run(command, cwd=tmp_path / "work", env=environment, text=True, capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_only_axiom_is_installed(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"axiom", f"axiom_rl-{axiom.__version__}.dist-info"}
    packaged = {name for name in names if name.startswith("axiom/")}
    for folder in ("axiom", "tasks", "flows", "deployments"):
        prefix = "axiom" if folder == "axiom" else f"axiom/{folder}"
        files = [path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix not in (".pyc", ".md")]
        assert {f"{prefix}/{path.relative_to(ROOT / folder)}" for path in files} <= packaged


def test_the_checkout_cannot_be_imported(elsewhere, python):
    code = "import axiom.flows.experiment, axiom.tasks.sample; print(axiom.__file__)"
    assert Path(elsewhere("python", "-c", code).strip()).is_relative_to(python.parents[1])
    for name in ("tasks", "flows", "tests"):
        assert elsewhere("python", "-c", f"import importlib.util as i; print(i.find_spec({name!r}))") == "None\n"


NO_OTHERS = "[mypy]\nfollow_imports = skip\n[mypy-axiom.*,polars.*]\nfollow_imports = normal\n"
"""Of what axiom imports mypy reads Polars alone, whose type it is asked for: all of it takes forty seconds."""


def test_a_type_checker_sees_the_types_of_the_installed_package(python, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        'import axiom\nreveal_type(axiom.Experiment.open("a", "b").frame("metrics"))\n'
        "reveal_type(axiom.verify([])[0].cases_passed)\naxiom.nosuch\n"
    )
    (tmp_path / "mypy.ini").write_text(NO_OTHERS)
    mypy = [sys.executable, "-m", "mypy", "--config-file=mypy.ini", "--python-executable", str(python)]
    said = subprocess.run([*mypy, str(program)], cwd=tmp_path, text=True, capture_output=True).stdout
    assert 'Revealed type is "polars.dataframe.frame.DataFrame"' in said
    assert 'Revealed type is "int"' in said
    assert 'Module has no attribute "nosuch"' in said


COMMANDS = """
import contextlib, io, json, sys
from axiom.cli.app import main

said = []
for words in json.loads(sys.argv[1]):
    sys.argv = ["axiom", *words]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main()
    said.append(out.getvalue())
print(json.dumps(said))
"""
"""What each of several commands prints; together, as the imports take most of their time."""


def test_presets_problems_and_a_run_by_the_name_of_a_preset(elsewhere, tmp_path):
    elsewhere("axiom", "run", "modular", "--iterations", "2", "--experiment", "small")
    assert (tmp_path / "work" / "artifacts" / "small" / "report.html").is_file()
    commands = (
        ("presets",),
        ("presets", "copy", "modular", "axiom-server.service", "--to", "mine"),
        ("problems", "--family", "list_sort", "--count", "1", "--show"),
        ("status", "small"),
    )
    listed, copied, shown, status = json.loads(elsewhere("python", "-c", COMMANDS, json.dumps(commands)))
    assert all(name in listed for name in ("quickstart", "h1-modular", "prefect.yaml", "axiom-worker@.service"))
    assert [(tmp_path / "work" / path).stat().st_size > 100 for path in copied.split()] == [True, True]
    assert "def " in shown
    assert "2 of 2 iterations" in status


def test_a_worker_runs_the_deployments_that_setup_makes(python, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    with operating(tmp_path / "home", python=str(python), folder=folder, PYTHONPATH="") as operator:
        operator.start_worker()
        config = operator.get("/deployments/name/experiment/modular")["parameters"]["config"]
        run = operator.start("experiment/modular", {"config": config | {"iterations": 1}})
        assert operator.await_state(run) == "COMPLETED", operator.logs(run)
    assert (folder / "artifacts" / "modular" / "report.html").is_file()
