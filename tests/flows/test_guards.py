"""What the page on operation promises of locks, pauses and engines, by real locks, stores and learners."""

import os
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from axiom.config import ExperimentConfig
from axiom.errors import EngineError, LockedError
from axiom.experiment import Experiment
from axiom.experiment.running import Runtime
from axiom.flows import operation
from axiom.flows.operation import Operation, pause_asked
from axiom.progress import listen

TINY = {"kind": "modular"}
HOLD = """
import sys
from axiom.experiment import Experiment
with Experiment.open(sys.argv[1], "mine").locked():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def experiment(tmp_path):
    made = Experiment.create(str(tmp_path), ExperimentConfig(name="mine", model=TINY))
    made.save()
    return made


@pytest.fixture
def other(experiment):
    """Another process that holds the experiment."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, experiment.root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_run_is_refused_and_names_the_process_that_writes(experiment, other):
    with ExitStack() as stack, pytest.raises(LockedError, match=f"written by process {other.pid} on .* since "):
        operation._lock(stack, experiment, Operation(overlap="refuse"))


def test_a_second_run_that_queues_says_whom_it_waits_for_and_begins_when_that_one_ends(experiment, other, monkeypatch):
    monkeypatch.setattr(operation, "POLL_SECONDS", 0.01)
    notes, waited = [], threading.Event()

    def hear(progress):
        notes.append(progress.note)
        waited.set()

    def end_the_other():
        waited.wait(20)  # where nothing is said, the other ends all the same
        other.kill()

    threading.Thread(target=end_the_other, daemon=True).start()
    with listen(hear), ExitStack() as stack:
        run = operation._lock(stack, experiment, Operation(overlap="queue"))
        assert run.config == experiment.config
        assert experiment.is_locked()
    assert f"is being written by process {other.pid} " in notes[0]
    assert not experiment.is_locked()


def test_asking_once_pauses_once(experiment, axiom):
    with experiment.locked():
        code, out, err = axiom("pause", "mine", "--root", experiment.root)
        assert (code, "mine stops after its current iteration" in out) == (0, True), err
    assert pause_asked(experiment)
    assert not pause_asked(experiment)
    code, _, err = axiom("pause", "mine", "--root", experiment.root)
    assert (code, "is not running" in err) == (2, True), "nobody would hear it"
    assert not pause_asked(experiment)


@pytest.mark.parametrize(
    ("error", "fresh"), [(EngineError("dead"), True), (MemoryError(), True), (ValueError("a bug"), False)]
)
def test_a_stage_that_a_machine_failed_finds_a_fresh_engine(experiment, error, fresh):
    run = Runtime(experiment)
    first = run.learner
    with pytest.raises(type(error)), run.fresh_engine_on_failure():
        raise error
    assert (run.learner is not first) == fresh
    run.close()
