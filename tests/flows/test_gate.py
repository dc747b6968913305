"""Wrong values of every key on every road: one sentence, exit code 2 or a refused form, and a store as it was.

The values come from the form's schema (its types, bounds and enums) and from a list of texts that no setting may hold.
"""

import contextlib
import functools
import io
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from hypothesis import given, settings, strategies as st
from jsonschema import Draft202012Validator
from prefect.utilities.callables import parameter_schema

from axiom.cli.app import main
from axiom.config import ExperimentConfig, all_keys, build_config, checked, load_config
from axiom.errors import ConfigError
from axiom.experiment import Experiment, iteration_folder
from axiom.experiment.gate import admit
from axiom.flows.experiment import experiment
from axiom.flows.operation import Operation

SECRET = "hf_" + "aB3" * 12
TEXTS = ["a\0b", "a\nb", "a\x1b[0m", SECRET, "s3://me:hunter2@host/x", "x" * 5000]
"""That no text may hold."""
NAMES = ["", ".", "..", "../up", "a/b", "/etc", "-dash", "ü", "a b", "x" * 101, "a\n"]
"""That name no folder."""
FAMILIES = [
    "",
    "nonesuch",
    "rpn+",
    "+rpn",
    "rpn+nonesuch",
    "RPN",
    "reasoning_gym:",
    "reasoning_gym:nonesuch",
    "rpn\n",
    "../rpn",
]
DATES = ["", "today", "2026-1-1", "2026-13-01", "2026-02-30", "2026-01-01\n"]
HUGE = 10**400
NUMBERS = [math.nan, math.inf, -math.inf, HUGE, -HUGE]
SECTIONS = sorted({key.rpartition(".")[0] for key in all_keys()} - {""})


def leaves() -> dict[str, dict[str, Any]]:
    """The schema of every key, as the form has it."""
    schema = ExperimentConfig.model_json_schema()

    def walk(node: dict[str, Any], above: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, field in node["properties"].items():
            inner = field.get("$ref")
            if inner:
                yield from walk(schema["$defs"][inner.rpartition("/")[2]], f"{above}{name}.")
            else:
                yield above + name, field

    return dict(walk(schema, ""))


LEAVES = leaves()


def wrong(key: str, field: dict[str, Any]) -> list[Any]:
    """Values of a wrong type or outside the bounds of one key."""
    kind, lines = field.get("type"), key in ("prompts.system", "sampling.stop")
    texts = [text for text in TEXTS if not (lines and text == "a\nb")]
    if "enum" in field:
        known = field["enum"]
        words = ["", f"{known[0]}x", *[str(one).swapcase() for one in known if str(one).isalpha()]]
        return [*words, *TEXTS, *NUMBERS, True, 1.5, -1, [known[0]], {"x": 1}, None]
    if kind == "integer":
        low, high = field["minimum"], field["maximum"]
        return [low - 1, high + 1, *NUMBERS, low + 0.5, True, str(low), "", "x", [low], {"x": low}, None]
    if kind == "number":
        low, high = (
            field.get(a, field.get(b)) for a, b in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))
        )
        edges = [field[name] for name in ("exclusiveMinimum", "exclusiveMaximum") if name in field]
        return [low - 0.5, high + 0.5, *edges, *NUMBERS, True, "0.5", "", [low], {"x": low}, None]
    if kind == "boolean":
        return [0, 1, 2, "true", "yes", "", 0.0, math.nan, [True], {"x": True}, None, *TEXTS]
    if kind == "string":
        return [
            *texts,
            *(DATES if key == "prompts.date" else []),
            *(NAMES if key in ("name", "yoke") else []),
            3,
            True,
            math.nan,
            ["x"],
            {"x": 1},
            None,
        ]
    if key.endswith("families"):
        return [
            *([text] for text in (*FAMILIES, *TEXTS)),
            ["rpn", "rpn"],
            "rpn",
            [3],
            [["rpn"]],
            {"rpn": 1},
            3,
            True,
            None,
        ]
    if key == "problems.difficulty_by_family":
        return [
            {"nonesuch": [1, 2]},
            {"rpn": [2, 1]},
            {"rpn": [0, 1]},
            {"rpn": 3},
            {"rpn": [1]},
            {SECRET: [1, 2]},
            [],
            3,
            None,
        ]
    if key == "prompts.arguments":
        inner = (None, [1], {"y": 1}, HUGE, SECRET, math.nan)
        return [*({"x": value} for value in inner), {SECRET: 1}, 3, "x", [], True, None]
    if kind == "array":
        return [
            "",
            "x",
            3,
            True,
            {"x": 1},
            None,
            [None],
            [[]],
            [{}],
            [math.nan],
            [HUGE],
            [-1],
            *([text] for text in texts),
        ]
    return [3, True, None, {"x": 1}, [3], *TEXTS, *([text] for text in TEXTS)]  # of several types


