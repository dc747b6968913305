"""An experiment's folder: one config for a name, one writer at a time, a damaged record said aloud."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from axiom.config import ExperimentConfig, load_config
from axiom.errors import ConfigError, DataError, LockedError
from axiom.experiment import EXECUTION, Experiment, differences, experiment_names, identity


def saved(root: Path, *overrides: str) -> Experiment:
    experiment = Experiment.create(str(root), load_config(None, ["name=one", *overrides]))
    experiment.save()
    return experiment


def test_the_same_config_is_the_same_experiment(tmp_path):
    saved(tmp_path)
    assert Experiment.create(str(tmp_path), load_config(None, ["name=one"])).config.name == "one"
    assert experiment_names(str(tmp_path)) == ["one"]


def test_a_name_in_use_with_another_config_is_refused(tmp_path):
    saved(tmp_path)
    with pytest.raises(
        ConfigError, match=r"already exists with training.learning_rate = 0.0002, not 0.01; choose another"
    ):
        saved(tmp_path, "training.learning_rate=1e-2")
    with pytest.raises(ConfigError, match="and 1 more differences"):
        saved(tmp_path, "training.learning_rate=1e-2", "seed=3")


def test_a_run_may_be_extended_and_moved(tmp_path):
    saved(tmp_path)
    longer = saved(tmp_path, "iterations=200", "sandbox.workers=1", "model.device=cpu", "sampling.batch_size=4")
    assert Experiment.open(str(tmp_path), "one").config == longer.config


def test_every_field_of_execution_exists():
    tree = ExperimentConfig().model_dump()
    for section, fields in EXECUTION.items():
        assert section in tree
        assert all(field in tree[section] for field in fields or ())
    assert not differences(ExperimentConfig(), ExperimentConfig(name="other", iterations=3))
    assert "name" not in identity(ExperimentConfig())


def test_an_unknown_name_lists_the_known(tmp_path):
    saved(tmp_path)
    with pytest.raises(ConfigError, match=r"no experiment 'two'.*there: one"):
        Experiment.open(str(tmp_path), "two")
    with pytest.raises(ConfigError, match="no experiment"):
        Experiment.open(str(tmp_path), "../one")


def test_a_damaged_record_is_said(tmp_path):
    saved(tmp_path)
    (tmp_path / "one/experiment.json").write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        Experiment.open(str(tmp_path), "one")


def test_the_record_tells_versions_and_keeps_when_it_began(tmp_path):
    saved(tmp_path)
    first = json.loads((tmp_path / "one/experiment.json").read_text())
    saved(tmp_path, "iterations=7")
    second = json.loads((tmp_path / "one/experiment.json").read_text())
    assert first["created"] == second["created"]
    assert second["packages"]["torch"]
    assert second["config"]["iterations"] == 7


HOLD = """
import sys, time
from axiom.config import load_config
from axiom.experiment import Experiment
with Experiment(sys.argv[1], load_config(None, ["name=one"])).locked():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_told_who_holds_it_and_a_dead_one_holds_nothing(tmp_path):
    experiment = saved(tmp_path)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        assert experiment.is_locked()
        with pytest.raises(LockedError, match=f"being written by process {holder.pid} on"), experiment.locked():
            pass
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    assert not experiment.is_locked()
    with experiment.locked():
        assert experiment.is_locked()


def test_the_lock_sweeps_what_killed_writers_left(tmp_path):
    experiment = saved(tmp_path)
    for place in ("", "problems", "iterations/0003"):
        (tmp_path / "one" / place / ".tmp-dead").mkdir(parents=True)
    with experiment.locked():
        assert not list((tmp_path / "one").rglob(".tmp-*"))
