"""The notebook runs from top to bottom without a browser, on a published run and on one with samples."""

import importlib.util
from pathlib import Path

from axiom.config import load_config
from axiom.flows.experiment import without_server
from axiom.flows.operation import Operation

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "tour.py"


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


def test_the_tour_of_a_run_of_one_s_own(tmp_path, monkeypatch):
    sets = ["modular.p=11", "sampling.samples_per_problem=2"]
    without_server(load_config("modular", sets, name="mine", iterations=1), str(tmp_path), Operation(gpu="never"))
    monkeypatch.setenv("AXIOM_ROOT", str(tmp_path))
    monkeypatch.setenv("AXIOM_RUN", "mine")
    found = run_tour()
    assert found["samples"].height > 10
    assert {"code", "outcome"} <= set(found["samples"].columns)
