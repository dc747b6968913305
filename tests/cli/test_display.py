"""What the terminal shows: no figure breaks at any width, what is at work has a name, and a silence is ended."""

import io
import json
import math
import re
import time

import pytest
from hypothesis import given, strategies as st
from rich.cells import cell_len
from rich.console import Console

from axiom.cli import tables
from axiom.cli.display import Display, fitted
from axiom.config import ExperimentConfig, load_config
from axiom.experiment import Experiment
from axiom.experiment.running import Runtime
from axiom.progress import Meter, Pace, Progress, doing, listen
from axiom.records import Gold
from axiom.store import Handle
from axiom.tasks.train import train

SPLITS = ("train", "val", "test", "ood_cases", "ood_longer", "ood_composed", "ood_family", "humaneval")
PARTS = (*((f"{split} 57%", f"{split} 57% [42, 71]") for split in SPLITS), ("gold 102", "gold 102"))


def terminal(width: int) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None, legacy_windows=False)


def printed(console: Console) -> list[str]:
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())
    return [line.rstrip() for line in re.split(r"[\r\n]+", text)]


@given(room=st.integers(12, 200), parts=st.lists(st.sampled_from(PARTS), unique=True))
def test_an_iteration_is_one_line_of_whole_figures(room, parts):
    progress = Progress(3, "done", 1, 1, "", parts=tuple(parts), seconds=12.0, left=150.0)
    line = fitted(progress, room)
    assert cell_len(line) <= room
    known = {text for part in parts for text in part} | {"12 s", "2 min left"}
    assert not line or set(line.split("  ")) <= known
    assert fitted(progress, None).count("[") == sum("[" in whole for _, whole in parts), "a pipe takes all of it"


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_table_of_every_split_has_no_broken_figure(width):
    header = ["iteration", "solved", "gold", *SPLITS]
    rows = [[str(i), "102", "1024", *("57% [42, 71]" for _ in SPLITS)] for i in range(3)]
    console = Console(file=io.StringIO(), width=width)
    tables.show(console, "Greedy accuracy", header, rows)
    text = console.file.getvalue()
    assert text.count("57% [42, 71]") == 3 * len(SPLITS)
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert all(f" {name} " in text for name in header)
    again = Console(file=io.StringIO(), width=40)
    tables.show(again, "", ["iteration", *SPLITS], [["7", *("57% [42, 71]" for _ in SPLITS)]] * 3)
    parts = [line.split() for line in again.file.getvalue().splitlines() if "57%" in line]
    assert [line[0] for line in parts] == ["1", "2", "3"] * (len(parts) // 3), "a row is known in every part"


def test_what_a_model_wrote_is_text_in_a_table():
    console = Console(file=io.StringIO(), width=80)
    tables.show(console, "[red]title[/]", ["[b]x[/b]"], [["\x1b[2J[/]"]])
    assert all(text in console.file.getvalue() for text in ("[red]title[/]", "[b]x[/b]", "\\x1b[2J[/]"))


def test_json_is_strict():
    assert json.loads(json.dumps(tables.plain({"a": [math.nan, math.inf, 1.5], 2: {"x": None}}))) == {
        "a": [None, None, 1.5],
        "2": {"x": None},
    }


def test_the_bar_names_the_stage_at_work_and_a_line_tells_of_each_iteration():
    console = terminal(80)
    with Display(console, 20) as display, listen(display):
        doing("loading the model")
        display._bars.refresh()
        meter = Meter(3, "sample train", 560, "completions")
        display._bars.refresh()
        meter.step(tokens=40)
        display._bars.refresh()
        display(Progress(3, "sample", 560, 560, "rows", note="560 samples (iterations/0003)"))
        display(Progress(3, "done", 1, 1, "", note="x", parts=PARTS, seconds=12.0, left=150.0))
        display(Progress(3, "warning", 1, 1, "", note="iteration 3 trained on nothing: no program was accepted"))
    lines = printed(console)
    assert any(line.startswith("loading the model") for line in lines)
    assert any("sample train" in line and "0/560, waiting for the first" in line for line in lines)
    assert any("1/560" in line and "tokens/s" in line for line in lines)
    assert any(line.startswith("iteration  3/20 ━") for line in lines), "the run's own bar"
    assert not any("560 samples" in line for line in lines), "a stage has no line of its own"
    [line] = {line for line in lines if line.startswith("iteration  3/20  train")}
    assert line.endswith("12 s  2 min left")
    assert "iteration 3 trained on nothing: no program was accepted" in " ".join(lines)
    assert all(cell_len(line) <= 80 for line in lines)


def test_a_pipe_hears_what_is_at_work_and_a_quiet_run_only_warnings(monkeypatch):
    monkeypatch.setattr("axiom.cli.display.QUIET_SECONDS", 0.1)
    heard, quiet = Console(file=io.StringIO(), width=80), Console(file=io.StringIO(), width=80)
    with Display(heard, 2) as loud, Display(quiet, 2, quiet=True) as soft, listen(loud), listen(soft):
        doing("starting the engine")
        end = time.monotonic() + 20
        while "starting the engine (" not in heard.file.getvalue() and time.monotonic() < end:
            time.sleep(0.05)
        for display in (loud, soft):
            display(Progress(1, "done", 1, 1, "", note="x", parts=PARTS))
            display(Progress(1, "warning", 1, 1, "", note="look out"))
    assert "starting the engine (" in heard.file.getvalue()
    assert "iteration 1/2  train 57% [42, 71]" in heard.file.getvalue()
    assert quiet.file.getvalue().strip() == "look out"


def test_the_pace_is_that_of_rounds_and_not_of_the_first_evaluation(monkeypatch):
    now = 0.0
    monkeypatch.setattr("axiom.progress.time.monotonic", lambda: now)
    pace, told = Pace(10, 0.0), []
    for number, took in enumerate((1.0, 8.0, 12.0)):
        now += took
        told.append(pace.done(number, reused=False))
    assert told == [(1.0, 10.0), (8.0, 72.0), (12.0, 80.0)]
    assert pace.done(3, reused=True) == (None, None)


@pytest.mark.parametrize(
    ("arm", "info", "rows", "paused", "says"),
    [
        ("expert_iteration", {}, 0, False, "no program was accepted"),
        ("expert_iteration", {"too_few": 5}, 2, False, "2 programs are fewer than selection.min_gold = 5"),
        ("expert_iteration", {}, 0, True, "validation accuracy did not rise, and training.only_if_improved is set"),
        ("frozen", {}, 0, False, None),
    ],
)
def test_a_round_that_trains_on_nothing_says_why(tmp_path, arm, info, rows, paused, says):
    config = load_config(None, ["model.kind=modular"], name="mine", arm=arm)
    experiment = Experiment.create(str(tmp_path), config)
    experiment.save()
    made = experiment.stages.run(
        "gold",
        "iterations/0001",
        settings=None,
        version="1",
        inputs={},
        work=lambda out: out.table("gold", [], Gold),
    )
    gold = made.model_copy(update={"info": info, "rows": {"gold": rows}})
    told: list[str] = []
    run = Runtime(experiment)
    with listen(lambda progress: told.append(progress.note) if progress.stage == "warning" else None):
        handle = train.fn(run, gold, None, iteration=1, paused=paused)
    assert isinstance(handle, Handle)
    assert told == ([f"iteration 1 trained on nothing: {says}; the policy stays as it was"] if says is not None else [])


def test_version(axiom):
    code, out, _ = axiom("--version")
    assert (code, out) == (0, "axiom 0.1.0\n")


def test_completion_offers_presets_and_experiments(axiom, tmp_path, monkeypatch):
    Experiment.create(str(tmp_path / "artifacts"), ExperimentConfig(name="mine")).save()
    monkeypatch.setenv("_AXIOM_COMPLETE", "complete_bash")
    for words, offered in (
        ("axiom run quick", "quickstart"),
        ("axiom status m", "mine"),
        ("axiom study h", "h1-modular"),
    ):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", "2")
        code, out, _ = axiom()
        assert (code, offered in out.split()) == (0, True), (words, out)
