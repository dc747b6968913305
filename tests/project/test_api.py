"""What `import axiom` offers: names and signatures, loaded when they are used, and what they return."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import axiom
from axiom.config import load_config
from axiom.errors import ConfigError, DataError
from axiom.records import Metric, Problem, Verdict
from axiom.store import write_parquet

ROOT = Path(__file__).parents[2]
SIGNATURES = {
    "Curve": "(iteration, train_accuracy, val_accuracy, train_n, val_n)",
    "Curve.of": "(iteration, train_accuracy, val_accuracy, train_n=200, val_n=200)",
    "Experiment": "(root, config)",
    "Experiment.open": "(root, name)",
    "Experiment.frame": "(self, table, iteration=None)",
    "Study": "(name, runs, reading=<factory>, root='artifacts')",
    "Study.load": "(path, root='artifacts', partly=False)",
    "Study.compare": "(self)",
    "Study.outcomes": "(self)",
    "Study.measurements": "(self)",
    "detect": "(curve, config=None)",
    "evaluate": "(problems, samples, verdicts)",
    "generate_splits": "(config, seed)",
    "load_config": "(preset=None, overrides=(), /, **top)",
    "read_curve": "(path)",
    "verify": "(candidates, config=None, comparison='exact')",
}
"""The public surface. A change here is a change for users: note it in CHANGELOG.md."""


def resolve(name: str):
    found = axiom
    for part in name.split("."):
        found = getattr(found, part)
    return found


def test_the_public_names_and_signatures_are_pinned():
    assert sorted(axiom.__all__) == sorted({name.partition(".")[0] for name in SIGNATURES})
    for name, expected in SIGNATURES.items():
        signature = inspect.signature(resolve(name))
        bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
        assert str(inspect.Signature(bare)) == expected, name
        annotated = [p for p in signature.parameters.values() if p.annotation is inspect.Parameter.empty]
        assert [p.name for p in annotated if p.name != "self"] == [], name
        assert inspect.getdoc(resolve(name)), name


def test_a_type_checker_sees_the_names_that_are_there():
    tree = ast.parse((ROOT / "axiom/__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert set(seen) == set(axiom.__all__)
    for name, module in seen.items():
        assert getattr(sys.modules.get(module) or __import__(module, fromlist=[name]), name) is getattr(axiom, name)
    assert (ROOT / "axiom/py.typed").exists()


def test_names_are_loaded_when_they_are_used_and_none_loads_a_model_library():
    code = """
import sys
import axiom
assert {"pydantic", "polars", "numpy", "scipy", "pyarrow"}.isdisjoint(sys.modules), "import axiom is quick"
assert set(axiom.__all__) <= set(dir(axiom))
for name in axiom.__all__:
    getattr(axiom, name)
assert {"torch", "transformers", "peft", "vllm", "altair", "prefect", "typer"}.isdisjoint(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    with pytest.raises(AttributeError, match="no attribute 'nosuch'; it offers Curve, "):
        axiom.nosuch  # noqa: B018


CASES = [{"args": [2], "expected": (2, {2})}, {"args": [3], "expected": (3, {3})}]
CANDIDATES = [
    {"candidate_id": "late", "code": "def f(n):\n    while True: pass", "entry_point": "f", "cases": CASES},
    {"candidate_id": "good", "code": "def f(n): return n, {n}", "entry_point": "f", "cases": CASES, "timeout_s": None},
    {"candidate_id": "list", "completion": "```\ndef f(n): return [n, {n}]\n```", "entry_point": "f", "cases": CASES},
]


def test_verify_gives_a_verdict_for_each_candidate_in_their_order():
    found = axiom.verify(CANDIDATES, load_config().sandbox.model_copy(update={"cpu_seconds": 0.2}))
    assert [(v.candidate_id, v.outcome, v.cases_passed) for v in found] == [
        ("late", "timeout", 0),
        ("good", "passed", 2),
        ("list", "wrong_answer", 0),
    ]
    assert pl.DataFrame(found)["cases_total"].to_list() == [2, 2, 2]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([CANDIDATES[1], CANDIDATES[1]], "candidates: row 2 repeats candidate_id 'good' of row 1"),
        ([CANDIDATES[1] | {"nosuch": 1}], "candidates: row 1 has the unknown column 'nosuch'"),
        ([CANDIDATES[1] | {"cases": []}], "candidates: row 1 has cases"),
        ([CANDIDATES[1], "text"], "candidates: row 2 is a str"),
    ],
)
def test_verify_refuses_a_row_before_anything_runs(rows, says, monkeypatch):
    monkeypatch.setattr("axiom.verification.rows.Verifier", None)
    with pytest.raises(DataError, match=says):
        axiom.verify(rows)


def test_the_reference_solutions_of_generated_problems_pass():
    config = load_config("quickstart", **{"problems.train_size": 7, "problems.val_size": 7, "problems.test_size": 0})
    splits = axiom.generate_splits(config.problems, config.seed)
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 7, "val": 7}
    rows = [
        {
            "candidate_id": problem.problem_id,
            "code": problem.reference_solution,
            "entry_point": problem.entry_point,
            "cases": [case.model_dump() for case in problem.cases],
        }
        for problem in splits["val"]
    ]
    assert {verdict.outcome for verdict in axiom.verify(rows)} == {"passed"}


