"""The notebook and the snippets beside the artifacts run from top to bottom, without a browser."""

import importlib.util
import re
from pathlib import Path

import pytest

from axiom.config import load_config
from axiom.experiment import Experiment
from axiom.flows.experiment import without_server
from axiom.flows.operation import Operation

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "tour.py"


def run_tour():
    spec = importlib.util.spec_from_file_location("tour", NOTEBOOK)
    tour = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tour)
    return tour.app.run()[1]


def test_the_tour_of_the_published_run(monkeypatch):
    monkeypatch.delenv("AXIOM_ROOT", raising=False)
    monkeypatch.delenv("AXIOM_RUN", raising=False)
    found = run_tour()
    assert found["run"].config.name == "smollm2-h100"
    assert found["phases"].sentence()
    assert set(found["pooled"]["split"]) == {"train", "val", "test"}
    assert found["families"].height > 3
    assert found["samples"] is None


@pytest.mark.slow
def test_the_tour_of_a_run_of_one_s_own(tmp_path, monkeypatch):
    sets = ["modular.p=11", "sampling.samples_per_problem=2"]
    without_server(load_config("modular", sets, name="mine", iterations=1), str(tmp_path), Operation(gpu="never"))
    monkeypatch.setenv("AXIOM_ROOT", str(tmp_path))
    monkeypatch.setenv("AXIOM_RUN", "mine")
    found = run_tour()
    assert found["samples"].height > 10
    assert {"code", "outcome"} <= set(found["samples"].columns)
    Experiment.create(str(tmp_path), load_config("modular", name="begun")).save()
    monkeypatch.setenv("AXIOM_RUN", "begun")
    assert "phases" not in run_tour(), "nothing to show yet, and no error"


def test_the_snippets_of_polars_duckdb_and_pandas_agree(monkeypatch):
    monkeypatch.chdir(ROOT)
    names = {}
    for code in re.findall(r"^```py(?:thon)?\n(.*?)^```", (ROOT / "artifacts/README.md").read_text(), re.S | re.M):
        exec(compile(code, "artifacts/README.md", "exec"), names)
    assert names["curve"][-1][0] == names["last"]["iteration"].item() == names["by_family"].index[-1]
    assert names["best"].height >= 1
    assert 0 <= names["curve"][0][1] <= 1
    assert names["by_family"].shape[1] > 3
