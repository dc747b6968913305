"""What the views of a report compute, on runs whose figures are known."""

import json
import re
import shlex
import shutil

import numpy as np
import polars as pl
import pytest

from axiom.commands import suggest
from axiom.config import load_config
from axiom.errors import DataError
from axiom.experiment import Experiment, iteration_folder
from axiom.experiment.tables import some_columns
from axiom.grokking import Curve, detect
from axiom.learners.modular import new_network
from axiom.records import Metric, with_interval
from axiom.report.data import RunData
from axiom.report.page import _command, _numbers, headline, page
from axiom.report.views import learning, programs, support, views, weights
from axiom.store import write_parquet
from tests.report.stores import diverged, rewrite, write_run
from tests.rows import metric_row


def rows_of(view):
    """The rows of the largest table behind a chart."""
    return max(view.chart.to_dict()["datasets"].values(), key=len)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return RunData(write_run(tmp_path_factory.mktemp("views"), "run", iterations=4, draws=6))


def test_pass_at_k_is_of_the_same_problems_and_the_first_middle_and_last_policy(data):
    rows = rows_of(learning.pass_at_k(data))
    assert {row["name"] for row in rows} == {"base model", "iteration 2", "iteration 4", learning.CHOSEN}
    assert {row["iteration"] for row in rows if row["name"] == learning.CHOSEN} == set(range(5))
    assert sorted({row["k"] for row in rows}) == [1, 2, 4, 5]
    for split in {row["split"] for row in rows}:
        for name in ("base model", "iteration 4"):
            line = [row["value"] for row in rows if (row["split"], row["name"]) == (split, name)]
            assert line == sorted(line)  # more draws never solve less
    (one,) = [r for r in rows if (r["split"], r["name"], r["k"]) == ("validation", "iteration 4", 1)]
    last = data.evaluations.filter(split="validation", iteration=4)
    assert one["value"] == pytest.approx(float((last["correct"] / last["n"]).mean()))


def test_what_is_kept_gained_and_lost_adds_up(data):
    rows = rows_of(support.against_base(data))
    for number in range(1, 5):
        for split in ("training", "validation", "test"):
            count = {r["what"]: r["problems"] for r in rows if (r["split"], r["iteration"]) == (split, number)}
            now, base = (set(_solved(data, split, at)) for at in (number, 0))
            assert count == {"kept": len(now & base), "gained": len(now - base), "lost": -len(base - now)}


def _solved(data, split, iteration):
    return data.evaluations.filter(split=split, iteration=iteration).filter("solved")["problem_id"].to_list()


def test_the_solve_map_holds_every_solved_evaluation(data):
    rows = rows_of(support.solve_map(data))
    drawn = sum(row["to"] - row["from"] for row in rows if row["split"] == "validation")
    assert drawn == data.evaluations.filter(split="validation").filter("solved").height


@pytest.mark.parametrize(
    ("at", "solved", "found"), [([0, 5, 10], [1, 1, 0], [(0, 5)]), ([0, 1, 2, 3], [1, 0, 1, 1], [(0, 0), (2, 3)])]
)
def test_stretches(at, solved, found):
    assert support._stretches(at, solved) == found


def test_the_effective_rank_counts_equal_directions():
    assert weights.effective_rank(np.ones(7)) == pytest.approx(7)
    assert weights.effective_rank(np.array([3.0, 0.0, 0.0])) == pytest.approx(1)
    assert weights.effective_rank(np.zeros(3)) == 0


def test_singular_values_are_those_of_the_product():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4, 30)), rng.normal(size=(50, 4))
    (found,) = weights._singular_values({"x.lora_A.weight": a, "x.lora_B.weight": b})
    assert np.sort(found)[::-1] == pytest.approx(np.linalg.svd(b @ a, compute_uv=False)[:4])


def test_progress_measures_of_a_network_that_adds_by_two_frequencies():
    p, key = 31, [3, 7]
    sums = np.add.outer(np.arange(p), np.arange(p)) % p
    angle = 2 * np.pi / p * (sums[:, :, None] - np.arange(p))
    logits = 20 * sum(np.cos(k * angle) for k in key)
    assert set(key) <= set(weights._key_frequencies(weights._by_sum(logits)))
    component = weights._components(weights._by_sum(logits), key)[sums]
    assert component == pytest.approx(logits)
    everything = np.array([(a, b) for a in range(p) for b in range(p)])
    assert weights.cross_entropy(component, everything, p) < 0.2
    assert weights.cross_entropy(logits - component, everything, p) == pytest.approx(np.log(p))


