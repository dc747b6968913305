"""Trackers against their real files and databases: each iteration once, over resumes and forks; a failure is said."""

import glob
import importlib
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from axiom.config import ExperimentConfig, load_config
from axiom.config.names import TRACKERS
from axiom.errors import ConfigError
from axiom.evaluation import GREEDY
from axiom.experiment import Experiment, fork
from axiom.experiment.tracked import Tracking, scalars
from axiom.flows.experiment import without_server
from axiom.flows.operation import Operation
from axiom.progress import Progress, listen
from axiom.records import Metric
from axiom.tracking import check
from tests.flows.operating import wait_until

SMALL = {"modular.p": 11, "sampling.samples_per_problem": 2, "replay.rounds": 1}


def run(root: Path, iterations: int, *to: str, name: str = "mine", **more) -> ExperimentConfig:
    config = load_config("modular", name=name, iterations=iterations, **{"tracking.to": list(to)}, **SMALL, **more)
    without_server(config, str(root), Operation(gpu="never"))
    return config


def forked(root: Path, config: ExperimentConfig, at: int) -> None:
    child = config.model_copy(update={"name": "child", "iterations": at + 1})
    made = fork.fork(Experiment.open(str(root), config.name), child, at)
    without_server(made.config, str(root), Operation(gpu="never"))


def known(root: Path, name: str, iteration: int) -> dict[str, float]:
    experiment = Experiment.open(str(root), name)
    return scalars(experiment.stages.read(f"iterations/{iteration:04d}", "metrics", Metric))


def events(folder: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()


@pytest.mark.slow
def test_tensorboard_has_each_iteration_once_over_a_resume_and_a_fork(tmp_path):
    config = run(tmp_path, 1, "tensorboard")
    folder = tmp_path / "mine/tracking/tensorboard"
    assert [row.step for row in events(folder).Scalars(f"{GREEDY}/val")] == [0, 1]
    config = run(tmp_path, 3, "tensorboard")
    seen = events(folder)
    curve = seen.Scalars(f"{GREEDY}/val")
    assert [row.step for row in curve] == [0, 1, 2, 3]
    assert [row.value for row in curve] == [
        pytest.approx(known(tmp_path, "mine", i)[f"{GREEDY}/val"]) for i in range(4)
    ]
    assert [row.step for row in seen.Tensors("samples/text_summary")] == [0, 1, 2, 3]
    [report] = seen.Tensors("report/text_summary")[-1].tensor_proto.string_val
    assert str(tmp_path / "mine/report.html") in report.decode()
    assert b'"p": 11' in seen.Tensors("config/text_summary")[0].tensor_proto.string_val[0]
    forked(tmp_path, config, 2)
    seen = events(tmp_path / "child/tracking/tensorboard")
    assert [row.step for row in seen.Scalars(f"{GREEDY}/val")] == [0, 1, 2, 3], "the stem's history too"
    assert b"mine at iteration 2" in seen.Tensors("forked from/text_summary")[0].tensor_proto.string_val[0]


@pytest.mark.slow
def test_mlflow_has_each_iteration_once_over_a_kill_a_resume_and_a_fork(tmp_path, monkeypatch):
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    config = run(tmp_path, 1, "mlflow")
    noted = tmp_path / "mine/tracking.json"
    told = json.loads(noted.read_text())
    told["mlflow"]["last"] = 0  # as a run that was killed between its last iteration and its note
    noted.write_text(json.dumps(told))
    config = run(tmp_path, 3, "mlflow")
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / '.mlflow.db'}")
    [mine] = client.search_runs([client.get_experiment_by_name("axiom").experiment_id])
    history = client.get_metric_history(mine.info.run_id, f"{GREEDY}/val")
    assert sorted((row.step, row.value) for row in history) == [
        (i, known(tmp_path, "mine", i)[f"{GREEDY}/val"]) for i in range(4)
    ]
    assert (mine.info.run_name, mine.info.status, mine.data.params["modular.p"]) == ("mine", "FINISHED", "11")
    assert {file.path for file in client.list_artifacts(mine.info.run_id)} == {"report.html", "samples"}
    rows = json.loads(Path(client.download_artifacts(mine.info.run_id, "samples/0003.json")).read_text())
    assert {"prompt", "program", "outcome", "detail"} <= rows[0].keys()
    forked(tmp_path, config, 2)
    [child] = client.search_runs([mine.info.experiment_id], "tags.`axiom.name` = 'child'")
    assert child.data.tags["axiom.forked_from"] == "mine"
    assert sorted(row.step for row in client.get_metric_history(child.info.run_id, "wall_seconds")) == [0, 1, 2, 3]
    with pytest.raises(OSError, match="no more"), listen(no_more):
        run(tmp_path, 3, "mlflow", name="broken")
    client.delete_run(mine.info.run_id)
    run(tmp_path, 3, "mlflow")
    found = {one.info.run_name: one.info for one in client.search_runs([mine.info.experiment_id])}
    assert {name: info.status for name, info in found.items()} == {
        "mine": "FINISHED",
        "child": "FINISHED",
        "broken": "FAILED",
    }
    again = client.get_metric_history(found["mine"].run_id, "wall_seconds")
    assert sorted(row.step for row in again) == [0, 1, 2, 3], "another run with all of the history"


