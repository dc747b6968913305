"""`axiom problems` as a user runs it."""

import json
import sys

import pyarrow.parquet as pq
import pytest

from axiom.cli import main
from axiom.config import load_config
from axiom.problems import GENERATORS, generate_splits, prove_disjoint
from axiom.problems.measured import MEASURED
from axiom.records import Problem


@pytest.fixture
def axiom(axiom, monkeypatch):
    """`axiom problems` with these arguments: exit code, output and errors."""
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: axiom("problems", *arguments)


def test_problems_are_printed_with_their_answers_only_on_request(axiom):
    arguments = ("--family", "rpn", "--difficulty", "3:4", "--count", "2", "--seed", "5")
    (code, plain, _), (also, shown, _) = axiom(*arguments), axiom(*arguments, "--show")
    assert code == also == 0
    assert plain.count("Write a Python function") == shown.count("Write a Python function") == 2
    assert "Reference solution" not in plain
    assert shown.count("Reference solution") == 2
    assert axiom(*arguments) == (0, plain, "")


def test_the_list_names_every_family_with_its_signature(axiom):
    _, listed, _ = axiom("--list")
    assert all(name in listed for name in GENERATORS)
    assert "list[int]" in listed
    assert listed.count("  def ") == len(GENERATORS)


def test_files_are_written_in_both_formats(axiom, tmp_path):
    for name in ("a.parquet", "a.jsonl"):
        code, _, said = axiom("--family", "list_sort", "--family", "caesar", "--count", "7", "--out", name)
        assert code == 0, said
    rows = Problem.from_table(pq.read_table(tmp_path / "a.parquet"))
    assert [json.loads(line)["problem_id"] for line in (tmp_path / "a.jsonl").read_text().splitlines()] == [
        row.problem_id for row in rows
    ]
    assert len(rows) == 7


def test_the_list_counts_distinct_variants(axiom):
    assert (
        f"{MEASURED['anagram'].distinct:,} behaviourally distinct variants of 3,528 combinations" in axiom("--list")[1]
    )


def test_splits_are_written_with_their_proof_and_nothing_runs(axiom, tmp_path):
    preset = tmp_path / "preset.toml"
    preset.write_text('[problems]\nfamilies = ["list_filter", "caesar"]\ndifficulty = [1, 3]\nood_size = 4\n')
    sizes = [f"--set=problems.{split}_size={size}" for split, size in (("train", 12), ("val", 6), ("test", 4))]
    out = tmp_path / "out"
    code, said, errors = axiom("splits", str(preset), "--out", str(out), "--seed", "3", *sizes)
    assert code == 0, errors
    made = {path.stem: Problem.from_table(pq.read_table(path)) for path in out.glob("*.parquet")}
    problems = load_config(str(preset), [size.removeprefix("--set=") for size in sizes], seed=3).problems
    assert made == generate_splits(problems, 3)
    proof, audit = (json.loads((out / f"{name}.json").read_text()) for name in ("proof", "audit"))
    assert proof == prove_disjoint(generate_splits(problems, 3))
    assert [row["family"] for row in audit] == ["caesar", "list_filter"]
    assert "of which 0 are shared" in said
    code, _, errors = axiom("splits", str(preset), "--out", str(out))
    assert code == 2
    assert "is there and not an empty folder; name a new one" in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--family", "list_srt"), "did you mean 'list_sort'"),
        (("--family", "rpn", "--difficulty", "7:3"), "--difficulty '7:3' is not LOW:HIGH within 1:10"),
        (("--family", "queens", "--difficulty", "1:2"), "family 'queens' offers, 3 to 10"),
        (("--family", "rpn", "--difficulty", "1", "--count", "9"), "more than the 3 variants"),
        (("--family", "rpn", "--out", "x.csv"), "name a .parquet or .jsonl file"),
        (("--family", "rpn", "--out", "/no/such/x.parquet"), "does not exist"),
        (("--family", "rpn", "--difficulty", "x"), "--difficulty 'x' is not LOW:HIGH within 1:10; write 3:7 or 5"),
        (("--family", "rpn", "--count", "0"), "--count 0: "),
        (("--family", "rpn", "--count=-3"), "--count -3: "),
        (("--family", "rpn", "--seed", "a"), "--seed a: "),
        (("audit", "--family", "rpn", "--count", "0"), "`axiom problems audit --help` says what is possible"),
        (("--famly", "rpn"), "--famly"),
        (("--family", "rpn", "--count"), "--count"),
        ((), "no family named"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_two(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["axiom", "problems", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert (printed.out, printed.err.strip().count("\n")) == ("", 0)


def test_the_audit_prints_a_row_for_each_family(axiom):
    code, said, errors = axiom("audit", "--family", "caesar", "--count", "1")
    assert code == 0, errors
    assert "caesar" in said
    assert "100.0%" in said