def test_all_logits_are_the_learner_s(tmp_path):
    from axiom.learners.modular import Pairs, logits

    config = load_config(None, ["model.kind=modular", "modular.p=11"])
    network = new_network(config.modular, 0)
    mine = weights._all_logits({name: tensor.numpy() for name, tensor in network.items()})
    pairs = Pairs(np.array([(a, b) for a in range(11) for b in range(11)]))
    assert mine.reshape(121, 11) == pytest.approx(logits(network, pairs).numpy(), abs=1e-4)


def test_the_command_on_the_page_makes_the_same_config(tmp_path):
    given = [
        "name=again",
        "seed=4",
        'problems.families=["rpn"]',
        "sampling.temperature=0.7",
        "model.path=it's here",
        "evaluation.pass_at=[1,8]",
    ]
    config = load_config(None, [*given, "problems.difficulty_by_family.rpn=[1,2]"])
    words = shlex.split(_command(config))
    assert words[:2] == ["axiom", "run"]
    assert load_config(None, words[3::2]) == config


@pytest.mark.parametrize(
    ("shares", "says"),
    [
        ([0.09, 0.2, 0.36], "Validation accuracy 9% [4, 17] → 36% [26, 47] in 2 iterations"),
        ([0.09, 0.36], "Validation accuracy 9% [4, 17] → 36% [26, 47] in 1 iteration"),
        ([0.09], "Validation accuracy 9% [4, 17], measured once"),
        ([], "No validation accuracy was measured"),
    ],
)
def test_the_headline(shares, says):
    ends = {0.09: (0.04, 0.17), 0.2: (0.1, 0.3), 0.36: (0.26, 0.47)}
    rows = [
        metric_row(iteration=n, split="val", value=v, low=ends[v][0], high=ends[v][1], n=80)
        for n, v in enumerate(shares)
    ]
    assert headline(rows) == says


def test_a_reader_meets_no_names_of_the_code(data):
    text = page(data.experiment)
    for name in ("wrong_answer", "outcome_passed", "expert_iteration", "greedy_accuracy", "ood_", "all_right"):
        assert name not in text.replace(text[text.index("<script>") : text.index("</script>")], ""), name


def test_a_view_without_its_data_is_left_out(tmp_path):
    experiment = write_run(tmp_path, "run")
    for number in experiment.iterations():
        place = experiment.folder.join(iteration_folder(number))
        for name in place.names():
            place.remove(name)
    groups = views(RunData(Experiment.open(str(tmp_path), "run")))
    titles = {view.title for group in groups.values() for view in group}
    assert {"Accuracy", "Generalisation gap", "Verdicts on the training samples"} <= titles
    assert not titles & {"Solve map", "pass@k against k", "Where the time went", "Ledger", "Adapters"}


def test_the_distance_and_the_diversity_of_the_metrics_are_drawn(data):
    line = {row["iteration"]: row for row in rows_of(weights.distance(data))}
    assert [line[number]["value"] for number in range(5)] == pytest.approx([number * 0.0115 for number in range(5)])
    assert line[2]["low"] < line[2]["value"] < line[2]["high"]
    _, table = weights.distance(data).table
    assert table[0] == ["0", "0", "0 to 0", "4"]
    rows = rows_of(programs.diversity(data))
    assert {row["name"] for row in rows} == set(programs.DIVERSITY.values())
    assert {row["iteration"] for row in rows} == {1, 2, 3, 4}
    one = [row["value"] for row in rows if row["iteration"] == 1]
    assert one == [max(one), 1, 1]  # in the store every program is the same
    header, (first, *_) = programs.diversity(data).table
    assert dict(zip(header, first, strict=True))["entropy of behaviours"] == "0.00"
    assert {row["value"] for row in rows_of(programs.entropy(data))} == {0}


def test_a_problem_that_was_never_solved_has_its_row_in_the_solve_map(tmp_path):
    short = RunData(write_run(tmp_path, "short", iterations=1))
    never = short.evaluations.group_by("problem_id").agg(pl.col("solved").any()).filter(~pl.col("solved"))
    assert never.height > 0
    rows = rows_of(support.solve_map(short))
    for split in ("training", "validation", "test"):
        assert len({row["row"] for row in rows if row["split"] == split}) == 6