DRAWN = [
    *((key, value) for key, field in LEAVES.items() for value in wrong(key, field) if (key, value) != ("yoke", "")),
    *((section, value) for section in SECTIONS for value in (3, "x", [1], True, None)),
    *(
        (f"{key}{ending}", 1)
        for key in all_keys()
        for ending in ("x", ".x", "..")
        if (key, ending) != ("prompts.arguments", ".x")
    ),
    *((key, 1) for key in ("", ".", "..", "nonesuch", "training.nonesuch", "a\0b", "x" * 5000, SECRET, "__class__")),
]


def toml(value: Any) -> str | None:
    """The value as TOML, None where TOML has no such value."""
    if value is None or (isinstance(value, float) and value != value):
        return None if value is None else "nan"
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if isinstance(value, dict):
        inner = {key: toml(one) for key, one in value.items()}
        return (
            None if None in inner.values() else f"{{{', '.join(f'{json.dumps(k)} = {v}' for k, v in inner.items())}}}"
        )
    if isinstance(value, list):
        parts = [toml(one) for one in value]
        return None if None in parts else f"[{', '.join(filter(None, parts))}]"
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else json.dumps(value)


def nested(key: str, value: Any) -> dict[str, Any]:
    """The tree that says `key = value` and nothing else."""
    *sections, last = key.split(".")
    tree: dict[str, Any] = {last: value}
    for section in reversed(sections):
        tree = {section: tree}
    return tree


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A store with one run, three iterations of which are done."""
    folder = tmp_path_factory.mktemp("store")
    made = Experiment.create(str(folder), load_config(None, ["model.kind=modular"], name="parent", iterations=3))
    made.save()
    for place in ("problems", *(iteration_folder(number) for number in range(4))):
        stage = "problems" if place == "problems" else "iteration"
        made.stages.run(stage, place, settings=None, version="1", inputs={}, work=lambda out: None)
    return folder


def contents(folder: Path) -> dict[str, Any]:
    """Every file and folder with its content."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def refused(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """The command line ends with exit code 2 and one sentence."""
    monkeypatch.setattr(sys, "argv", ["axiom", *arguments])
    said, printed = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as stop:
        main()
    one_sentence(said.getvalue().removeprefix("error:"))
    assert said.getvalue().startswith("error:")
    assert (stop.value.code, printed.getvalue()) == (2, "")


def one_sentence(text: str) -> None:
    assert text.strip().count("\n") == 0
    assert 10 < len(text) < 1500
    assert "Traceback" not in text
    assert SECRET not in text
    assert "hunter2" not in text


class Roads:
    """Every way in which a setting can come."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path, folder: Path) -> None:
        self.monkeypatch, self.root, self.folder = monkeypatch, root, folder

    def option(self, key: str, value: Any) -> None:
        """`axiom run --set`."""
        text = toml(value)
        if text is not None:
            refused(self.monkeypatch, "run", "--root", str(self.root), "--set", f"{key}={text}")

    def fork(self, key: str, value: Any) -> None:
        """`axiom fork --set`."""
        text, fork = toml(value), ("fork", "parent", "--at", "2", "--experiment", "child")
        if text is not None and key != "name":  # which --experiment gives
            refused(self.monkeypatch, *fork, "--root", str(self.root), "--set", f"{key}={text}")

    def preset(self, key: str, value: Any) -> None:
        """A preset's file."""
        text = toml(nested(key, value))
        if text is not None:
            (self.folder / "preset.toml").write_text(f"{text[1:-1]}\n", encoding="utf-8")
            refused(self.monkeypatch, "run", str(self.folder / "preset.toml"), "--root", str(self.root))

    def study(self, key: str, value: Any) -> None:
        """A study's `[settings]`, as tables and as dotted keys in turn."""
        text = toml(nested(key, value) if len(key) % 2 else {key: value})
        (self.folder / "base.toml").write_text('[model]\nkind = "modular"\n', encoding="utf-8")
        if text is not None and key:
            file = self.folder / "study.toml"
            file.write_text(f'name = "s"\npreset = "base.toml"\nsettings = {text}\n', encoding="utf-8")
            refused(self.monkeypatch, "study", str(file), "--root", str(self.root))

    def form(self, key: str, value: Any) -> bool:
        """Prefect's form; whether its schema refuses it, so that there is no run."""
        tree = {"config": nested(key, value), "root": str(self.root)}
        if not FORM.is_valid(tree):
            return True
        with pytest.raises(ConfigError) as caught:
            experiment.fn(**tree)
        one_sentence(str(caught.value))
        return False

    def script(self, key: str, value: Any) -> None:
        """The Python API, with a tree and with a config that was copied unchecked.

        Whether families can give so many problems is the gate's to say; a config by itself knows their names.
        """
        alone = () if key.startswith("problems.") else (build_config,)
        for attempt in (*alone, lambda tree: admit(str(self.root), tree)):
            with pytest.raises(ConfigError) as caught:
                attempt(nested(key, value))
            one_sentence(str(caught.value))


