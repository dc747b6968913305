"""The browser's server and its data: what it tells, and what it refuses."""

import base64
import json
import socket
from urllib.parse import urlsplit

import numpy as np
import pytest
from starlette.testclient import TestClient

from axiom.experiment import Experiment, iteration_folder
from axiom.experiment.judged import failing_case
from axiom.records import Case, Sample, Verdict
from axiom.view.export import export
from axiom.view.samples import OUTCOMES, Run, _first_failing
from axiom.view.server import application, serve
from tests.report.stores import diverged, problem, rewrite, write_run
from tests.report.test_hostile_text import ATTACKS, unsafe


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run(write_run(tmp_path_factory.mktemp("view"), "a", iterations=2, texts=tuple(ATTACKS.values())))


@pytest.fixture(scope="module")
def client(run):
    return TestClient(
        application({"a": run, "b/../c": run}), base_url="http://127.0.0.1:8765", raise_server_exceptions=False
    )


def column(chunk, name, kind):
    return np.frombuffer(base64.b64decode(chunk[name]), kind).tolist()


def test_the_index_holds_every_sample_with_its_verdict(run, client):
    head, index = client.get("/data/a").json(), client.get("/data/a/index").json()
    chunks = index["chunks"]
    assert [(c["iteration"], c["purpose"]) for c in chunks] == [
        (0, "eval"),
        (1, "train"),
        (1, "eval"),
        (2, "train"),
        (2, "eval"),
    ]
    for chunk in chunks:
        prefix, folder = "" if chunk["purpose"] == "train" else "eval_", iteration_folder(chunk["iteration"])
        samples = run.experiment.stages.read(folder, f"{prefix}samples", Sample)
        verdicts = {v.sample_id: v for v in run.experiment.stages.read(folder, f"{prefix}verdicts", Verdict)}
        assert chunk["rows"] == len(samples)
        problems = [head["problems"][at][0] for at in column(chunk, "problem", np.int32)]
        assert problems == [sample.problem_id for sample in samples]
        assert column(chunk, "index", np.int32) == [sample.index for sample in samples]
        outcomes = [OUTCOMES[at] for at in column(chunk, "outcome", np.uint8)]
        assert outcomes == [verdicts[sample.sample_id].outcome for sample in samples]
        audits = [{None: 0, True: 1, False: 2}[verdicts[s.sample_id].audit_passed] for s in samples]
        assert column(chunk, "audit", np.uint8) == audits


def test_a_sample_has_its_texts_and_its_first_failing_case(run, client):
    for row, sample in enumerate(run.experiment.stages.read("iterations/0001", "samples", Sample)):
        shown = client.get(f"/data/a/sample/1/train/{row}").json()
        assert not any(unsafe(str(shown[name]), "\n\t") for name in ("completion", "code", "detail"))
        assert len(shown["code"]) <= len(sample.code) * 10
        if shown["detail"]:
            assert shown["case"] == {"call": "f(2)", "expected": "4"}
        else:
            assert shown["case"] is None


def test_a_text_is_found_wherever_it_stands(run, client):
    found = client.get("/data/a/search", params={"q": "GNP.EXE"}).json()
    texts = [list(run.texts(number, purpose)) for number, purpose in run.parts()]
    want = [[row for row, one in enumerate(rows) if "gnp.exe" in one["code"]] for rows in texts]
    assert found == want
    assert sum(map(len, want)) > 0
    assert client.get("/data/a/search").json() == []


def test_what_is_not_there_is_refused(client):
    for path in (
        "/data/z",
        "/data/a/sample/9/train/0",
        "/data/a/sample/1/other/0",
        "/data/a/sample/1/train/9999",
        "/data/a/problem/9999",
    ):
        assert client.get(path).status_code == 404, path


