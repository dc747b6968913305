"""A real server and a real worker: what an operator starts, sees, stops and resumes. One set for the whole module."""

import json
import os
import signal
from pathlib import Path

import pytest
from prefect_operator import Operator, operating, processes_of, wait_until

from axiom.config import load_config
from flows.operation import slot

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]
REPOSITORY = Path(__file__).parents[1]
MODULAR = "experiment/modular"


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="module")
def operator(home):
    with operating(home) as running:
        running.start_worker("cpu")
        yield running


def parameters(home: Path, name: str, iterations: int = 3, **operation: str) -> dict:
    config = load_config(REPOSITORY / "deployments/modular.toml", (), name=name, iterations=iterations)
    tree = config.model_dump(mode="json")
    return {"config": tree, "root": str(home / "store"), "operation": operation}


def digests(home: Path, name: str) -> dict[str, str]:
    """Every stage's files and their digests, as the manifests say."""
    found = {}
    for path in sorted((home / "store" / name).rglob("*.manifest.json")):
        manifest = json.loads(path.read_text())
        for file, entry in manifest["files"].items():
            found[f"{manifest['folder']}/{file}"] = entry["sha256"]
    return found


def test_setup_is_repeatable(operator: Operator):
    before = operator.post("/deployments/filter"), operator.post("/automations/filter"), operator.post("/work_pools/filter")
    operator.axiom("setup", "--gpus", "2")
    after = operator.post("/deployments/filter"), operator.post("/automations/filter"), operator.post("/work_pools/filter")
    assert [len(rows) for rows in before] == [len(rows) for rows in after]
    assert {row["name"] for row in after[2]} == {"cpu", "gpu"}
    slots = {row["name"]: row["limit"] for row in operator.post("/v2/concurrency_limits/filter")}
    assert {name: limit for name, limit in slots.items() if name.startswith("gpu:")} == {slot(0): 1, slot(1): 1}


@pytest.mark.parametrize(
    "change",
    [{"iterations": -1}, {"sampling": {"temperature": 9.0}}, {"arm": "magic"}, {"traning": {}}, {"seed": "one"}],
    ids=str,
)
def test_a_wrong_value_is_refused_before_the_run_starts(operator: Operator, home: Path, change: dict):
    identity = operator.get(f"/deployments/name/{MODULAR}")["id"]
    wrong = parameters(home, "wrong")
    wrong["config"] |= change
    answer = operator.http.post(f"/deployments/{identity}/create_flow_run", json={"parameters": wrong})
    assert answer.status_code in (409, 422), answer.text


@pytest.fixture(scope="module")
def finished(operator: Operator, home: Path) -> str:
    """An undisturbed run that the others are compared with."""
    before = operator.database_bytes()
    run = operator.start(MODULAR, parameters(home, "calm", 8))
    assert operator.await_state(run) == "COMPLETED", operator.logs(run)[-5:]
    print(f"{(operator.database_bytes() - before) / 9 / 1024:.0f} KB of database an iteration")
    return run


def test_runs_have_readable_names_and_tags(operator: Operator, finished: str):
    run = operator.run(finished)
    assert run["name"] == "calm"
    assert {"axiom", "calm", "expert_iteration", "seed 0"} <= set(run["tags"])
    names = {row["name"] for row in operator.task_runs(finished)}
    assert {"calm · iteration 7 · sample", "calm · iteration 7 · sample eval", "calm · iteration 0 · generate"} <= names
    children = operator.post("/flow_runs/filter", flow_runs={"parent_flow_run_id": {"any_": [finished]}})
    assert {row["name"] for row in children} == {f"calm · iteration {i}" for i in range(9)}


def test_the_run_shows_its_iterations(operator: Operator, finished: str):
    rows = operator.post("/artifacts/filter", artifacts={"flow_run_id": {"any_": [finished]}})
    by_key: dict[str, list] = {}
    for row in rows:
        by_key.setdefault(row["key"], []).append(row)
    assert float(by_key["calm-progress"][0]["data"]) == 100.0
    table = json.loads(by_key["calm-accuracy"][0]["data"])
    assert [row["iteration"] for row in table] == [str(i) for i in range(9)]
    assert table[-1]["val"].count("[") == 1
    assert by_key["calm-curve"][0]["data"].startswith("data:image/svg+xml;base64,")
    assert len(by_key["calm-iteration"]) == 9
    page = next(row["data"] for row in by_key["calm-iteration"] if "Iteration 7" in row["description"])
    link = page.split("[samples.parquet](file://")[1].split(")")[0]
    assert Path(link).exists()
    assert "axiom inspect calm" in page
    assert Path(by_key["calm-report"][0]["data"].split("(file://")[1].split(")")[0]).exists()