def test_a_curve_from_frames_is_the_curve_that_the_report_reads():
    run = axiom.Experiment.open(Path("artifacts/reference"), "smollm2-h100")
    assert run.root == "artifacts/reference"
    pooled = run.frame("metrics").filter(
        pl.col("name") == "greedy_accuracy", pl.col("family").is_null(), pl.col("difficulty").is_null()
    )
    wide = pooled.pivot("split", index="iteration", values=["value", "n"]).sort("iteration")
    curve = axiom.Curve.of(*(wide[name] for name in ("iteration", "value_train", "value_val", "n_train", "n_val")))
    metrics = run.stages.read("", "metrics", Metric)
    assert axiom.detect(curve) == axiom.detect(axiom.Curve.from_metrics(metrics))
    assert run.frame("events").columns[:2] == ["iteration", "kind"]


@pytest.fixture
def experiment(tmp_path):
    found = axiom.Experiment.create(str(tmp_path), load_config("modular", name="frames"))
    found.save()
    verdict = {"outcome": "passed", "cases_passed": 1, "cases_total": 1, "cpu_ms": 1.0, "wall_ms": 1.0, "detail": ""}
    for number in (0, 2, 10):
        rows = [Verdict(sample_id=f"{number}:{index}", **verdict) for index in range(number)]
        write_parquet(found.folder.join("iterations", f"{number:04d}"), "verdicts", rows, Verdict)
    splits = axiom.generate_splits(load_config("quickstart", **{"problems.train_size": 3}).problems, 0)
    for split in ("train", "val"):
        write_parquet(found.folder.join("problems"), split, splits[split], Problem)
    return found


def test_a_frame_of_any_table(experiment):
    assert experiment.frame("verdicts", 2)["sample_id"].to_list() == ["2:0", "2:1"]
    stacked = experiment.frame("verdicts")
    assert stacked.columns == ["in_iteration", *Verdict.SCHEMA.names]
    assert stacked["in_iteration"].to_list() == [2] * 2 + [10] * 10
    assert set(experiment.frame("problems")["split"]) == {"train", "val"}
    assert experiment.frame("train").height == 3
    assert experiment.frame("train").schema == experiment.frame("problems").schema
    for table, iteration in (("samples", None), ("samples", 2), ("metrics", None), ("test", None), ("nosuch", 10)):
        with pytest.raises(DataError, match=f"has no table '{table}'; there: "):
            experiment.frame(table, iteration)


def test_wrong_inputs_are_one_sentence():
    with pytest.raises(ConfigError, match=r"list of settings; write \['iterations=2'\]"):
        load_config("quickstart", "iterations=2")
    for lengths in ((3, 2, 3), (3, 3, 4), (3, 1, 3)):
        with pytest.raises(DataError, match="different lengths"):
            axiom.Curve.of(*([0.0, 0.1, 0.2, 0.3][:length] for length in lengths))


def test_a_study_by_its_name_and_by_the_names_of_its_runs(tmp_path):
    study = axiom.Study.load("h1-modular", str(tmp_path))
    assert (study.name, len(study.runs), study.reading.level) == ("h1-modular", 7 * 16, 0.9)
    with pytest.raises(ConfigError, match="no experiment 'h1-modular-expert_iteration-s00'"):
        study.compare()


def finished(root, arm: str, seed: int, late: int) -> str:
    """A run of six iterations whose validation accuracy is 1 from iteration `late` on."""
    run = axiom.Experiment.create(root, load_config("modular", name=f"{arm}-{seed}", arm=arm, seed=seed, iterations=6))
    run.save()
    counted = {"optimizer_step": 0, "trained_tokens": 0, "generated_tokens": 0, "wall_seconds": 0.0}
    whole = {"family": None, "difficulty": None, "name": "greedy_accuracy", "low": None, "high": None, "n": 50}
    rows = [
        Metric(iteration=i, split=split, value=float(split == "train" or i >= late), **counted, **whole)
        for i in range(7)
        for split in ("train", "val")
    ]
    write_parquet(run.folder, "metrics", rows, Metric)
    return run.config.name


def test_a_study_of_finished_runs(tmp_path):
    late = {"expert_iteration": 1, "unverified": 3}
    runs = tuple(finished(str(tmp_path), arm, seed, at) for arm, at in late.items() for seed in range(6))
    study = axiom.Study("mine", runs, root=str(tmp_path))
    [found] = study.compare()
    assert (found.expert, found.other, found.pairs, found.difference) == ("expert_iteration", "unverified", 6, 2.0)
    assert found.p == 2 / 2**6
    outcomes = study.outcomes()
    assert outcomes.group_by("arm").agg(pl.col("time").unique()).sort("arm")["time"].to_list() == [[1.0], [3.0]]
    assert outcomes["observed"].all()
    assert study.measurements().filter(pl.col("split") == "val")["value"].sum() == 6 * (6 + 4)


def test_a_curve_of_a_file_in_percent(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text("step,train acc,val acc\n" + "".join(f"{i},{min(99, 10 * i)},{i}\n" for i in range(20)))
    curve = axiom.read_curve(str(path))
    assert curve.train_accuracy.max() == 0.99
    assert axiom.detect(curve).kind == "no_jump"
