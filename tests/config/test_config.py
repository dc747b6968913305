"""The config: the original experiment's defaults, and one sentence for each mistake."""

import contextlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from axiom.config import ExperimentConfig, Layer, ProblemsConfig, all_keys, build_config, load_config, override
from axiom.errors import ConfigError
from axiom.problems import check_families, generate_splits
from axiom.sandbox.inside.lockdown import LAYERS
from axiom.study import load_study
from tests.tables import every

DEPLOYMENTS = Path(__file__).parents[2] / "deployments"


def test_the_original_preset_states_the_defaults():
    assert load_config(DEPLOYMENTS / "original.toml") == ExperimentConfig()


@pytest.mark.parametrize("preset", sorted(DEPLOYMENTS.glob("*.toml")), ids=lambda path: path.name)
def test_every_preset_loads(preset):
    if "arms" not in tomllib.loads(preset.read_text()):  # a study has a tree of its own
        assert load_config(preset).name


def leaves(section: BaseModel, above: str = "") -> dict[str, Any]:
    """Every value of the tree by its dotted key."""
    found: dict[str, Any] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        found |= leaves(value, f"{above}{name}.") if isinstance(value, BaseModel) else {above + name: value}
    return found


OTHERS = {
    "arm": '"unverified"',
    "modular.operations": '["add", "squares"]',
    "problems.families": '["rpn"]',
    "problems.ood_families": '["queens"]',
    "problems.difficulty": "[4, 6]",
    "problems.ood_difficulty": "[8, 9]",
    "problems.harder_difficulty": "[8, 9]",
    "problems.difficulty_by_family": "{ rpn = [2, 4] }",
    "sandbox.without": '["landlock"]',
    "curriculum.levels": "[[1, 2], [4, 6]]",
    "curriculum.joins": "{ rpn = 2 }",
    "evaluation.pass_at": "[1, 2]",
    "evaluation.confidence": "0.9",
    "prompts.arguments": "{ enable_thinking = false }",
    "prompts.template": '"plain"',
    "prompts.date": '"2025-01-31"',
    "sampling.vllm.max_lora_rank": "32",
    "tracking.to": '["tensorboard"]',
}
"""TOML of another value, where none of the usual ones will do."""


@every("key", all_keys())
def test_every_key_can_be_set(key):
    before = leaves(ExperimentConfig())
    assert set(before) == set(all_keys())
    accepted = []
    for value in [OTHERS[key]] if key in OTHERS else _others(key, before[key]):
        with contextlib.suppress(ConfigError):
            accepted.append(load_config(None, [f"{key}={value}"]))
    assert accepted, f"add a value of {key} to OTHERS"
    for config in accepted:
        after = leaves(config)
        assert {name for name in before if before[name] != after[name]} == {key}, "this one and no other"
        assert build_config(config.model_dump(mode="json")) == config


def _others(key: str, value: Any) -> list[str]:
    """TOML of values that are not this one: of the same type, or from the list that the field's type is."""
    section: Any = ExperimentConfig
    *above, name = key.split(".")
    for part in above:
        section = section.model_fields[part].annotation
    listed = [json.dumps(other) for other in get_args(section.model_fields[name].annotation) if isinstance(other, str)]
    if isinstance(value, bool):
        return [str(not value).lower()]
    if isinstance(value, (int, float)):
        return [str(value / 2 if isinstance(value, float) and value else value + 1 - 0.5 * isinstance(value, float))]
    return [text for text in (listed or ['"another"', '["another"]']) if text != json.dumps(value)]


def test_later_sources_win():
    config = load_config(None, ["training.learning_rate=1e-3", "problems.train_size=7"], **{"problems.train_size": 9})
    assert (config.training.learning_rate, config.problems.train_size) == (1e-3, 9)
    assert load_config(None, ["name=plain_text"]).name == "plain_text"