def no_constant(name):
    raise AssertionError(f"{name} is no JSON")


def test_what_is_not_finite_is_null_on_the_page(tmp_path):
    text = page(diverged(tmp_path))
    found = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)
    assert len(found) > 8
    for one in found:
        json.loads(one, parse_constant=no_constant)
    assert "40 of 50 steps have no finite loss" in text


@pytest.mark.slow
def test_samples_whose_verdict_or_problem_is_gone_are_left_out(tmp_path):
    experiment = write_run(tmp_path, "run")
    rewrite(experiment, 5, "verdicts", lambda rows: rows.head(1))
    assert page(experiment).count("cases passed</summary>") < page(write_run(tmp_path, "whole")).count("cases passed")
    shutil.rmtree(tmp_path / "run" / "problems")
    assert "No samples of this iteration are here." in page(Experiment.open(str(tmp_path), "run"))


def test_a_table_of_an_earlier_version_is_read_and_a_damaged_one_is_a_sentence(tmp_path):
    experiment = write_run(tmp_path, "run", iterations=1)
    rewrite(experiment, 1, "verdicts", lambda rows: rows.drop("audit_passed"))
    folder = experiment.folder.join(iteration_folder(1))
    assert some_columns(folder, "verdicts", ["audit_passed"])["audit_passed"].is_null().all()
    folder.write_bytes("verdicts.parquet", folder.read_bytes("verdicts.parquet")[:100])
    with pytest.raises(DataError, match="not a readable Parquet file"):
        some_columns(folder, "verdicts", ["audit_passed"])


DAMAGED = {
    "metrics.parquet": "Accuracy",
    "events.parquet": "Accuracy",
    "iterations/0002/evaluation.parquet": "Solve map",
    "iterations/0002/losses.parquet": "Training loss",
    "iterations/0003/samples.parquet": "How sure the model is",
    "iterations/0003/iteration.manifest.json": "Where the time went",
    "problems/proof.json": "Splits",
    "problems/val.parquet": "Splits",
}
"""Files, and a view that goes without each."""


@pytest.mark.slow
def test_a_page_is_made_of_what_can_be_read_and_names_the_rest_in_its_place(tmp_path):
    experiment = write_run(tmp_path, "run", iterations=3)
    for number in experiment.iterations():  # as a run has them
        rows = [row for row in experiment.metrics() if row.iteration == number]
        write_parquet(experiment.folder.join(iteration_folder(number)), "metrics", rows, Metric)
    experiment.folder.join("problems").write_bytes("proof.json", b"{}")
    whole = views(RunData(experiment))
    for path in DAMAGED:
        (tmp_path / "run" / path).write_bytes(b"damaged")
    again = Experiment.open(str(tmp_path), "run")
    assert again.metrics() == experiment.metrics()
    data = RunData(again)
    left = {view.title: view.words for group in views(data).values() for view in group}
    assert set(data.lost) == set(DAMAGED)
    assert {view.title for group in whole.values() for view in group} <= set(left)
    assert [path for path, title in DAMAGED.items() if path not in left[title]] == []
    text = page(again)
    assert "goes without it: metrics.parquet, " in text
    assert " and 3 more. metrics.parquet is not a readable Parquet file" in text
    assert "The samples of this iteration cannot be read" in text
    assert f"To compute what is damaged again: {suggest('resume', 'run', root=str(tmp_path))}" in text


def test_the_gap_at_the_end_is_told_before_there_is_a_verdict():
    rows = [
        metric_row(iteration=n, split=s, value=v, n=9) for n in (0, 3) for s, v in (("train", n / 4), ("val", n / 10))
    ]
    numbers = dict(_numbers(detect(Curve.from_metrics(rows, name="greedy_accuracy"), load_config().detection), rows))
    assert numbers["training less validation at the end"] == "45 points"


@pytest.mark.parametrize(
    ("value", "low", "high", "says"),
    [
        (0.57, 0.42, 0.71, "57% [42, 71]"),
        (0.0106, 0.0084, 0.0132, "1.1% [0.8, 1.3]"),
        (0.0, 0.0, 0.0, "0% [0, 0]"),
        (0.5, None, None, "50% [0, 100]"),
    ],
)
def test_an_interval_that_whole_percents_hide_is_told_in_tenths(value, low, high, says):
    assert with_interval(metric_row(iteration=0, split="val", value=value, low=low, high=high, n=9)) == says
