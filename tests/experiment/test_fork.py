"""A fork shares what came before it to the byte and goes its own way after; it removes nothing that it did not make."""

import json
from pathlib import Path

import pytest

from axiom.config import load_config, override
from axiom.errors import ConfigError, DataError, LockedError
from axiom.experiment import Experiment, iteration_folder
from axiom.experiment.fork import fork
from axiom.flows.experiment import without_server
from axiom.flows.operation import Operation
from axiom.store import Writer
from tests.processes import alone

SMALL = ("model.kind=modular", "modular.p=23", "checkpoint_every=100")


def stage_digests(experiment: Experiment, stage: str, numbers: range) -> list[str]:
    manifests = [experiment.stages.manifest(stage, iteration_folder(number)) for number in numbers]
    return [manifest.digest for manifest in manifests if manifest is not None]


@pytest.mark.slow
def test_a_fork_inherits_to_the_byte_then_differs_and_a_fork_of_it_too(tmp_path):
    """The adapters before the fork are pruned in the parent, so that each child has to train them again."""

    def forked(of: Experiment, at: int, *overrides: str, **top) -> Experiment:
        made = fork(of, override(of.config, overrides, **top), at)
        without_server(made.config, made.root, Operation(gpu="never"))
        return Experiment.open(made.root, made.config.name)

    parent = alone(tmp_path / "artifacts", None, *SMALL, name="parent", iterations=5)
    child = forked(parent, 3, "training.mode=restart", "modular.weight_decay=0.0", name="child", iterations=6)
    grandchild = forked(child, 5, "modular.learning_rate=1e-3", name="grandchild")
    assert [run.inherited for run in (parent, child, grandchild)] == [0, 3, 5]
    assert parent.stages.manifest("adapter", iteration_folder(2)).pruned
    for stage in ("samples", "adapter", "evaluation"):
        assert stage_digests(child, stage, range(1, 3)) == stage_digests(parent, stage, range(1, 3))
        assert stage_digests(grandchild, stage, range(1, 5)) == stage_digests(child, stage, range(1, 5))
    # The first own samples are drawn by the adapter that was trained again; what is trained on them is the child's.
    assert stage_digests(child, "samples", range(3, 4)) == stage_digests(parent, "samples", range(3, 4))
    assert stage_digests(child, "adapter", range(3, 4)) != stage_digests(parent, "adapter", range(3, 4))
    assert stage_digests(grandchild, "samples", range(5, 6)) == stage_digests(child, "samples", range(5, 6))
    assert stage_digests(grandchild, "adapter", range(5, 6)) != stage_digests(child, "adapter", range(5, 6))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "artifacts/child/iterations").rglob("*.*")}
    without_server(child.config, child.root, Operation(gpu="never"))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "artifacts/child/iterations").rglob("*.*")} == before


@pytest.fixture
def parent(tmp_path) -> Experiment:
    """Four iterations, 0 to 3, of which only the records are there."""
    experiment = Experiment.create(str(tmp_path), load_config(None, SMALL, name="parent", iterations=8))
    experiment.save()
    for folder in ("problems", *(iteration_folder(number) for number in range(4))):
        stages = ("problems",) if folder == "problems" else ("evaluation", "iteration")
        for stage in stages:
            experiment.stages.run(stage, folder, settings=None, version="1", inputs={}, work=lambda out: None)
    return experiment


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in sorted(folder.rglob("*"))}


def child_of(parent: Experiment, *overrides: str, name: str = "child", at: int = 2, **top) -> Experiment:
    return fork(parent, override(parent.config, overrides, name=name, **top), at)


@pytest.mark.parametrize("content", [None, "notes.txt", "experiment.json"])
def test_a_folder_of_the_new_name_is_refused_and_kept(parent, content, tmp_path):
    (tmp_path / "child").mkdir()
    if content:
        (tmp_path / "child" / content).write_text(
            (tmp_path / "parent/experiment.json").read_text().replace('"parent"', '"child"')
        )
    before = tree(tmp_path)
    with pytest.raises(ConfigError, match="already exists; choose another name with --experiment"):
        child_of(parent)
    assert tree(tmp_path) == before


def test_a_fork_of_what_is_damaged_is_refused_and_leaves_nothing(parent, tmp_path):
    def work(out: Writer) -> None:
        out.json("figures", 1)

    parent.stages.run("samples", iteration_folder(1), settings=None, version="1", inputs={}, work=work)
    (tmp_path / "parent/iterations/0001/figures.json").write_text("2")
    with pytest.raises(DataError, match=r"'samples' in .*iterations/0001 is damaged; `.*axiom resume parent --root"):
        child_of(parent)
    assert not (tmp_path / "child").exists()


