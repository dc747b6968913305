"""What an experiment says of its own problems: at its start, in its folder and in its report."""

import json
from pathlib import Path

import pytest

from axiom.config import load_config
from axiom.experiment import Experiment
from axiom.experiment.running import Runtime
from axiom.problems import prove_disjoint
from axiom.problems.cases.audit import audit_rates
from axiom.progress import listen
from axiom.records import Event, Metric
from axiom.report.page import page
from axiom.store import write_table
from axiom.tasks.generate import generate
from tests.models.tiny_model import make_tiny_model
from tests.rows import metric_row

SETTINGS = [
    "sampling.engine=transformers",
    'problems.families=["list_sort"]',
    "problems.difficulty=[2, 4]",
    "problems.train_size=12",
    "problems.val_size=4",
    "problems.test_size=4",
]


def generated(folder: Path, hidden_cases: int) -> Experiment:
    """An experiment whose problems are made and of whose iterations the first evaluation is known."""
    settings = [
        *SETTINGS,
        f"model.path={make_tiny_model(folder / 'model')}",
        f"name=of{hidden_cases}",
        f"problems.hidden_cases={hidden_cases}",
    ]
    experiment = Experiment.create(str(folder / "runs"), load_config(None, settings))
    experiment.save()
    run = Runtime(experiment)
    generate.fn(run)
    run.close()
    rows = [
        metric_row(
            iteration=0,
            split=split,
            family=family,
            value=0.5,
            low=0.2,
            high=0.8,
            n=4,
        )
        for split in ("train", "val")
        for family in (None, "list_sort")
    ]
    write_table(experiment.folder, "metrics", Metric.to_table(rows))
    write_table(experiment.folder, "events", Event.to_table([]))
    return experiment


@pytest.mark.slow
@pytest.mark.parametrize("hidden_cases", [4, 16])
def test_the_report_shows_the_audit_and_a_low_rate_is_said_at_the_start(tmp_path, hidden_cases):
    told: list[str] = []
    with listen(lambda progress: told.append(progress.note) if progress.stage == "warning" else None):
        experiment = generated(tmp_path, hidden_cases)
    said = "\n".join(told)
    folder = experiment.folder.join("problems")
    proof, audit = (json.loads(folder.read_bytes(f"{name}.json")) for name in ("proof", "audit"))
    assert proof == prove_disjoint(experiment.problems)
    assert audit == audit_rates(experiment.problems)
    report = page(experiment)
    (row,) = audit
    cells = ["list_sort", row["problems"], row["cheats"], f"{row['rejection']:.1%}", f"{row['usual']:.1%}", "100.0%"]
    assert f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>" in report
    assert "of which 0 are shared" in report
    low = (
        f"the hidden cases of list_sort reject {row['rejection']:.1%} of {row['cheats']} planted wrong programs, below"
    )
    assert (low in said, low in report) == ((True, True) if hidden_cases == 4 else (False, False))
