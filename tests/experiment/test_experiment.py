"""An experiment's folder: one config for a name, one writer at a time, a damaged record said aloud."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from axiom.config import ExperimentConfig, load_config
from axiom.errors import ConfigError, DataError, LockedError
from axiom.experiment import EXECUTION, Experiment, differences, experiment_names, identity, lock
from axiom.experiment.provenance import code_and_packages, commit
from tests.models.tiny_model import make_tiny_model


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


def test_of_many_experiments_the_nearest_are_named(tmp_path):
    for number in range(12):
        Experiment.create(str(tmp_path), ExperimentConfig(name=f"study-s{number:02d}")).save()
    with pytest.raises(ConfigError, match=r"there: study-s07, .* and 7 more; `.*axiom list"):
        Experiment.open(str(tmp_path), "study-so7")


@pytest.mark.parametrize("record", ["{", "[]", "{}", '{"config": 3}', '{"config": {"iterations": -1}}', "\xff"])
def test_a_damaged_record_is_said(tmp_path, record):
    experiment = saved(tmp_path)
    (tmp_path / "one/experiment.json").write_text(record, encoding="latin-1")
    for attempt in (lambda: Experiment.open(str(tmp_path), "one"), experiment.save):
        with pytest.raises(DataError, match=r"is damaged .*remove it and start the run again"):
            attempt()


@pytest.mark.parametrize("change", [{"iterations": -5}, {"iterations": 100_001}, {"name": "../x"}, {"arm": "none"}])
def test_what_could_not_be_opened_again_is_not_written(tmp_path, change):
    """A copy of a config is checked by nobody."""
    experiment = Experiment(str(tmp_path), ExperimentConfig(name="one").model_copy(update=change))
    with pytest.raises(ConfigError):
        experiment.save()
    with pytest.raises(ConfigError):
        Experiment.create(str(tmp_path), experiment.config)
    assert list(tmp_path.rglob("*")) == []


def test_an_experiment_opens_whatever_was_removed_since(tmp_path):
    """A family, a package or a setting of an earlier version."""
    saved(tmp_path)
    path = tmp_path / "one/experiment.json"
    record = json.loads(path.read_text())
    record["config"]["problems"]["families"] = ["removed_family"]
    record["config"]["removed_setting"] = record["config"]["training"]["removed"] = 1
    path.write_text(json.dumps(record))
    assert Experiment.open(str(tmp_path), "one").config.problems.families == ("removed_family",)


def test_a_record_keeps_every_provenance_and_since_when(tmp_path, monkeypatch):
    saved(tmp_path)
    path = tmp_path / "one/experiment.json"
    first = json.loads(path.read_text())
    assert [entry["code"] for entry in first["history"]] == [first["code"]]
    saved(tmp_path)
    assert json.loads(path.read_text()) == first
    later = code_and_packages() | {"code": "a later commit"}
    monkeypatch.setattr("axiom.experiment.provenance.code_and_packages", lambda: later)
    saved(tmp_path)
    later = json.loads(path.read_text())
    assert [entry["code"] for entry in later["history"]] == [first["code"], "a later commit"]
    assert (later["created"], later["code"]) == (first["created"], "a later commit")
    assert later["history"][0] == first["history"][0]


def test_a_record_of_before_histories_keeps_its_first_provenance(tmp_path):
    saved(tmp_path)
    path = tmp_path / "one/experiment.json"
    record = json.loads(path.read_text())
    del record["history"]
    path.write_text(json.dumps(record | {"code": "0123456789ab"}))
    saved(tmp_path)
    history = json.loads(path.read_text())["history"]
    assert [entry["code"] for entry in history] == ["0123456789ab", record["code"]]
    assert history[0]["since"] == record["created"]


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=folder, check=True)


def test_git_names_the_package_s_own_repository_and_no_other(tmp_path):
    package = tmp_path / "site-packages/axiom"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    assert commit(package) is None
    git(tmp_path, "init", "-q")
    (tmp_path / "notes").write_text("of somebody else")
    git(tmp_path, "add", "notes")
    git(tmp_path, "commit", "-qm", "notes")
    assert commit(package) is None  # a repository around it
    git(package.parent, "init", "-q")
    assert commit(package) is None  # beside it, not of it
    git(package.parent, "add", "axiom")
    git(package.parent, "commit", "-qm", "code")
    assert re.fullmatch(r"[0-9a-f]{12}", commit(package))
    (package / "__init__.py").write_text("changed = True")
    assert commit(package).endswith("-dirty")


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


def test_looking_at_the_lock_does_not_take_it(tmp_path):
    """Whoever starts at the instant of a look must not be refused."""
    experiment, stop = saved(tmp_path), threading.Event()
    looking = threading.Thread(target=lambda: [experiment.is_locked() for _ in iter(stop.is_set, True)])
    with experiment.locked():
        looking.start()
    try:
        for _ in range(300):
            with experiment.locked():
                assert experiment.is_locked()
    finally:
        stop.set()
        looking.join()
    assert not experiment.is_locked()


def test_a_dead_holder_is_told_from_a_process_that_has_its_number_now(tmp_path):
    experiment = saved(tmp_path)
    note = tmp_path / "one/.lock.json"
    with experiment.locked():
        written = note.read_text()
    told = json.loads(written)
    assert told["process"] == int(written.split()[1]) == os.getpid()
    for started, locked in ((told["started"], True), (told["started"] - 1, False), (None, True)):
        note.write_text(json.dumps(told | {"started": started}))
        assert experiment.is_locked() is locked


def test_a_note_of_before_it_was_json_is_read(tmp_path):
    experiment = saved(tmp_path)
    old = f"process {os.getpid()} on {socket.gethostname()} since 2025-06-01 10:00:00 UTC"
    (tmp_path / "one/.lock.json").write_text(old)
    assert experiment.is_locked()
    assert str(lock.read_note(tmp_path / "one")) == old


def test_the_lock_sweeps_what_killed_writers_left(tmp_path):
    experiment = saved(tmp_path)
    for place in ("", "problems", "iterations/0003"):
        (tmp_path / "one" / place / ".tmp-dead").mkdir(parents=True)
    with experiment.locked():
        assert not list((tmp_path / "one").rglob(".tmp-*"))


def begun(folder: Path, model: Path, **changed: object) -> Experiment:
    """An experiment of the tiny model, on the way as a run begins it."""
    config = load_config(None, [], name="words", **{"model.path": str(model), "model.device": "cpu"} | changed)
    experiment = Experiment.create(str(folder), config)
    experiment.save()
    experiment.settle()
    return experiment


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("model"))


def keys(experiment: Experiment) -> str:
    return json.dumps(experiment.settings("model", "sampling"))


def test_weights_count_by_their_content_and_not_by_their_place(tmp_path, tiny):
    here = begun(tmp_path / "a", tiny)
    moved = shutil.copytree(tiny, tmp_path / "moved")
    assert keys(begun(tmp_path / "b", moved)) == keys(here)
    with (moved / "model.safetensors").open("r+b") as file:
        file.seek(-3, os.SEEK_END)
        last = file.read(1)
        file.seek(-3, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    assert keys(begun(tmp_path / "c", moved)) != keys(here)
    with pytest.raises(ConfigError, match=r"'words' cannot go on: model.path was '\w{16}' and is '\w{16}'"):
        begun(tmp_path / "b", moved)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "pytorch_model.bin", "weights.gguf"])
def test_every_file_that_decides_what_a_model_computes_counts(tmp_path, tiny, name):
    model = shutil.copytree(tiny, tmp_path / "model")
    (model / name).touch()
    before = keys(begun(tmp_path / "a", model))
    (model / name).write_bytes((model / name).read_bytes() + b" ")
    assert keys(begun(tmp_path / "b", model)) != before
    (model / "notes.md").write_text("nothing that computes")
    assert keys(begun(tmp_path / "b", model)) == keys(begun(tmp_path / "b", model))


def test_an_adapter_to_start_from_counts_by_its_content(tmp_path, tiny):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(b"one")
    first = begun(tmp_path / "a", tiny, **{"model.adapter": str(adapter)})
    assert keys(first) != keys(begun(tmp_path / "b", tiny))
    (adapter / "adapter_model.safetensors").write_bytes(b"two")
    with pytest.raises(ConfigError, match=r"model\.adapter was"):
        begun(tmp_path / "a", tiny, **{"model.adapter": str(adapter)})


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"sampling.vllm.max_model_len": 128}, "sampling.max_model_len was 2048 and is 128"),
        ({"sampling.vllm.weights": "merged"}, "sampling.weights was 'adapter' and is 'merged'"),
        ({"sampling.engine": "transformers"}, "sampling.engine was 'vllm' and is 'transformers'"),
    ],
)
def test_a_run_does_not_change_its_engine_half_way(tmp_path, tiny, changed, says):
    engine = {"sampling.engine": "vllm"}
    first = keys(begun(tmp_path, tiny, **engine))
    with pytest.raises(ConfigError, match=says):
        begun(tmp_path, tiny, **engine | changed)
    assert keys(begun(tmp_path / "other", tiny, **engine | changed)) != first
    begun(tmp_path, tiny, **engine, **{"sampling.vllm.replicas": 2, "sampling.batch_size": 4})


def test_what_an_engine_does_not_read_does_not_count(tmp_path, tiny):
    first = begun(tmp_path, tiny, **{"sampling.engine": "transformers"})
    later = begun(tmp_path, tiny, **{"sampling.engine": "auto", "sampling.vllm.max_model_len": 128})
    assert keys(first) == keys(later)


def test_each_stage_names_the_code_that_computed_it(tmp_path):
    experiment = saved(tmp_path)
    experiment.stages.run("s", "x", settings=1, version="1", inputs={}, work=lambda out: None)
    made = experiment.stages.manifest("s", "x").made
    assert made == code_and_packages()
    assert made["packages"]["torch"]


def test_a_repository_around_an_installed_package_is_not_its_version(tmp_path):
    def package(*names: str) -> Path:
        folder = tmp_path.joinpath(*names, "axiom")
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        return folder

    own, vendored, installed = package(), package("vendor"), package("venv", "site-packages")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(tmp_path)]
    for command in (["init", "-q"], ["add", "axiom", "vendor"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], check=True)
    assert commit(own)
    assert commit(vendored) is None
    assert commit(installed) is None
