"""What several test modules share."""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # models of the quick tests are tiny: a second thread only waits

import pytest
from hypothesis import settings

from axiom.cli.app import main

# No test measures time: a busy machine would fail it. `make test-long` tries ten times as many examples
settings.register_profile("axiom", deadline=None)
settings.register_profile("long", deadline=None, max_examples=1000)
settings.load_profile("axiom")


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


@pytest.fixture(scope="session", autouse=True)
def private_servers():
    """End the servers that Prefect started for runs in this process while what they log can still be written."""
    yield
    if "prefect.server.api.server" in sys.modules:
        from prefect.server.api.server import SubprocessASGIServer

        for server in tuple(SubprocessASGIServer._instances.values()):
            server.stop()