def test_of_two_forks_of_one_name_at_once_the_second_is_refused(parent, tmp_path, monkeypatch):
    child_of(parent)
    before = tree(tmp_path)
    monkeypatch.setattr("axiom.experiment.fork.check", lambda parent, config, _: Experiment(parent.root, config))
    with pytest.raises(ConfigError, match="already exists"):  # it was not there when the second looked
        child_of(parent)
    after = tree(tmp_path)
    assert {path: data for path, data in after.items() if ".lock" not in path} == {
        path: data for path, data in before.items() if ".lock" not in path
    }


def test_a_fork_locks_its_parent(parent, tmp_path):
    with parent.locked(), pytest.raises(LockedError, match="experiment 'parent' is being written by process"):
        child_of(parent)
    assert not (tmp_path / "child").exists()


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("seed=1", "seed"),
        ("arm=unverified", "arm"),
        ("problems.hidden_cases=8", "problems.hidden_cases"),
        ("model.path=smollm2-135m", "model.path"),
        ("modular.p=29", "modular.p"),
        ("modular.hidden=64", "modular.hidden"),
        ("modular.train_fraction=0.5", "modular.train_fraction"),
        ("evaluation.confidence=0.9", "evaluation.confidence"),
        ("training.lora_r=8", "training.lora_r"),
    ],
)
def test_what_the_shared_iterations_hand_on_cannot_be_changed(parent, tmp_path, change, key):
    before = tree(tmp_path)
    with pytest.raises(ConfigError, match=f"cannot change {key}"):
        child_of(parent, change)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "change",
    [
        "modular.weight_decay=0.0",
        "modular.learning_rate=0.001",
        "modular.steps_per_iteration=3",
        "training.mode=restart",
        "training.weight_decay=0.1",
        "replay.rounds=2",
        "sampling.temperature=1.5",
        "detection.min_step=0.3",
        "sandbox.cpu_seconds=1.0",
    ],
)
def test_all_else_can_be_changed(parent, change):
    key, _, value = change.partition("=")
    child = child_of(parent, change)
    section, field = key.split(".")
    assert str(getattr(getattr(Experiment.open(child.root, "child").config, section), field)) == value


@pytest.mark.parametrize("at", [0, -1, 5, 100])
def test_only_a_finished_iteration_can_be_forked_at(parent, at, tmp_path):
    with pytest.raises(ConfigError, match=r"must lie within 1\.\.4"):
        child_of(parent, at=at)
    assert not (tmp_path / "child").exists()


def test_a_fork_with_nothing_to_do_is_refused(parent):
    with pytest.raises(ConfigError, match="set iterations to at least 4"):
        child_of(parent, at=4, iterations=3)


def test_a_fork_knows_with_which_settings_each_iteration_was_made(parent):
    child = child_of(parent, "training.epochs=2", at=2)
    for number in (2, 3):
        for stage in ("evaluation", "iteration"):
            child.stages.run(
                stage, iteration_folder(number), settings=None, version="1", inputs={}, work=lambda out: None
            )
    grandchild = child_of(child, "training.epochs=3", name="grandchild", at=3)
    assert [grandchild.made_with(number).training.epochs for number in range(5)] == [1, 1, 2, 3, 3]
    assert {grandchild.made_with(number).name for number in range(5)} == {"grandchild"}


def test_a_fork_of_before_settings_were_recorded_opens_and_says_what_it_lacks(parent, tmp_path):
    child = child_of(parent)
    record = json.loads((tmp_path / "child/experiment.json").read_text())
    del record["fork"]["shared"]
    (tmp_path / "child/experiment.json").write_text(json.dumps(record))
    old = Experiment.open(child.root, "child")
    assert old.inherited == 2
    with pytest.raises(DataError, match="fork 'parent' again"):
        old.made_with(1)


def test_ctrl_c_in_the_midst_of_a_fork_leaves_nothing_and_says_so(parent, axiom, monkeypatch, tmp_path):
    def interrupted(parent, child, at) -> None:
        (Path(child.folder.path) / "part").write_text("of it")
        raise KeyboardInterrupt

    monkeypatch.setattr("axiom.experiment.fork._copy", interrupted)
    code, _, err = axiom("fork", "parent", "--at", "1", "--experiment", "child", "--root", str(tmp_path))
    assert (code, err) == (130, "interrupted before anything was written; the same command starts again\n")
    assert not (tmp_path / "child").exists()
