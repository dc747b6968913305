"""What several test modules share."""

import atexit
import gc
import os
import shutil
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # models of the quick tests are tiny: a second thread only waits

import pytest
from filelock import FileLock
from hypothesis import settings

from axiom.cli.app import main
from tests.flows.operating import Operator

# No test measures time: a busy machine would fail it. `make test-long` tries forty times as many examples
settings.register_profile("axiom", deadline=None, max_examples=25)
settings.register_profile("long", deadline=None, max_examples=1000)
settings.load_profile("axiom")
gc.disable()  # until all is imported, which makes no garbage: to look for some takes as long as the imports themselves


def pytest_collection_finish():
    gc.freeze()  # what was imported stays, and is not looked at again before the end
    atexit.register(gc.unfreeze)
    gc.enable()
    gc.set_threshold(20_000, 20, 100)  # each collection looks at what the tests keep, and there is memory enough


@pytest.fixture
def axiom(tmp_path, monkeypatch, capsys):
    """The command line in an empty folder: exit code, output and errors of a call."""
    monkeypatch.setenv("AXIOM_ROOT", str(tmp_path / "artifacts"))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["axiom", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return call


def together(tmp_path_factory, name, make):
    """What `make` makes at the path it is given, made once for all processes of pytest-xdist."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own  # the folders of processes lie side by side
    with FileLock(shared / f"{name}.lock"):
        if not (shared / name).exists():
            make(shared / f"{name}.part").rename(shared / name)
    return shared / name


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """Prefect's database before any run, which takes it four seconds of CPU time to make."""

    def make(path):
        operator = Operator(path)
        operator.prefect("server", "database", "upgrade", "-y")
        return path / "prefect.db"

    return together(tmp_path_factory, "prefect.db", make)


@pytest.fixture
def returning(tmp_path, database):
    """The user of this test has run axiom before."""
    (tmp_path / "prefect").mkdir()
    shutil.copy(database, tmp_path / "prefect")


@pytest.fixture(scope="session")
def server_url(tmp_path_factory, database):
    """A Prefect server for the runs of this process."""
    operator = Operator(tmp_path_factory.mktemp("server"))
    shutil.copy(database, operator.home)
    try:
        operator.start_server()
        yield f"{operator.url}/api"
    finally:
        operator.stop()


@pytest.fixture(scope="module")
def one_server(server_url):
    """The runs of this module share a server: one of its own costs each run ten seconds of CPU time."""
    from prefect.context import refresh_global_settings_context

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", server_url)
        refresh_global_settings_context()  # Prefect's threads would start a private server besides
        yield
    refresh_global_settings_context()


@pytest.fixture(scope="session")
def moto_url():
    """An S3 server with an empty bucket for the tests of this process; each has a folder of its own name."""
    from tests.object_store import BUCKET, files, moto

    with moto() as address:
        files(address).mkdir(BUCKET)
        yield address


@pytest.fixture(scope="session")
def programmer(tmp_path_factory):
    """The folder of a tiny model that writes filters of numbers; nothing is written into it. It takes ten seconds."""
    from tests.models.tiny_model import make_tiny_programmer

    return together(tmp_path_factory, "programmer", make_tiny_programmer)


@pytest.fixture(scope="session", autouse=True)
def private_servers():
    """End the servers that Prefect started for runs in this process while what they log can still be written."""
    yield
    if "prefect.server.api.server" in sys.modules:
        from prefect.server.api.server import SubprocessASGIServer

        for server in tuple(SubprocessASGIServer._instances.values()):
            server.stop()
