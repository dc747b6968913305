"""Tables read in parts: every stage computes what it computes of whole tables, and a million samples fit into 2 GiB."""

from typing import Any

import pytest

from axiom import rows, store
from axiom.bench.store import FOLDER, MADE, NAME, STAGES, make, measure, run_stage
from axiom.experiment import Experiment
from axiom.report.data import RunData
from axiom.report.page import _programs
from axiom.rows import ById, Rows


def test_every_stage_computes_the_same_in_parts_and_whole(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(store, "PART_ROWS", 37)
    make(tmp_path, 700, 50)
    made: dict[str, dict[str, Any]] = {}
    for way, kept in (("parts", 0), ("whole", 1_000_000)):
        monkeypatch.setattr(store, "KEPT_ROWS", kept)
        place = Experiment.open(str(tmp_path), NAME).folder.join(FOLDER)
        for stage in (stage for stage in STAGES if stage != "report"):  # whose charts are the same work in both
            run_stage(str(tmp_path), stage, way)
            if stage == "inspect" and way == "parts":
                assert "samples of bench, iteration 1: 240 rows" in capsys.readouterr().out
        made[way] = {name: place.read_bytes(f"{name}.parquet") for name in MADE.values()}
        made[way]["report"] = list(_programs(RunData(Experiment.open(str(tmp_path), NAME)), 1))
    assert made["parts"] == made["whole"]
    short = Experiment.open(str(tmp_path), NAME).problems_by_id
    monkeypatch.setattr(store, "KEPT_ROWS", 0)
    monkeypatch.setattr(rows, "TOGETHER", 3)
    long = Experiment.open(str(tmp_path), NAME)
    assert isinstance(long.stages.rows(FOLDER, "samples", store.Record), Rows)
    assert (type(short), type(long.problems_by_id)) == (dict, ById)
    assert list(long.problems_by_id.items()) == list(short.items())
    assert long.problems_by_id.get("none") is None


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("draws", [100, 4])
def test_a_million_samples_take_less_than_two_gibibytes(tmp_path, draws):
    """Prints seconds and memory of each stage. Few draws are many problems: of four there are 250,000."""
    found = list(measure([1_000_000], tmp_path, ["parts"], draws=draws))
    for cost in found:
        print(cost)
    assert max(cost.peak_mib for cost in found) < 2048