BAD = [
    ("problems.families=['sorting_hat']", "unknown family 'sorting_hat'"),
    ("problems.difficulty=[0, 3]", r"problems.difficulty"),
    ("problems.difficulty=[3, 11]", r"problems.difficulty"),
    ("problems.difficulty=[7, 3]", r"difficulty=\(7, 3\) must ascend within 1..10; set"),
    ("problems.train_size=0", "problems.train_size = 0: input should be greater than or equal to 1"),
    ("name=a/b", "name 'a/b' must be 1 to 100 letters"),
    ("name=..", "name '..' must be"),
    ("trainig.learning_rate=1", "unknown key 'trainig'; did you mean"),
    ("training.learning_rat=1", "unknown key 'training.learning_rat'; did you mean 'training.learning_rate'"),
    ("learning_rate=1", "unknown key 'learning_rate'; did you mean 'training.learning_rate'"),
    ("training=3", "training"),
    ("seed.x=3", "seed"),
    ("training.learning_rate", "has no '='"),
    ("sampling.engine=warp", "sampling.engine"),
    ("sampling.temperature=nan", "sampling.temperature"),
]


@every("override, message", BAD)
def test_each_mistake_is_one_sentence(override, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(None, [override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("training.learning_rate=nan", "training.learning_rate = NaN: input should be a finite number"),
        (
            "curriculum.levels=[1, 2]",
            r"^curriculum.levels\[0\] = 1 must be a list, such as \[1, 2\]; set curriculum.levels$",
        ),
        ("problems.difficulty=3", r"^problems.difficulty = 3 must be a list"),
        ("problems.difficulty=[3]", r"^problems.difficulty = \[3\] is too short; .* 2 values or more$"),
        ("curriculum.joins=3", "^curriculum.joins = 3 must be a table"),
    ],
)
def test_a_value_of_another_shape_is_told_in_plain_words(text, says):
    with pytest.raises(ConfigError, match=says) as error:
        load_config(None, [text])
    assert not re.search("twice|tuple|dictionary", str(error.value))


@pytest.mark.parametrize("value", [True, "7", 7.5, None, [7], {"x": 7}])
def test_a_value_near_the_right_type_is_not_bent_into_it(value):
    with pytest.raises(ConfigError, match=r"problems.train_size"):
        build_config({"problems": {"train_size": value}})


def test_a_table_changes_the_keys_that_it_holds_and_no_others(tmp_path):
    preset = tmp_path / "preset.toml"
    sizes = "train_size = 9\nval_size = 9\ntest_size = 9\n"
    preset.write_text(
        f'[problems]\nfamilies = ["list_sort"]\ndifficulty = [1, 2]\n{sizes}[sampling.vllm]\nreplicas = 3\n'
    )
    for config in (
        load_config(preset, problems={"train_size": 14}, sampling={"vllm": {"logprobs": True}}),
        load_config(preset, ["problems={train_size=14}", "sampling={vllm={logprobs=true}}"]),
        load_config(preset, ["problems.train_size=14", "sampling.vllm={logprobs=true}"]),
    ):
        assert config.problems.families == ("list_sort",)
        assert (config.problems.difficulty, config.problems.train_size) == ((1, 2), 14)
        assert (config.sampling.vllm.replicas, config.sampling.vllm.logprobs) == (3, True)
    whole = load_config(preset, ["problems.difficulty_by_family={list_sort=[1, 1]}"])
    again = override(whole, ["problems.difficulty_by_family={}"])  # a table that is a value is replaced
    assert again.problems.difficulty_by_family == {}


@pytest.mark.parametrize("families", [["list_sort+list_filter"], ["list_sort+list_filter", "rpn"]])
def test_a_composition_is_a_family(families):
    config = ProblemsConfig(families=families, difficulty=(3, 5), train_size=4, val_size=2, test_size=2, ood_size=1)
    check_families(config)
    splits = generate_splits(config, 0)
    assert {problem.family for problem in splits["train"]} == set(families)


def test_text_in_a_preset_is_utf_8_whatever_the_locale(tmp_path):
    preset = tmp_path / "preset.toml"
    preset.write_bytes("\ufeff[model]\npath = 'modèle'\n".encode())
    code = f"from axiom.config import load_config; print(ascii(load_config({str(preset)!r}).model.path))"
    environment = {"PATH": "/usr/bin", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=DEPLOYMENTS.parent,
    )
    assert found.stdout.strip() == ascii("modèle")


def test_the_layers_are_those_of_the_sandbox():
    assert get_args(Layer) == tuple(LAYERS)


def test_a_refusal_does_not_repeat_a_credential():
    secret = "hf_" + "A1" * 20
    for overrides in ([f"seed={secret}"], [f"{secret}=1"], [secret], [f"problems.families=['{secret}']"]):
        with pytest.raises(ConfigError) as caught:
            load_config(None, overrides)
        assert secret not in str(caught.value)


def test_a_name_is_the_preset_that_comes_with_axiom_unless_a_file_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_config("modular") == load_config("modular.toml") == load_config(DEPLOYMENTS / "modular.toml")
    for name in ("modular", "gemma.toml"):
        (tmp_path / name).mkdir()  # a folder is no preset
    assert load_config("gemma").name == "gemma"
    assert load_config("modular").iterations == 20
    (tmp_path / "modular.toml").write_text("iterations = 7")  # a copy that was changed is the one that is meant
    assert load_config("modular").iterations == 7
    (tmp_path / "mine.toml").write_text('name = "mine"\npreset = "quickstart"\nseeds = 8\n')
    assert load_config(load_study(Path("mine")).preset).name == "quickstart"
    assert load_config(load_study(Path("h1-modular")).preset).iterations == 20, "the one beside the study"
    for path in ("absent", "sub/modular", str(tmp_path / "original.toml"), "original.json"):
        with pytest.raises(ConfigError, match=r"does not exist.*with axiom come gemma, modular, original, quickstart"):
            load_config(path)
    with pytest.raises(ConfigError, match=r"does not exist.*with axiom comes h1-modular"):
        load_study(Path("absent"))


def test_presets_are_copied_and_no_file_is_overwritten(axiom, tmp_path):
    code, out, _ = axiom("presets")
    assert code == 0
    names = [line.split()[0] for line in out.splitlines()]
    assert axiom("presets", "copy", *names, "--to", "mine")[0] == 0
    files = [file for file in DEPLOYMENTS.rglob("*") if file.is_file()]
    files += [DEPLOYMENTS.parent / name for name in ("prefect.yaml", "prefect.toml")]
    assert {file.name: file.read_text() for file in (tmp_path / "mine").iterdir()} == {
        file.name: file.read_text() for file in files
    }
    (tmp_path / "mine" / "gemma.toml").unlink()
    code, _, err = axiom("presets", "copy", "gemma", "modular", "--to", "mine")
    assert (code, (tmp_path / "mine" / "gemma.toml").exists()) == (2, False)
    assert "'mine/modular.toml' exists already" in err
    assert "no preset 'absent'" in axiom("presets", "copy", "absent")[2]


def test_files_that_are_no_presets(tmp_path):
    for path in ("", tmp_path, "nul\0", "x" * 5000):
        with pytest.raises(ConfigError, match=r"cannot be read|does not exist"):
            load_config(path)
    with pytest.raises(ConfigError, match=r"is a study, not a preset; run it with `.*axiom study "):
        load_config(DEPLOYMENTS / "h1-modular.toml")
    with pytest.raises(ConfigError, match="does not exist; presets in that folder"):
        load_config(tmp_path / "nothing.toml")
    (tmp_path / "bad.toml").write_text("a = = 1")
    with pytest.raises(ConfigError, match="is not TOML"):
        load_config(tmp_path / "bad.toml")
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not TOML"):
        load_config(tmp_path / "bad.toml")


def test_the_config_round_trips_through_json():
    config = load_config(DEPLOYMENTS / "quickstart.toml")
    assert build_config(config.model_dump(mode="json")) == config


def test_importing_the_library_loads_no_heavy_package():
    heavy = ("torch", "vllm", "altair", "prefect")
    code = f"import sys, axiom, axiom.config, axiom.store, axiom.cli; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_library_imports_neither_tasks_nor_flows_nor_prefect():
    library = Path(__file__).parents[2] / "axiom"
    for file in library.rglob("*.py"):
        for line in file.read_text().splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]) and len(words) > 1:
                assert words[1].split(".")[0] not in {"prefect", "tasks", "flows"}, f"{file}: {line}"
