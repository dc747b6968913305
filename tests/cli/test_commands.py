"""The command line: each mistake is one sentence on stderr and exit code 2, and leaves nothing behind."""

import importlib
import json
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer

from axiom.cli.app import COMMAND_MODULES, app, main
from axiom.cli.display import duration
from axiom.config import load_config
from axiom.experiment import Experiment
from axiom.records import Problem, Sample
from axiom.store import write_parquet

QUICKSTART = str(Path(__file__).parents[2] / "deployments/quickstart.toml")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("AXIOM_ROOT", str(tmp_path / "artifacts"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "artifacts"


def axiom(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["axiom", *arguments])
    try:
        main()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--iterations", "x"], "--iterations x: "),
        (["nosuch"], "No such command 'nosuch'; `axiom --help`"),
        (["inspect"], "`axiom inspect --help`"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_and_exit_code_2(root, monkeypatch, capsys, arguments, says):
    code, out, err = axiom(monkeypatch, capsys, *arguments)
    assert (code, out, err.strip().count("\n")) == (2, "", 0)
    assert says in err
    assert not root.exists()


MISTAKES = {
    "family": (["--set", "problems.families=['sorting_hat']"], "unknown family 'sorting_hat'"),
    "difficulty": (["--set", "problems.difficulty=[1, 11]"], "problems.difficulty"),
    "train size": (["--train-size", "0"], "problems.train_size = 0"),
    "model path": (["--set", "model.path=/no/such/model"], "model.path = '/no/such/model' does not exist"),
    "adapter": (["--set", "model.path=smollm2-135m", "--set", "model.adapter=/no/such/adapter"], "lacks adapter_model"),
    "misspelt key": (["--set", "problems.famlies=['rpn']"], "did you mean 'problems.families'"),
    "slash in name": (["--experiment", "a/b"], "name 'a/b' must be"),
    "missing preset": ([], "does not exist; presets in that folder"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_one_sentence_and_exit_code_2(root, monkeypatch, capsys, mistake):
    options, says = MISTAKES[mistake]
    preset = QUICKSTART if options else "nothing.toml"
    code, _, err = axiom(monkeypatch, capsys, "run", preset, *options)
    assert code == 2
    assert says in err
    assert err.startswith("error:")
    assert err.strip().count("\n") == 0
    assert not root.exists()


def test_a_misspelt_key_in_a_file(root, monkeypatch, capsys, tmp_path):
    preset = tmp_path / "wrong.toml"
    preset.write_text("[trainnig]\nlearning_rate = 1e-3\n")
    code, _, err = axiom(monkeypatch, capsys, "run", str(preset))
    assert (code, "unknown key 'trainnig'" in err) == (2, True)


def test_a_name_in_use_with_another_config(root, monkeypatch, capsys):
    Experiment.create(str(root), load_config(QUICKSTART)).save()
    before = (root / "quickstart/experiment.json").read_bytes()
    code, _, err = axiom(monkeypatch, capsys, "run", QUICKSTART, "--set", "training.learning_rate=0.5")
    assert code == 2
    assert "already exists with training.learning_rate" in err
    assert (root / "quickstart/experiment.json").read_bytes() == before


@pytest.mark.parametrize("command", ["resume", "status", "inspect", "report"])
def test_an_unknown_experiment(root, monkeypatch, capsys, command):
    code, _, err = axiom(monkeypatch, capsys, command, "nobody")
    assert (code, "no experiment 'nobody'" in err) == (2, True)


def test_a_parquet_file_with_a_missing_column(root, monkeypatch, capsys):
    experiment = Experiment.create(str(root), load_config(QUICKSTART))
    experiment.save()
    folder = root / "quickstart/problems"
    folder.mkdir()
    pq.write_table(Problem.to_table([]).drop_columns(["cases"]), folder / "train.parquet")
    code, _, err = axiom(monkeypatch, capsys, "inspect", "quickstart", "--stage", "train")
    assert (code, "lacks the column 'cases' of a Problem row" in err) == (2, True)


def test_inspect_says_what_there_is(root, monkeypatch, capsys):
    Experiment.create(str(root), load_config(QUICKSTART)).save()
    code, _, err = axiom(monkeypatch, capsys, "inspect", "quickstart", "--iteration", "3", "--stage", "samples")
    assert (code, "quickstart has no iteration 3, it has none yet" in err) == (2, True)


def test_inspect_shows_what_a_model_wrote_as_it_is(root, monkeypatch, capsys):
    experiment = Experiment.create(str(root), load_config(QUICKSTART))
    experiment.save()
    sample = Sample(
        sample_id="2:train:a:0",
        problem_id="a",
        iteration=2,
        purpose="train",
        index=0,
        completion="x[a] [/b] :train:",
        code="",
        token_count=4,
        logprob=None,
        finish_reason="stop",
        seed=0,
        temperature=1.0,
        policy_version="base",
    )
    write_parquet(experiment.folder.join("iterations/0002"), "samples", [sample], Sample)
    code, out, err = axiom(monkeypatch, capsys, "inspect", "quickstart", "--iteration", "2", "--stage", "samples")
    assert code == 0, err
    assert f"completion {sample.completion}\n" in out
    assert f"sample_id {sample.sample_id}\n" in out


HOSTILE = (
    "\x1b]52;c;aGk=\x07\x1b[2J\x1b[31mred\x9b31m\x08\x08\r\x00\x7f"
    " \u202egnp.exe\u202c \u2066a\u2069 \u200f [red]b[/] \ufeff"
)


def test_no_text_of_a_model_commands_the_terminal(root, monkeypatch, capsys):
    experiment = Experiment.create(str(root), load_config(QUICKSTART))
    experiment.save()
    sample = Sample(
        sample_id=HOSTILE,
        problem_id="a",
        iteration=2,
        purpose="train",
        index=0,
        completion=HOSTILE,
        code=f"x = 1  # {HOSTILE}",
        token_count=4,
        logprob=None,
        finish_reason="stop",
        seed=0,
        temperature=1.0,
        policy_version="base",
    )
    write_parquet(experiment.folder.join("iterations/0002"), "samples", [sample], Sample)
    code, out, err = axiom(monkeypatch, capsys, "inspect", "quickstart", "--iteration", "2", "--stage", "samples")
    assert code == 0, err
    assert [sign for sign in out if unicodedata.category(sign) in {"Cc", "Cf", "Cs"} and sign != "\n"] == []
    assert "\\x1b]52;c;aGk=\\x07" in out
    assert "\\u202egnp.exe" in out


def test_list_and_status_of_a_fresh_experiment(root, monkeypatch, capsys):
    assert "no experiments under" in axiom(monkeypatch, capsys, "list")[1]
    Experiment.create(str(root), load_config(QUICKSTART)).save()
    (root / "broken").mkdir()
    (root / "broken/experiment.json").write_text("{")
    code, out, _ = axiom(monkeypatch, capsys, "list")
    assert code == 0
    assert "quickstart" in out
    assert "damaged" in out
    code, out, _ = axiom(monkeypatch, capsys, "status", "quickstart")
    assert "0 of" in out
    assert "axiom resume quickstart" in out


def commands(group: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command there is, with its words; a group that runs by itself is one as well."""
    for name, command in getattr(group, "commands", {}).items():
        yield (*above, name), command
        yield from commands(command, (*above, name))


for module in COMMAND_MODULES:
    importlib.import_module(f"axiom.cli.{module}")
COMMANDS = dict(commands(typer.main.get_command(app)))


def test_there_are_the_commands_that_the_readme_names():
    assert {("run",), ("resume",), ("verify",), ("detect",), ("bench", "sandbox"), ("problems", "audit")} <= set(
        COMMANDS
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_of_every_command_explains_each_option(monkeypatch, capsys, words):
    monkeypatch.setenv("COLUMNS", "300")
    code, out, _ = axiom(monkeypatch, capsys, *words, "--help")
    assert code == 0
    said = " ".join(out.replace("│", " ").split())
    command = COMMANDS[words]
    assert " ".join(command.help.split("\n\n")[0].split()) in said
    for parameter in command.params:
        if parameter.name == "help":
            continue
        assert parameter.help, f"{' '.join(words)}: {parameter.name} has no help"
        assert parameter.help.split(". ")[0].split(":")[0].strip() in said, parameter.name
        if parameter.param_type_name == "option":
            assert parameter.opts[0] in said


def test_experiment_json_is_readable(root):
    Experiment.create(str(root), load_config(QUICKSTART)).save()
    record = json.loads((root / "quickstart/experiment.json").read_text())
    assert {"config", "created", "code", "python", "packages", "hardware"} <= set(record)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("gpus", "--only", "everything"), "--only 'everything' is none of sampling, training, study"),
        (("gpus", "--only", "study"), "--only study needs --study"),
        (("gpus", "--study", "nowhere.toml"), "study 'nowhere.toml' does not exist"),
        (("sandbox", "--count", "0"), "greater than or equal to 1"),
        (("sandbox", "--repeats", "0"), "greater than or equal to 1"),
        (("sandbox", "--stream", "-3"), "greater than or equal to 0"),
        (("store", "--from", "1000", "--to", "100"), "--from 1000 is more than --to 100"),
    ],
)
def test_a_bench_that_cannot_be_made_is_refused_before_anything_is_measured(axiom, arguments, says):
    code, out, err = axiom("bench", *arguments)
    assert code == 2
    assert says in err
    assert (out, err.count("\n")) == ("", 1)


def test_the_time_of_a_study_counts_the_start_of_its_process_once(axiom):
    code, out, _ = axiom("study", "h1-modular", "--dry-run")
    assert code == 0
    runs, iterations, (start, following, each) = 112, 21, (20.0, 3.0, 0.3)
    seconds = start + following * (runs - 1) + each * runs * iterations
    assert f"time        {duration(seconds)} one after the other" in out


def test_a_shard_without_a_seed_has_a_plan_of_no_runs(axiom):
    code, out, _ = axiom("study", "h1-modular", "--shard", "20/20", "--dry-run")
    assert code == 0
    assert "0 runs, 0 of them finished" in out
    assert json.loads(axiom("study", "h1-modular", "--shard", "20/20", "--dry-run", "--json")[1])["runs"] == []
