"""A disk without room for what a command writes: one sentence, exit code 2, nothing half-written, no input touched."""

import hashlib
import json
import os

import pytest

from axiom.config import ExperimentConfig
from axiom.experiment import Experiment, iteration_folder
from axiom.records import Event, Metric
from axiom.store import write_parquet
from tests.commands import commanding
from tests.rows import metric_row

FULL = """
mount -t tmpfs -o size=4m none disk && cp -r store disk/ && mkdir disk/there
printf kept | tee disk/there/out.{jsonl,parquet,html,svg} > /dev/null
find disk ! -name .lock ! -type d -exec sha256sum {} + | sort -k 2 > before
cat /dev/zero > disk/filler 2> /dev/null; truncate -s -ROOM disk/filler
"""
FREED = """
rm disk/filler; find disk ! -name .lock ! -type d -exec sha256sum {} + | sort -k 2 > after
umount disk
"""


def finish(root, name, seed=0, arm="expert_iteration"):
    """A run whose six evaluations are there, without its iterations."""
    config = ExperimentConfig(name=name, arm=arm, seed=seed, iterations=5, model={"kind": "modular"})
    experiment = Experiment.create(root, config)
    experiment.save()
    rows = [
        metric_row(iteration=n, split=split, value=float(n > seed % 2 or split == "train"), low=0.0, high=1.0, n=100)
        for n in range(6)
        for split in ("train", "val")
    ]
    write_parquet(experiment.folder, "metrics", rows, Metric)
    write_parquet(experiment.folder, "events", [], Event)
    return experiment


def with_iterations(experiment):
    for folder in ("problems", *(iteration_folder(number) for number in range(6))):
        for stage in ("problems",) if folder == "problems" else ("evaluation", "iteration"):
            experiment.stages.run(stage, folder, settings=None, version="1", inputs={}, work=lambda out: None)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A store of two arms over six seeds, candidates and a curve."""
    folder = tmp_path_factory.mktemp("full")
    for arm in ("expert_iteration", "frozen"):
        for seed in range(6):
            finish(str(folder / "store"), f"{arm}-{seed}", seed, arm)
    with_iterations(finish(str(folder / "store"), "parent"))
    row = {"code": "def f(a):\n    return a", "entry_point": "f", "cases": [{"args": [1], "expected": 1}]}
    lines = [json.dumps({"candidate_id": hashlib.sha512(b"%d" % n).hexdigest(), **row}) for n in range(300)]
    (folder / "candidates.jsonl").write_text("\n".join(lines), encoding="utf-8")
    curve = [f"{n},{min(1.0, n / 5)},{float(n > 20)},200,200" for n in range(40)]
    header = "iteration,train_accuracy,val_accuracy,train_n,val_n"
    (folder / "curve.csv").write_text("\n".join([header, *curve]), encoding="utf-8")
    (folder / "disk").mkdir()
    return folder


RUNS = [f"{arm}-{seed}" for arm in ("expert_iteration", "frozen") for seed in range(6)]
FEW = tuple(f"--set=problems.{size}" for size in ("train_size=6", "val_size=60", "test_size=0"))
"""Splits of which a disk with some room takes the first."""
COMMANDS = {
    "verify": ("verify", "candidates.jsonl", "--out", "disk/there/out.jsonl"),
    "verify parquet": ("verify", "candidates.jsonl", "--out", "disk/there/out.parquet"),
    "problems": ("problems", "--family", "rpn", "--count", "100", "--out", "disk/there/out.jsonl"),
    "splits": ("problems", "splits", "--out", "disk/splits", *FEW),
    "detect": ("detect", "curve.csv", "--out", "disk/there/out.html"),
    "plot": ("plot", RUNS[0], "--root", "disk/store", "--out", "disk/there/out.svg"),
    "report": ("report", RUNS[0], "--root", "disk/store"),
    "fork": (
        "fork",
        "parent",
        "--root",
        "disk/store",
        "--at",
        "3",
        "--experiment",
        "child",
        "--set",
        "modular.learning_rate=1e-3",
    ),
}
FOLDERS = {
    "compare": ("compare", *RUNS, "--root", "disk/store", "--out", "disk/there"),
    "control": ("control", "--out", "disk/there"),
}


@pytest.fixture(scope="module")
def commander(inputs):
    """Its commands are called in a mount namespace of its own."""
    user = [] if os.getuid() == 0 else ["--map-root-user"]
    with commanding(inputs, ["unshare", "--mount", *user], HOME=str(inputs)) as found:
        yield found


def seen(commander, inputs, room, command):
    """A command on a disk with that much room: how it ended, and the digests of the disk's files before and after."""
    left = commander.call(*command, before=FULL.replace("ROOM", str(room)), after=FREED)
    return left, *((inputs / name).read_text().splitlines() for name in ("before", "after"))


def found_no_room(left):
    assert (left.code, left.err.strip().count("\n")) == (2, 0), left.err
    assert "is full; free some space" in left.err


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, pytest.param(4096, marks=pytest.mark.long), 16384])
def test_what_finds_no_room_is_one_sentence_and_leaves_the_disk_as_it_was(commander, inputs, room):
    for name, command in COMMANDS.items():
        left, before, after = seen(commander, inputs, room, command)
        found_no_room(left)
        assert after == before, name


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [pytest.param(name, marks=pytest.mark.long) if name == "control" else name for name in FOLDERS]
)
def test_of_several_files_those_that_found_room_are_whole(commander, inputs, command):
    whole, _, wanted = seen(commander, inputs, 3 << 20, FOLDERS[command])
    assert whole.code == 0, whole.err
    left, before, after = seen(commander, inputs, 65536, FOLDERS[command])
    found_no_room(left)
    assert after != before
    assert set(after) <= {*before, *wanted}
