"""Files that commands write: refused in one sentence before the work where they cannot be, and never an input."""

from pathlib import Path

import pytest

from axiom.cli.outputs import check_file, check_folder
from axiom.config import ExperimentConfig
from axiom.errors import DataError
from axiom.experiment import Experiment
from axiom.records import Metric
from axiom.store import write_parquet
from tests.rows import metric_row

NO_FOLDER = Path("/proc/axiom")
"""Nobody can write there, not even root."""


COMMANDS = {
    "problems": ("problems", "--family", "rpn", "--count", "999999999", "--out"),  # more than there are
    "plot": ("plot", "old", "--chart", "accuracy", "--out"),
    "detect": ("detect", "missing.csv", "--out"),
}
SUFFIX = {"problems": ".jsonl", "plot": ".svg", "detect": ".svg"}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("obstacle", ["a folder of that name", "no right", "a file for a folder", "a wrong suffix"])
def test_a_file_that_cannot_be_written_is_refused_before_the_work(axiom, tmp_path, command, obstacle):
    Experiment.create(str(tmp_path / "artifacts"), ExperimentConfig(name="old")).save()  # without metrics to draw
    suffix = SUFFIX[command]
    (tmp_path / f"out{suffix}").mkdir()
    (tmp_path / "file").write_text("x", encoding="utf-8")
    path = {
        "a folder of that name": f"out{suffix}",
        "no right": str(NO_FOLDER) + suffix,
        "a file for a folder": f"file/x{suffix}",
        "a wrong suffix": "x.doc",
    }[obstacle]
    before = sorted(tmp_path.rglob("*"))
    code, out, err = axiom(*COMMANDS[command], path)
    assert (code, out, err.strip().count("\n")) == (2, "", 0)
    assert "--out" in err
    assert sorted(tmp_path.rglob("*")) == before, "nothing is left behind"


TOO_MANY = ("--set", "problems.families=['rpn']", "--set", "problems.train_size=1000000")
"""More than there are: told when they are drawn."""


@pytest.mark.parametrize("command", [("control",), ("compare", "one", "two"), ("problems", "splits", *TOO_MANY)])
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(axiom, tmp_path, command):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for path in (str(NO_FOLDER), "file", "file/below"):
        code, out, err = axiom(*command, "--out", path)
        assert (code, out, err.strip().count("\n")) == (2, "", 0)
        assert command[0] == "compare" or f"--out {path} cannot be written" in err or "not an empty folder" in err


def test_what_stands_there_stays_until_the_work_is_done(tmp_path):
    there = tmp_path / "old.jsonl"
    there.write_text("kept", encoding="utf-8")
    check_file("--out", there, (".jsonl",))
    check_file("--out", tmp_path / "new.jsonl", (".jsonl",))
    check_folder("--out", tmp_path / "deep/er")
    assert there.read_text(encoding="utf-8") == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "old.jsonl"]


def test_an_input_is_never_overwritten_by_any_of_its_names(tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text("{}", encoding="utf-8")
    (tmp_path / "soft.jsonl").symlink_to(source)
    (tmp_path / "hard.jsonl").hardlink_to(source)
    for name in ("in", "soft", "hard"):
        with pytest.raises(DataError, match="is read; name another file"):
            check_file("--out", tmp_path / f"{name}.jsonl", (".jsonl",), [source])
    check_file("--out", tmp_path / "other.jsonl", (".jsonl",), [source, tmp_path / "missing"])


def test_a_path_with_brackets_is_printed_as_it_is(axiom, tmp_path):
    experiment = Experiment.create(str(tmp_path / "artifacts"), ExperimentConfig(name="old"))
    experiment.save()
    metric = metric_row(
        iteration=0,
        split="train",
        name="greedy_accuracy",
        value=0.5,
        low=0.4,
        high=0.6,
        n=10,
    )
    write_parquet(experiment.folder, "metrics", [metric], Metric)
    code, out, err = axiom("plot", "old", "--out", "deep [x] [/b]/a.json")
    assert (code, out.strip()) == (0, "deep [x] [/b]/a.json"), err
    assert (tmp_path / out.strip()).exists()
    code, out, err = axiom("list", "--root", "[red]none[/]")
    assert (code, "'[red]none[/]'" in out) == (0, True), err
