"""`axiom compare` on finished runs of a store: it names what it leaves out, in text, JSON and the page."""

import json

import pytest

from axiom.config import ExperimentConfig
from axiom.experiment import Experiment
from axiom.records import Metric
from axiom.store import write_parquet
from tests.rows import metric_row


def finish(root, arm, seed, reached):
    """A finished run of six evaluations, of which those from `reached` on are all right."""
    config = ExperimentConfig(name=f"{arm}-{seed}", arm=arm, seed=seed, iterations=5, model={"kind": "modular"})
    experiment = Experiment.create(root, config)
    experiment.save()
    rows = [
        metric_row(
            iteration=n,
            optimizer_step=n,
            trained_tokens=n,
            generated_tokens=n,
            wall_seconds=float(n),
            split=split,
            value=float(n >= reached or split == "train"),
            low=0.0,
            high=1.0,
            n=100,
        )
        for n in range(6)
        for split in ("train", "val")
    ]
    write_parquet(experiment.folder, "metrics", rows, Metric)
    return config.name


@pytest.fixture
def runs(tmp_path):
    """Two arms that share seeds 0 to 5; seed 6 is of the expert alone, 7 and 9 of the other."""
    root = str(tmp_path / "artifacts")
    expert = [finish(root, "expert_iteration", seed, 1 + seed % 2) for seed in range(7)]
    return [*expert, *(finish(root, "frozen", seed, 2 + seed % 2) for seed in (0, 1, 2, 3, 4, 5, 7, 9))]


LEFT_OUT = "Left out: seed 6, of which frozen has no run; seeds 7, 9, of which expert_iteration has no run."


@pytest.mark.slow
def test_seeds_of_one_arm_alone_are_named_in_text_json_and_page(axiom, runs, tmp_path):
    code, out, err = axiom("compare", *runs, "--out", "page")
    assert code == 0, err
    assert LEFT_OUT in " ".join(out.split())
    page = (tmp_path / "page/report.html").read_text(encoding="utf-8")
    assert LEFT_OUT.replace("expert_iteration", "expert iteration") in page
    code, out, err = axiom("compare", *runs, "--out", "page", "--json")
    (found,) = json.loads(out)["comparisons"]
    assert (code, found["pairs"]) == (0, 6), err
    assert found["left_out"] == {"frozen": [6], "expert_iteration": [7, 9]}
    assert json.loads((tmp_path / "page/figures.json").read_text(encoding="utf-8")) == json.loads(out)


@pytest.mark.slow
def test_where_all_seeds_have_a_pair_nothing_is_said_of_it(axiom, runs):
    paired = [name for name in runs if int(name[-1]) < 6]
    code, out, err = axiom("compare", *paired, "--out", "page")
    assert (code, "Left out" in out) == (0, False), err


@pytest.mark.slow
def test_too_few_pairs_name_the_seeds_that_made_none(axiom, runs, tmp_path):
    few = [name for name in runs if name not in ("frozen-3", "frozen-4")]
    code, out, err = axiom("compare", *few, "--out", "page", "--json")
    said = "seeds 3, 4, 6, of which frozen has no run; seeds 7, 9, of which expert_iteration has no run"
    assert (code, err.strip().count("\n")) == (2, 0)
    assert "share 4 seeds" in err
    assert said in err
    assert json.loads(out)["refused"] in " ".join(err.split())
    assert said in (tmp_path / "page/report.html").read_text(encoding="utf-8")
