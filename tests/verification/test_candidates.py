"""The files of `axiom verify`: what other tools write is read as they meant it, and faults are named before a run."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st
from typer.testing import CliRunner

import axiom.cli.verify  # noqa: F401  (registers the command)
from axiom.cli.app import app
from axiom.config import SandboxConfig
from axiom.errors import DataError
from axiom.values import decode, encode, integer
from axiom.verification.files import check_candidates, check_names, read_candidates

ECHO = "def f(x):\n    return x"
ROW = {"candidate_id": "a", "code": ECHO, "entry_point": "f", "cases": [{"args": [1], "expected": 1}]}
AXIOM = [sys.executable, "-c", "from axiom.cli.app import main; main()"]


def row(**change):
    return {**ROW, **change}


def values_of(path):
    (candidate,) = read_candidates(path)
    return [(decode(case.args), decode(case.expected)) for case in candidate.cases]


@pytest.fixture
def verify(axiom):
    """`axiom verify` with these arguments: exit code, output and errors."""
    return lambda *arguments: axiom("verify", *map(str, arguments), "--workers", "1")


def outcomes(path):
    return [json.loads(line)["outcome"] for line in path.read_text(encoding="utf-8").splitlines()]


# Values


def test_a_dictionary_of_a_parquet_struct_has_its_own_keys_only(tmp_path):
    cases = [{"args": [{"a": 1}], "expected": 1}, {"args": [{"b": 2, "c": 3}], "expected": 2}]
    pq.write_table(pa.Table.from_pylist([row(cases=cases)]), tmp_path / "x.parquet")
    assert values_of(tmp_path / "x.parquet") == [([{"a": 1}], 1), ([{"b": 2, "c": 3}], 2)]


def test_nested_structs_lists_and_tags_of_parquet_are_read(tmp_path):
    cases = [
        {"args": [{"x": {"$": "tuple", "v": [1, 2]}, "y": [{"k": 1.5}, {}]}], "expected": {"p": [1, None]}},
        {"args": [{"x": None, "y": [{"k": None}, {"m": True}]}], "expected": None},
    ]
    pq.write_table(pa.Table.from_pylist([row(cases=cases)]), tmp_path / "x.parquet")
    assert values_of(tmp_path / "x.parquet") == [
        ([{"x": (1, 2), "y": [{"k": 1.5}, {}]}], {"p": [1, None]}),
        ([{"y": [{}, {"m": True}]}], None),
    ]


def test_maps_bytes_and_whole_decimals_of_parquet_are_dictionaries_bytes_and_integers(tmp_path):
    case = pa.struct([("args", pa.list_(pa.map_(pa.int64(), pa.binary()))), ("expected", pa.decimal128(38, 0))])
    kinds = {name: pa.string() for name in ("candidate_id", "code", "entry_point")} | {"cases": pa.list_(case)}
    table = pa.Table.from_pylist([row(cases=[{"args": [[(7, b"z")]], "expected": 10**30}])], schema=pa.schema(kinds))
    pq.write_table(table, tmp_path / "x.parquet")
    assert values_of(tmp_path / "x.parquet") == [([{7: b"z"}], 10**30)]


def test_cases_may_be_json_text_and_so_may_their_parts(tmp_path):
    parts = [{"args": '[{"a": 1}, "x"]', "expected": '"[1]"'}]
    pq.write_table(pa.Table.from_pylist([row(cases=json.dumps(ROW["cases"]))]), tmp_path / "text.parquet")
    pq.write_table(pa.Table.from_pylist([row(cases=parts)]), tmp_path / "parts.parquet")
    assert values_of(tmp_path / "text.parquet") == [([1], 1)]
    assert values_of(tmp_path / "parts.parquet") == [([{"a": 1}, "x"], "[1]")]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text().filter(lambda key: key != "$"), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(VALUES, VALUES)
def test_plain_json_is_read_as_it_is_in_jsonl_and_csv(tmp_path_factory, argument, expected):
    folder = tmp_path_factory.mktemp("values")
    cases = [{"args": [argument], "expected": expected}]
    (folder / "x.jsonl").write_text(json.dumps(row(cases=cases)), "utf-8")
    with (folder / "x.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*ROW, "timeout_s"])
        writer.writeheader()
        writer.writerow(row(cases=json.dumps(cases)))
    for name in ("x.jsonl", "x.csv"):
        (found,) = values_of(folder / name)
        assert encode(found) == encode(([argument], expected))


def test_integers_of_any_size_are_read_and_compared(verify, tmp_path):
    digits = "7" * 20_000
    line = json.dumps(row(cases=[{"args": ["@"], "expected": "@"}])).replace('"@"', digits)
    (tmp_path / "x.jsonl").write_text(line + "\n")
    assert values_of(tmp_path / "x.jsonl") == [([integer(digits)], integer(digits))]
    code, _, said = verify(tmp_path / "x.jsonl", "--out", tmp_path / "o.jsonl")
    assert (code, outcomes(tmp_path / "o.jsonl")) == (0, ["passed"]), said


def test_not_a_number_and_infinity_are_read(tmp_path):
    (tmp_path / "x.jsonl").write_text(json.dumps(row(cases=[{"args": [math.nan], "expected": -math.inf}])))
    ((arguments, expected),) = values_of(tmp_path / "x.jsonl")
    assert math.isnan(arguments[0])
    assert expected == -math.inf


@pytest.mark.parametrize(
    "value",
    [
        {"$": "bytes", "v": "zz"},
        {"$": "float", "v": "abc"},
        {"$": "complex", "v": []},
        {"$": "nonsense", "v": 1},
        {"$": "set", "v": [[1]]},
        {"$": "dict", "v": [[1]]},
        {"$": "tuple"},
        {"$": 3, "v": 1},
        {"$": "tuple", "v": 3},
        {"$": "dict", "v": [[[1], 2]]},
        {"$": "float", "v": None},
    ],
)
def test_a_malformed_tag_is_one_sentence(tmp_path, value):
    (tmp_path / "x.jsonl").write_text(json.dumps(row(cases=[{"args": [value], "expected": 1}])))
    with pytest.raises(DataError, match=r"row 1 .*case 0 has a value that cannot be read"):
        check_candidates(tmp_path / "x.jsonl")


# Text


def test_byte_order_marks_and_carriage_returns_are_no_part_of_the_text(tmp_path):
    lines = [json.dumps(row(candidate_id=name)) for name in "ab"]
    (tmp_path / "x.jsonl").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\r\n\r\n")
    text = 'candidate_id,code,entry_point,cases\r\na,"def f(x):\r\n    return x",f,"[{""args"": [1], ""expected"": 1}]"'
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert check_candidates(tmp_path / "x.jsonl") == {"a": 1, "b": 2}
    assert check_candidates(tmp_path / "x.csv") == {"a": 1}


@pytest.mark.parametrize(
    "locale", ["C", *(pytest.param(name, marks=pytest.mark.slow) for name in ("POSIX", "de_DE.ISO-8859-1"))]
)
def test_files_are_utf_8_whatever_the_locale_says(tmp_path, locale):
    code = "def f(x):\n    raise ValueError('größer ✓')"
    (tmp_path / "x.jsonl").write_bytes(json.dumps(row(candidate_id="ü✓", code=code), ensure_ascii=False).encode())
    done = subprocess.run(
        [*AXIOM, "verify", str(tmp_path / "x.jsonl"), "--out", str(tmp_path / "o.jsonl"), "--workers", "1"],
        capture_output=True,
        env=os.environ | {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "o.jsonl").read_bytes().decode())
    assert (found["candidate_id"], found["detail"]) == ("ü✓", "case 0: ValueError: größer ✓")


def test_a_lone_surrogate_is_written_as_json_writes_it_and_refused_for_parquet(verify, tmp_path):
    (tmp_path / "x.jsonl").write_text('{"candidate_id": "\\ud800", ' + json.dumps(ROW)[len('{"candidate_id": "a", ') :])
    code, _, said = verify(tmp_path / "x.jsonl", "--out", tmp_path / "o.jsonl")
    assert code == 0, said
    assert json.loads((tmp_path / "o.jsonl").read_text("utf-8"))["candidate_id"] == "\ud800"
    with pytest.raises(DataError, match="Parquet cannot hold"):
        check_names(tmp_path / "o.parquet", check_candidates(tmp_path / "x.jsonl"))


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv"])
def test_what_is_not_utf_8_is_one_sentence(tmp_path, name):
    (tmp_path / name).write_bytes(b"candidate_id,code\n\xff\xfe")
    with pytest.raises(DataError, match="UTF-8"):
        check_candidates(tmp_path / name)


@pytest.mark.parametrize(
    ("field", "value"), [("timeout_s", "0"), ("timeout_s", "x"), ("memory_mb", "1.5"), ("cases", "[")]
)
def test_a_fault_in_a_csv_row_is_named(tmp_path, field, value):
    with (tmp_path / "x.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*ROW, "timeout_s", "memory_mb"])
        writer.writeheader()
        writer.writerow(row(cases=json.dumps(ROW["cases"])) | {field: value})
    with pytest.raises(DataError, match=f"row 1 has {field}"):
        check_candidates(tmp_path / "x.csv")


# Output


def test_an_output_that_is_the_input_is_refused(tmp_path):
    source = tmp_path / "x.jsonl"
    source.write_text(json.dumps(ROW))
    (tmp_path / "link.jsonl").symlink_to(source)
    os.link(source, tmp_path / "hard.jsonl")
    for name in ("x.jsonl", "link.jsonl", "hard.jsonl", "../" + tmp_path.name + "/x.jsonl"):
        done = CliRunner().invoke(app, ["verify", str(source), "--out", str(tmp_path / name)])
        assert isinstance(done.exception, DataError), done.output
        assert "which is read" in str(done.exception)
    assert source.read_text() == json.dumps(ROW)


def test_an_output_that_cannot_be_written_is_refused_before_anything_runs(verify, tmp_path):
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "x.jsonl").write_text(json.dumps(row(candidate_id=3)))  # a fault that would be named next
    for name in ("folder.jsonl", "no/x.jsonl", "x.txt", "/proc/verdicts.jsonl"):
        code, _, said = verify(tmp_path / "x.jsonl", "--out", tmp_path / name)
        assert code == 2
        assert said.startswith("error: --out")
        assert said.count("\n") == 1


def test_an_interrupted_run_keeps_its_verdicts_and_says_so(tmp_path):
    slow = "import time\ndef f(x):\n    time.sleep(0.05)\n    return x"
    lines = [json.dumps(row(candidate_id=str(n), code=f"{slow}\n# {n}")) for n in range(400)]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    command = [*AXIOM, "verify", str(tmp_path / "x.jsonl"), "--out", str(tmp_path / "o.jsonl"), "--workers", "1"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not any("template" in line for line in _commands_of_children(process.pid)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    time.sleep(1.0)
    os.kill(process.pid, signal.SIGINT)
    says, faults = process.communicate(timeout=60)
    assert process.returncode == 130, faults
    kept = outcomes(tmp_path / "o.jsonl")
    assert 0 < len(kept) < 400
    assert set(kept) == {"passed"}
    assert f"interrupted: {len(kept)} of 400 verdicts" in says.replace("\n", " ")


def _commands_of_children(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = children.read_text().split() if children.exists() else []
    return [Path(f"/proc/{child}/cmdline").read_text() for child in found if Path(f"/proc/{child}").exists()]


# What is said


def test_close_comparison_forgives_rounding_and_not_types(verify, tmp_path):
    third = row(
        code="def f(x):\n    return [0.1 + 0.2, {'a': (1.0000001,)}]",
        cases=[{"args": [0], "expected": [0.3, {"a": {"$": "tuple", "v": [1.0]}}]}],
    )
    whole = row(candidate_id="b", code="def f(x):\n    return 1", cases=[{"args": [0], "expected": 1.0}])
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, (third, whole))))
    for chosen, expected in {"exact": ["wrong_answer"] * 2, "close": ["passed", "wrong_answer"]}.items():
        code, _, said = verify(tmp_path / "x.jsonl", "--out", tmp_path / "o.jsonl", "--comparison", chosen)
        assert (code, outcomes(tmp_path / "o.jsonl")) == (0, expected), said


def test_names_of_typing_that_a_program_was_given_stand_in_the_detail(verify, tmp_path):
    completion = {key: value for key, value in ROW.items() if key != "code"} | {
        "completion": "def f(x: List[int]): return x"
    }
    (tmp_path / "x.jsonl").write_text(json.dumps(completion))
    assert verify(tmp_path / "x.jsonl", "--out", tmp_path / "o.jsonl")[0] == 0
    found = json.loads((tmp_path / "o.jsonl").read_text())
    assert (found["outcome"], found["detail"]) == ("passed", "given from typing: List")


def test_help_says_how_values_are_compared_and_shows_the_defaults_of_the_config():
    text = " ".join(CliRunner().invoke(app, ["verify", "--help"], env={"COLUMNS": "200"}).output.split())
    assert "compared by type and value" in text
    assert str(SandboxConfig().cpu_seconds) in text
    assert str(SandboxConfig().memory_mb) in text
