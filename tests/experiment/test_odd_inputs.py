"""Inputs that a shell, an editor or another program produces now and then: one sentence, and the store untouched."""

import json
import os
from pathlib import Path

import pytest

from axiom.config import ExperimentConfig, load_config, override
from axiom.errors import ConfigError
from axiom.experiment import Experiment, lock
from axiom.experiment.fork import fork

DEEP = "[" * 100_000
MODULAR = 'name = "tiny"\niterations = 2\n[model]\nkind = "modular"\n'


def refused(found):
    code, out, err = found
    assert (code, out, err.strip().count("\n")) == (2, "", 0), err
    return err


def listing(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(Path(folder).rglob("*"))}


@pytest.mark.parametrize(
    "given",
    [
        ("--set", "seed=1", "--set", "seed=2"),
        ("--set", "seed=1", "--set", " seed = 2"),
        ("--seed", "3", "--set", "seed=1", "--set", "seed=2"),
        ("--set", "seed=1\nseed=2"),
    ],
)
def test_a_setting_that_is_given_two_values_is_refused(axiom, tmp_path, given):
    before = listing(tmp_path)
    err = refused(axiom("run", "--experiment", "tiny", "--set", "model.kind=modular", *given))
    assert "--set gives seed twice, as 1 and as 2" in err or "seed = " in err
    assert listing(tmp_path) == before


def test_the_same_value_twice_is_no_contradiction_and_a_later_road_has_the_say():
    assert load_config(None, ["seed=3", "seed=3"]).seed == 3
    assert load_config(None, ["seed=3"], seed=4).seed == 4
    assert override(ExperimentConfig(seed=1), ["seed=2"]).seed == 2


@pytest.mark.parametrize("text", ["\ufeff" + MODULAR, MODULAR.replace("\n", "\r\n")])
def test_a_file_of_another_editor_is_the_same_preset(tmp_path, text):
    (tmp_path / "plain.toml").write_text(MODULAR)
    (tmp_path / "other.toml").write_bytes(text.encode())
    assert load_config(tmp_path / "other.toml") == load_config(tmp_path / "plain.toml")


WRONG_FILES = {
    "a line break of old": MODULAR.replace("\n", "\r").encode(),
    "a table twice": (MODULAR + "[model]\nseed = 1\n").encode(),
    "a key twice": b'name = "a"\nname = "b"\n',
    "dots and a table": b'model.kind = "modular"\n[model]\ndtype = "float32"\n',
    "an array of tables": b'[[model]]\nkind = "modular"\n',
    "nested too deeply": f"a = {DEEP}".encode(),
    "a key of a thousand parts": f"a{'.a' * 1000} = 1".encode(),
    "another encoding": MODULAR.encode("utf-16"),
    "a zero byte": b"name = 'a\0b'\n",
    "beyond every number": b"seed = 1e400\n",
    "no number": b"seed = nan\n",
}


@pytest.mark.parametrize("kind", WRONG_FILES)
@pytest.mark.parametrize("command", ["run", "study", "compare"])
def test_a_file_that_is_no_preset_is_one_sentence(axiom, tmp_path, kind, command):
    (tmp_path / "p.toml").write_bytes(WRONG_FILES[kind])
    before = listing(tmp_path)
    refused(axiom(command, "p.toml"))
    assert listing(tmp_path) == before


@pytest.mark.parametrize("shard", ["²/3", "1/³", "0/1", "2/1", "1/", "/", "1/2/3", "-1/2", "1.0/2", " "])
def test_a_shard_that_is_none_is_one_sentence(axiom, tmp_path, shard):
    (tmp_path / "preset.toml").write_text(MODULAR)
    (tmp_path / "s.toml").write_text('name = "s"\npreset = "preset.toml"\nseeds = 6\n')
    assert "--shard" in refused(axiom("study", "s.toml", "--shard", shard))


def test_digits_that_are_none_are_no_difficulty(axiom):
    assert "--difficulty '²' is not" in refused(axiom("problems", "--family", "rpn", "--difficulty", "²"))


@pytest.mark.parametrize(
    "record", [DEEP, "[1, 2]", "{", "\ud800", "null", '{"config": null}', '{"config": {"seed": 1e999}}']
)
def test_a_damaged_record_is_named_by_every_command(axiom, tmp_path, record):
    Experiment.create(str(tmp_path / "artifacts"), ExperimentConfig(name="sound")).save()
    (tmp_path / "artifacts/odd").mkdir()
    (tmp_path / "artifacts/odd/experiment.json").write_bytes(record.encode("utf-8", "surrogatepass"))
    before = listing(tmp_path)
    for command in (
        ("status", "odd"),
        ("resume", "odd"),
        ("inspect", "odd"),
        ("report", "odd"),
        ("run", "--set", "model.kind=modular", "--experiment", "odd"),
        ("fork", "odd", "--at", "1", "--experiment", "kid"),
    ):
        assert "odd/experiment.json is damaged" in refused(axiom(*command))
    code, out, err = axiom("list")
    assert (code, "sound" in out, "damaged" in " ".join(out.split())) == (0, True, True), err
    assert listing(tmp_path) == before


@pytest.mark.parametrize("note", ["", "{", "[]", "null", "{}", '{"process": 1}', DEEP, "\udcff"])
def test_a_damaged_note_of_a_lock_hides_nothing_and_stops_nobody(tmp_path, axiom, note):
    experiment = Experiment.create(str(tmp_path / "artifacts"), ExperimentConfig(name="old"))
    experiment.save()
    (tmp_path / "artifacts/old" / lock.NOTE).write_bytes(os.fsencode(note))
    assert not experiment.is_locked()
    code, out, err = axiom("status", "old")
    assert (code, "old" in out) == (0, True), err
    with experiment.locked():
        assert experiment.is_locked()


def test_names_that_differ_in_capitals_alone_are_one_folder_on_many_disks(tmp_path):
    root = str(tmp_path / "artifacts")
    Experiment.create(root, ExperimentConfig(name="Mine")).save()
    for name in ("mine", "MINE"):
        with pytest.raises(ConfigError, match=f"experiment '{name}' differs from 'Mine' in capitals alone"):
            Experiment.create(root, ExperimentConfig(name=name))
    assert Experiment.create(root, ExperimentConfig(name="Mine")).folder.exists("experiment.json")
    parent = Experiment.open(root, "Mine")
    with pytest.raises(ConfigError, match="capitals alone"):
        fork(parent, override(parent.config, (), name="mine"), 1)
    assert [path.name for path in (tmp_path / "artifacts").iterdir()] == ["Mine"]


@pytest.mark.parametrize("text", [DEEP, json.dumps({"runs": 3}), "[]", "\udcff"])
def test_a_pilot_that_is_none_is_one_sentence(axiom, tmp_path, text):
    (tmp_path / "preset.toml").write_text(MODULAR)
    (tmp_path / "s.toml").write_text('name = "s"\npreset = "preset.toml"\nseeds = 6\n')
    (tmp_path / "figures.json").write_bytes(os.fsencode(text))
    assert "pilot" in refused(axiom("study", "s.toml", "--plan", "--from", "."))


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_a_curve_that_is_nested_too_deeply_is_one_sentence(axiom, tmp_path, suffix):
    (tmp_path / f"curve.{suffix}").write_text(DEEP)
    assert "nested too deeply" in refused(axiom("detect", f"curve.{suffix}"))