@pytest.mark.parametrize(
    "path",
    [
        "/../experiment.json",
        "/%2e%2e/experiment.json",
        "/..%2fexperiment.json",
        "/data/..%2f..%2fetc%2fpasswd",
        "/data/%2e%2e/index",
        "/data//etc/passwd",
        "/data/a/sample/1/..%2f..%2ftrain/0",
        "/data/b/../c",
        "/page.css/../render.py",
        "/experiment.json",
        "/axiom",
        "/data/a%00/index",
    ],
)
def test_no_path_leads_out_of_the_runs(client, path):
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "localhost.evil.example", "", "0.0.0.0", "[::1]"],
)
def test_a_page_of_another_name_cannot_read_the_data(client, host):
    assert client.get("/data/a", headers={"host": host}).status_code == 400


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch", "options"])
def test_nothing_can_be_written(client, method):
    assert client.request(method, "/data/a").status_code == 405


def test_every_answer_keeps_the_page_to_itself(client):
    for path in ("/", "/browser.js", "/data/a", "/nothing", "/data/a/index"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
    assert client.get("/data/a", headers={"host": "evil.example"}).headers["x-content-type-options"] == "nosniff"


def test_the_page_has_no_text_of_a_model_and_no_script_of_its_own(client):
    page = client.get("/").text
    assert "<script>" not in page
    assert "onclick" not in page


def test_a_run_that_goes_on_shows_its_new_iterations(tmp_path):
    experiment = write_run(tmp_path, "live", iterations=2)
    later = experiment.folder.join("iterations/0002")
    kept = {name: later.read_bytes(name) for name in later.names()}
    for name in kept:
        later.remove(name)
    run = Run(Experiment.open(str(tmp_path), "live"))
    before = run.marks()
    assert [chunk["mark"] for chunk in run.index()] == before
    later.write_bytes("samples.parquet", kept["samples.parquet"])
    assert run.marks() == before  # samples without their verdicts yet
    for name, data in kept.items():
        later.write_bytes(name, data)
    assert run.marks()[: len(before)] == before
    assert [(c["iteration"], c["purpose"]) for c in run.index()][len(before) :] == [(2, "train"), (2, "eval")]


def test_looking_changes_nothing_on_the_disk(tmp_path):
    experiment = write_run(tmp_path, "a", iterations=1)
    place = tmp_path / "a"
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    client = TestClient(application({"a": Run(Experiment.open(str(tmp_path), "a"))}), base_url="http://localhost")
    for path in ("", "/index", "/marks", "/sample/1/train/0", "/problem/0", "/search?q=f"):
        assert client.get(f"/data/a{path}").status_code == 200
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before
    assert experiment.folder.local


def test_an_export_holds_the_same(run, tmp_path):
    export({"a": run, "</script>": run}, tmp_path)
    assert all(
        name.isascii() and "script" not in name for name in (path.name for path in (tmp_path / "data").rglob("*"))
    )
    text = (tmp_path / "data" / "0" / "1-train.js").read_text()
    assert text.isascii()
    key, rows = json.loads("[" + text.removeprefix("axiomData(").rstrip().removesuffix(")") + "]")
    assert (key, rows) == ("0/1-train", list(run.texts(1, "train")))


def test_the_command_refuses_a_run_that_is_not_there(axiom, tmp_path):
    write_run(tmp_path, "a", iterations=1)
    code, _, err = axiom("view", "b", "--root", str(tmp_path))
    assert (code, "no experiment 'b'" in err) == (2, True)
    code, _, err = axiom("view", "--root", str(tmp_path), "--export", str(tmp_path / "out"))
    assert (code, err) == (0, "")
    assert (tmp_path / "out" / "index.html").exists()
    code, _, err = axiom("view", "--root", str(tmp_path), "--export", str(tmp_path / "out"))
    assert (code, "not an empty folder" in err) == (2, True)


def test_a_number_that_is_not_finite_is_null(tmp_path):
    client = TestClient(application({"a": Run(diverged(tmp_path))}), base_url="http://localhost")
    for purpose in ("train", "eval"):
        assert client.get(f"/data/a/sample/2/{purpose}/0").json()["logprob"] is None
    assert client.get("/data/a/sample/1/train/0").json()["logprob"] == -20.0


def damaged(root):
    """A run of which one table is cut off, one is of an earlier version and one lacks verdicts."""
    experiment = write_run(root, "damaged", iterations=3)
    folder = experiment.folder.join(iteration_folder(1))
    folder.write_bytes("samples.parquet", folder.read_bytes("samples.parquet")[:200])
    rewrite(experiment, 2, "verdicts", lambda rows: rows.drop("audit_passed"))
    rewrite(experiment, 3, "verdicts", lambda rows: rows.gather_every(2, 1))
    return experiment


def test_damaged_tables_are_named_and_the_rest_is_shown(tmp_path):
    run = Run(damaged(tmp_path))
    client = TestClient(application({"a": run}), base_url="http://localhost")
    chunks = client.get("/data/a/index").json()["chunks"]
    of = {(chunk["iteration"], chunk["purpose"]): chunk for chunk in chunks}
    assert [at for at, chunk in of.items() if "fault" in chunk] == [(1, "train")]
    assert "not a readable Parquet file" in of[1, "train"]["fault"]
    assert {at: chunk["rows"] for at, chunk in of.items() if at[1] == "train"} == {
        (1, "train"): 0,
        (2, "train"): 12,
        (3, "train"): 6,
    }
    assert set(column(of[2, "train"], "audit", np.uint8)) == {0}
    found = client.get("/data/a/search", params={"q": "return"}).json()
    assert [len(rows) for rows in found] == [chunk["rows"] for chunk in chunks]
    out = tmp_path / "pages"
    out.mkdir()
    export({"a": run}, out)
    assert len(list(run.texts(3, "train"))) == 6
    (tmp_path / "damaged" / "problems" / "val.parquet").write_bytes(b"PAR1")
    client = TestClient(application({"a": Run(Experiment.open(str(tmp_path), "damaged"))}), base_url="http://localhost")
    told = client.get("/data/a").json()
    assert ["val.parquet" in fault for fault in told["faults"]] == [True]
    assert {split for *_, split in told["problems"]} == {"train", "test"}
    rest = {(c["iteration"], c["purpose"]): c["rows"] for c in client.get("/data/a/index").json()["chunks"]}
    assert (rest[2, "train"], rest[2, "eval"]) == (12, 2 * of[2, "eval"]["rows"] // 3)


def test_of_a_problem_that_asks_for_an_answer_the_right_one_is_told():
    asked = problem("a", "modular", "train").model_copy(
        update={"kind": "answer", "entry_point": "", "cases": (Case(args="[7,12]", expected="19"),)}
    )
    assert (_first_failing(asked, "got 17"), _first_failing(asked, "")) == ({"call": None, "expected": "19"}, None)
    assert (failing_case(asked, "got 17"), failing_case(asked, "")) == ("19", None)


def test_a_damaged_run_is_left_out_where_all_are_shown(axiom, tmp_path):
    write_run(tmp_path, "a", iterations=1)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "experiment.json").write_text('{"config": {')
    code, _, err = axiom("view", "--root", str(tmp_path), "--export", str(tmp_path / "out"))
    assert (code, err.startswith("b is left out: ")) == (0, True)
    assert '["a"]' in (tmp_path / "out" / "data" / "runs.js").read_text()
    assert axiom("view", "b", "--root", str(tmp_path), "--export", str(tmp_path / "other"))[0] == 2
    code, out, _ = axiom("list", "--root", str(tmp_path))
    assert (code, ["settings" in part for part in out.split("\nb: ")]) == (0, [False, True])


class Reached(Exception):
    """The address answered."""


def test_the_address_can_be_reached_as_soon_as_it_is_told():
    def ready(address):
        at = urlsplit(address)
        socket.create_connection((at.hostname, at.port), timeout=10).close()
        raise Reached

    with pytest.raises(Reached):
        serve({}, 0, ready)