FORM = Draft202012Validator(parameter_schema(experiment).model_dump_for_openapi())
COMMANDS = ("option", "fork", "preset", "study")


def test_the_form_answers_a_wrong_name_with_the_shape_of_names_alone():
    """The server's refusal quotes the pattern that does not match, and a person reads it."""
    [found] = FORM.iter_errors({"config": {"name": "a b"}})
    assert "[A-Za-z0-9._-]" in found.message
    assert len(found.message) < 150, found.message


def no_run_starts(*_: Any) -> None:
    raise AssertionError("a run starts")


@pytest.mark.slow
def test_every_wrong_value_is_refused_on_every_road(root, tmp_path, monkeypatch):
    """The form and a script get all of them, and the four kinds of commands take turns."""
    monkeypatch.setattr("typer.main.get_command", functools.cache(typer.main.get_command))  # made anew it takes longest
    for place in ("axiom.cli.run.load_flow", "axiom.cli.studies.load_flow", "axiom.flows.experiment.witnessed"):
        monkeypatch.setattr(place, no_run_starts)  # what lets one pass would compute for an hour
    roads, before, by_schema = Roads(monkeypatch, root, tmp_path), contents(root), 0
    for number, (key, value) in enumerate(DRAWN):
        try:
            by_schema += roads.form(key, value)
            roads.script(key, value)
            getattr(roads, COMMANDS[number % len(COMMANDS)])(key, value)
        except BaseException as error:
            error.add_note(f"{key} = {value!r}"[:300])
            raise
        if number % 50 == 0 or number == len(DRAWN) - 1:
            assert contents(root) == before
    print(f"{len(DRAWN)} wrong values of {len(LEAVES)} keys, {by_schema} of them refused by the form's schema")
    assert len(DRAWN) > 10 * len(LEAVES)
    assert by_schema > 0.9 * len(DRAWN)


def test_what_a_form_offers_to_choose_or_bounds_its_schema_refuses(root):
    """Before there is a run: names, families, arms, choices, bounds."""
    for key, field in LEAVES.items():
        texts = [[text] for text in FAMILIES if "gym:n" not in text] if key.endswith("families") else []
        bounds = [field[name] + step for name, step in (("minimum", -1), ("maximum", 1)) if name in field]
        names = [name for name in NAMES if name] if key in ("name", "yoke") else []
        for value in (*texts, *bounds, *names, *(["nonesuch"] if "enum" in field else [])):
            assert not FORM.is_valid({"config": nested(key, value)}), (key, value)
    for key, value in (
        ("name", "fine"),
        ("problems.families", ["rpn", "rpn+list_sort", "reasoning_gym:gcd"]),
        ("yoke", ""),
    ):
        assert FORM.is_valid({"config": nested(key, value)}), (key, value)


@pytest.mark.parametrize("text", ["-1", "2", "0", "100001", "x", "", "1.5", "nan", "true", "1e3", "9" * 400, "3 0"])
def test_resume_refuses_rounds_that_no_run_can_have(root, monkeypatch, text):
    before = contents(root)
    refused(monkeypatch, "resume", "parent", "--root", str(root), "--iterations", text)
    assert contents(root) == before


@pytest.mark.parametrize(
    "change", [{"iterations": -5}, {"seed": 1.5}, {"name": "a/b"}, {"arm": "none"}, {"problems": 3}]
)
def test_a_copy_that_no_check_saw_is_refused(root, change):
    before = contents(root)
    for attempt in (Experiment.create, admit):
        with pytest.raises(ConfigError) as caught:
            attempt(str(root), ExperimentConfig().model_copy(update=change))
        one_sentence(str(caught.value))
    assert contents(root) == before


@pytest.mark.parametrize("operation", [{"gpu": "maybe"}, {"overlap": 1}, {"x": 1}, 3, "refuse", None, [SECRET]])
def test_how_a_run_behaves_is_checked_as_well(operation):
    with pytest.raises(ConfigError) as caught:
        checked(Operation, operation)
    one_sentence(str(caught.value))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)


@settings(derandomize=True)
@given(st.sampled_from([*all_keys(), *SECTIONS]), anything)
def test_any_value_gives_a_config_or_one_sentence(key, value):
    """And the roads agree: what the types take, the form's schema takes, and it can be stored and opened."""
    try:
        config = build_config(nested(key, value))
    except ConfigError as error:
        one_sentence(str(error))
        return
    assert FORM.is_valid({"config": nested(key, value)})
    assert build_config(json.loads(json.dumps(config.model_dump(mode="json")))) == config