@pytest.mark.slow
def test_runs_that_begin_at_once_make_the_database_of_mlflow_once(tmp_path):
    command = [sys.executable, "-c", BEGUN, str(tmp_path)]
    begun = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in ("a", "b")]
    assert [one.communicate(timeout=120)[0].split() for one in begun] == [["0"], ["0"]]


BEGUN = """
import sys
from pathlib import Path
from axiom.tracking import Subject
from axiom.tracking.mlflow import Open
root, name = Path(sys.argv[1]), sys.argv[2]
tracker = Open(Subject(name, {"a": 1}, "axiom", "", root / name, root))
tracker.scalars(0, {"wall_seconds": 1.0})
print(tracker._newest())
"""


def no_more(progress: Progress) -> None:
    if progress.stage == "done" and progress.iteration == 1:
        raise OSError("no more")


def written(data: bytes) -> Iterator[bytes]:
    """The records of a file of Weights & Biases: LevelDB's log format behind a header of seven bytes."""
    place, parts = 7, b""
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        size, kind = struct.unpack_from("<HB", data, place + 4)
        parts += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


@pytest.mark.long
def test_wandb_offline_has_each_iteration_once_under_one_id(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    run(tmp_path, 1, "wandb")
    run(tmp_path, 3, "wandb")
    files = sorted(glob.glob(str(tmp_path / "mine/tracking/wandb/offline-run-*/*.wandb")))
    assert len(files) == 2
    assert len({Path(file).stem for file in files}) == 1, "one run, so that they are synced as one"
    # The library's own process writes the file, and may be at it for a moment after the run has ended.
    wait_until("the last iteration", lambda: steps_in(files) == [0, 1, 2, 3], 60)
    assert not any(Path(file).is_symlink() for file in glob.glob(f"{Path(files[1]).parent}/files/*"))
    run(tmp_path, 3, "wandb", **{"tracking.project": "other"})
    other = max(glob.glob(str(tmp_path / "mine/tracking/wandb/offline-run-*/*.wandb")), key=os.path.getctime)
    assert Path(other).stem != Path(files[0]).stem, "what is sent to another project is another run"
    wait_until("all of the history", lambda: steps_in([other]) == [0, 1, 2, 3], 60)


def steps_in(files: list[str]) -> list[int]:
    from wandb.proto import wandb_internal_pb2

    steps = []
    for file in files:
        for data in written(Path(file).read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            keys = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
            if f"{GREEDY}/val" in keys:
                steps.append(json.loads(keys["iteration"]))
    return steps


@pytest.mark.long
def test_trackio_has_each_iteration_once_over_a_kill_and_a_resume(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    from trackio.sqlite_storage import SQLiteStorage

    run(tmp_path, 1, "trackio")
    noted = tmp_path / "mine/tracking.json"
    told = json.loads(noted.read_text())
    told["trackio"]["last"] = 0  # as a run that was killed between its last iteration and its note
    noted.write_text(json.dumps(told))
    run(tmp_path / "elsewhere", 1, "trackio")
    run(tmp_path, 3, "trackio")
    assert capsys.readouterr().out == "", "what it prints would stand among the lines of the run"
    assert sorted(SQLiteStorage.get_runs("axiom")) == ["mine", "mine-2"], "one for each root"
    rows = [row for row in SQLiteStorage.get_logs("axiom", "mine") if f"{GREEDY}/val" in row]
    assert [(row["step"], row[f"{GREEDY}/val"]) for row in rows] == [
        (i, known(tmp_path, "mine", i)[f"{GREEDY}/val"]) for i in range(4)
    ]
    assert {found["name"] for found in SQLiteStorage.get_artifacts("axiom")} == {"mine-report", "mine-2-report"}


@pytest.mark.slow
def test_a_tracker_that_cannot_be_reached_is_said_once_and_stops_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    told: list[str] = []
    with listen(lambda progress: told.append(progress.note) if progress.stage == "warning" else None):
        run(tmp_path, 2, "mlflow", "tensorboard", **{"tracking.uri": "http://127.0.0.1:9"})
    said = [text for text in told if "tracking" in text]
    assert len(said) == 1, told
    assert said[0].startswith("tracking with mlflow failed (")
    assert said[0].endswith("; the run goes on without it")
    assert Experiment.open(str(tmp_path), "mine").last_done() == 2
    assert len(events(tmp_path / "mine/tracking/tensorboard").Scalars("wall_seconds")) == 3, "the other has all"


def test_a_tracker_that_fails_in_the_middle_is_said_once(tmp_path, monkeypatch):
    config = run(tmp_path, 2)
    experiment = Experiment(
        str(tmp_path), config.model_copy(update={"tracking": load_config(**{"tracking.to": ["tensorboard"]}).tracking})
    )
    tracking, told = Tracking(experiment), list[str]()
    writer = tracking._trackers[0]._tracker._writer
    with listen(lambda progress: told.extend(filter(None, [progress.note]))):
        tracking.follow(0)
        monkeypatch.setattr(writer, "add_scalar", lambda *_: (_ for _ in ()).throw(OSError("the disk is full")))
        tracking.follow(1)
        tracking.follow(2)
        tracking.finish("report.html")
    assert told == ["tracking with tensorboard failed (OSError: the disk is full); the run goes on without it"]


def test_a_tracker_without_its_package_is_refused_before_the_run(monkeypatch):
    monkeypatch.setattr("axiom.tracking.trackio.NEEDS", "no_such_package")
    with pytest.raises(ConfigError, match=r"pip install 'axiom-rl\[tracking-trackio\]'"):
        check(load_config(**{"tracking.to": ["trackio"]}))


def test_a_tracker_is_one_file():
    """Its name is known by its file, and the file says what it needs."""
    known = {path.stem for path in Path(importlib.import_module("axiom.tracking").__file__).parent.glob("*.py")} - {
        "__init__"
    }
    assert set(TRACKERS) == known
    for name in TRACKERS:
        importlib.import_module(f"axiom.tracking.{name}").NEEDS  # noqa: B018
        assert load_config(**{"tracking.to": [name]}).tracking.to == (name,)
    with pytest.raises(ConfigError, match=r"tracker 'nosuch' does not exist; the trackers are .*tensorboard"):
        load_config(**{"tracking.to": ["nosuch"]})


def test_trackers_change_nothing_that_a_run_is(tmp_path):
    run(tmp_path, 1)
    run(tmp_path, 1, "tensorboard")  # no other experiment, and nothing is computed again
    assert [row.step for row in events(tmp_path / "mine/tracking/tensorboard").Scalars("wall_seconds")] == [0, 1]
