"""One real run in a terminal of 80 columns, and every command that looks at it, frees it or plans another."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from axiom.config import load_config
from axiom.experiment import Experiment
from axiom.flows.experiment import without_server
from axiom.flows.operation import Operation
from tests.flows.operating import contents
from tests.processes import finish, said, start

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_server")]
REPOSITORY = Path(__file__).parents[2]
SETTINGS = (
    "--iterations",
    "4",
    "--set",
    "checkpoint_every=1",
    "--set",
    "modular.p=13",
    "--set",
    "sampling.samples_per_problem=4",
)


def in_a_terminal(folder: Path, columns: int, *words: str) -> tuple[str, float]:
    """What a command writes to a terminal, and the longest silence before its end in seconds."""
    environment = os.environ | {
        "AXIOM_ROOT": str(folder / "artifacts"),
        "PREFECT_HOME": str(folder / "prefect"),
        "COLUMNS": str(columns),
        "TERM": "xterm",
        "PYTHONPATH": str(REPOSITORY),
    }
    child, end = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execve(sys.executable, [sys.executable, "-m", "axiom.cli", *words], environment)
    said, last, silence = b"", time.monotonic(), 0.0
    while True:
        try:
            block = os.read(end, 65536)
        except OSError:  # the other end is closed
            break
        now = time.monotonic()
        silence, last = max(silence, now - last if said else 0.0), now
        said += block
        if not block:
            break
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, said.decode(errors="replace")[-3000:]
    return said.decode(), silence


def lines_of(text: str) -> list[str]:
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    return [line.rstrip() for line in re.split(r"[\r\n]+", plain) if line.strip()]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def shown(place, one_server) -> list[str]:
    text, _ = in_a_terminal(place, 80, "run", "modular", "--experiment", "first", *SETTINGS)
    return lines_of(text)


@pytest.fixture
def call(place, shown, monkeypatch, axiom):
    """A command of `axiom` that looks at the store of the run."""
    monkeypatch.setenv("AXIOM_ROOT", str(place / "artifacts"))
    monkeypatch.setenv("COLUMNS", "80")
    return axiom


@pytest.fixture
def copied(place, shown, tmp_path):
    """A store of its own with the run, to change."""
    shutil.copytree(place / "artifacts", tmp_path / "store")
    return tmp_path / "store"


def test_the_terminal_has_a_line_an_iteration_names_what_is_at_work_and_breaks_nothing(shown):
    assert all(len(line) <= 80 for line in shown if not re.search("Report:|Look inside:", line))
    done = [line for line in shown if re.match(r"iteration \d/4  train ", line)]
    assert [line[10] for line in done] == ["0", "1", "2", "3", "4"]
    assert all(line.count("[") == line.count("]") for line in shown)
    for what in (
        "checking the settings",
        "starting Prefect",
        "making the problems",
        "sample train",
        "verify",
        "train ",
    ):
        assert any(line.startswith(what) for line in shown), what
    table = shown[next(place for place, line in enumerate(shown) if "Wilson intervals" in line) :]
    assert [line.split()[0] for line in table[1:6]] == ["split", *[table[2].split()[0]], "train", "val", "test"]
    assert re.search(r"^Look inside: \S*axiom inspect first --iteration 1", "\n".join(shown), re.MULTILINE)


def test_what_is_suggested_works_as_it_is_pasted(place, shown):
    [look] = [line.partition(": ")[2] for line in shown if line.startswith("Look inside")]
    words = look.split()[1:]
    out = finish(start(place, *words))
    assert "samples of first, iteration 1" in out


def test_list_and_status_say_state_start_accuracy_and_what_differs(call, copied):
    other = Experiment.create(str(copied), load_config("modular", name="other", seed=7, iterations=4))
    other.save()
    code, out, err = call("list", "--root", str(copied), "--json")
    assert code == 0, err
    first, second = json.loads(out)
    assert (first["name"], first["state"], first["done"]) == ("first", "finished", 4)
    assert first["started"].startswith("20")
    assert 0 <= first["val"] <= 1
    assert (second["state"], second["done"]) == ("new", 0)
    assert second["settings"].keys() | first["settings"].keys() == {
        "seed",
        "checkpoint_every",
        "modular.p",
        "sampling.samples_per_problem",
    }
    code, out, _ = call("status", "first", "--json")
    told = json.loads(out)
    assert (told["state"], told["done"], told["begun"]) == ("finished", [0, 1, 2, 3, 4], {})
    assert told["missing"] == [], told["missing"]
    gone = ["iterations/0001/gold.parquet", "iterations/0003/samples.parquet"]
    kept = {path: (copied / "first" / path).read_bytes() for path in gone}
    for path in gone:
        (copied / "first" / path).unlink()
    assert json.loads(call("status", "first", "--json", "--root", str(copied))[1])["missing"] == gone
    code, out, _ = call("status", "first", "--root", str(copied))
    assert (code, f"missing: {gone[0]} and 1 more" in out, "resume first" in out) == (0, True, True)
    for path, data in kept.items():
        (copied / "first" / path).write_bytes(data)
    assert {row["split"] for row in told["accuracy"]} == {"train", "val", "test"}
    with other.locked():
        assert json.loads(call("list", "--root", str(copied), "--json")[1])[1]["state"] == "running"


def test_inspect_shows_problem_program_verdict_and_case_together(call):
    code, out, err = call("inspect", "first", "--iteration", "2", "--where", "outcome = 'wrong_answer'", "--limit", "1")
    assert code == 0, err
    assert re.search(r"modulo 13 \(modular, difficulty 1, train\)", out)
    assert "wrong_answer 0 of 1 hidden cases" in out
    assert "detail got " in out
    code, out, _ = call("inspect", "first", "--iteration", "2", "--json", "--limit", "3")
    rows = json.loads(out)
    assert len(rows) == 3
    assert {"completion", "outcome", "detail", "family", "title"} <= rows[0].keys()
    assert "iteration" in call("inspect", "first", "--iteration", "2", "--stage", "losses")[1].splitlines()[2]
    code, _, err = call("inspect", "first", "--iteration", "2", "--where", "nosuch = 1")
    assert (code, err.strip().count("\n"), "FAILED HERE" in err) == (2, 0, False)


def test_a_dry_run_writes_nothing_and_says_what_is_reused_and_how_long_the_rest_takes(call, place):
    before = contents(place / "artifacts")
    code, out, err = call(
        "run", "modular", "--experiment", "first", *SETTINGS[2:], "--iterations", "9", "--dry-run", "--json"
    )
    assert code == 0, err
    told = json.loads(out)
    assert (told["estimate"]["work"]["reused"], told["estimate"]["work"]["iterations"]) == (5, 5)
    assert told["estimate"]["source"] == "iterations 1 to 4 of first"
    assert told["estimate"]["seconds"] > 0
    assert "the peak of iterations 1 to 4 of first" in told["estimate"]["memory"]
    code, out, _ = call("run", "modular", "--experiment", "new", "--dry-run")
    settings = out.partition("\nexperiment ")[0]
    (place / "settings.toml").write_text(settings)
    assert load_config(str(place / "settings.toml")) == load_config("modular", name="new")
    code, out, err = call("study", "h1-modular", "--shard", "1/16", "--dry-run", "--json")
    assert (code, len(json.loads(out)["runs"])) == (0, 7), err
    assert contents(place / "artifacts") == before
    assert sorted(path.name for path in (place / "artifacts").iterdir()) == ["first"]


def test_a_wrong_value_is_refused_by_a_dry_run(call):
    code, _, err = call("run", "modular", "--set", "iterations=-1", "--dry-run")
    assert (code, "iterations = -1" in err) == (2, True)


def test_prune_keeps_the_adapter_in_force_and_the_run_goes_on_as_if_nothing_were(copied, call):
    root = str(copied)
    whole = contents(copied)
    for dry in (
        ("prune", "first", "--every", "2"),
        ("delete", "first"),
        ("fork", "first", "--at", "3", "--experiment", "fork"),
    ):
        code, out, err = call(*dry, "--dry-run", "--root", root)
        assert (code, contents(copied) == whole) == (0, True), err
        assert ("would delete" if dry[0] != "fork" else "computed    2 of 5 iterations") in out
    code, out, err = call("prune", "first", "--every", "2", "--yes", "--root", root)
    assert (code, "pruned " in out) == (0, True), err
    left = sorted({path.parents[1].name for path in copied.glob("first/iterations/*/adapter/*")})
    assert left == ["0002", "0004"], left
    assert Experiment.open(root, "first").missing() == []
    assert "nothing to prune" in call("prune", "first", "--every", "2", "--yes", "--root", root)[1]
    said("fork", "first", "--at", "3", "--experiment", "fork", "--root", root, "--set", "modular.learning_rate=0.01")
    code, out, err = call("delete", "first", "--yes", "--root", root)
    assert (code, "deleted first" in out) == (0, True), err
    assert sorted(path.name for path in copied.iterdir()) == ["fork"]
    before = contents(copied / "fork")
    longer = Experiment.open(root, "fork").config.model_copy(update={"iterations": 5})
    without_server(longer, root, Operation(gpu="never"))
    assert before.items() <= contents(copied / "fork").items(), "what the fork shared stays whole"


def test_a_finished_run_that_is_walked_again_and_interrupted_keeps_its_tables(copied, monkeypatch):
    from axiom.flows import experiment as flow

    def interrupted(number, *_):
        if number == 1:
            raise KeyboardInterrupt

    kept = {name: (copied / "first" / name).read_bytes() for name in ("metrics.parquet", "events.parquet")}
    monkeypatch.setattr(flow, "_tell", interrupted)
    with pytest.raises(KeyboardInterrupt):
        flow.without_server(Experiment.open(str(copied), "first").config, str(copied), Operation())
    assert kept == {name: (copied / "first" / name).read_bytes() for name in kept}


def test_what_runs_or_is_replayed_is_not_deleted(copied, call):
    root = str(copied)
    experiment = Experiment.open(root, "first")
    with experiment.locked():
        for command in ("delete", "prune"):
            code, _, err = call(command, "first", "--yes", "--root", root)
            assert (code, "is being written by process" in err) == (2, True), err
    code, _, err = call("delete", "first", "--root", root)
    assert (code, "give --yes" in err) == (2, True), err
    yoked = experiment.config.model_copy(update={"name": "yoked", "arm": "static_rft", "yoke": "first"})
    Experiment.create(root, yoked).save()
    code, _, err = call("delete", "first", "--yes", "--root", root)
    assert (code, "'yoked' replays its schedule" in err) == (2, True), err
    assert Experiment.open(root, "first").last_done() == 4
    assert call("delete", "first", "yoked", "--yes", "--root", root)[0] == 0
    assert list(copied.iterdir()) == []


def test_a_full_disk_stops_with_one_sentence_and_resumes(tmp_path):
    """A real file system of 96 KiB, in a mount namespace of its own so that nothing stays behind."""
    script = """
    mount -t tmpfs -o size=96k tmpfs "$1" && cd "$2"
    shift 2; "$@" --root disk/artifacts; code=$?
    find disk -name '.tmp-*'; exit $code
    """
    disk = tmp_path / "disk"
    disk.mkdir()
    run = [
        sys.executable,
        "-m",
        "axiom.cli",
        "run",
        "--experiment",
        "full",
        "--iterations",
        "2",
        "--set",
        "model.kind=modular",
    ]
    found = subprocess.run(
        [
            "unshare",
            "--mount",
            *([] if os.getuid() == 0 else ["--map-root-user"]),
            "bash",
            "-c",
            script,
            "full",
            str(disk),
            str(tmp_path),
            *run,
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"PREFECT_HOME": str(tmp_path / "prefect")},
        check=False,
    )
    assert found.returncode == 2, found.stderr
    assert "is full; free some space and resume" in found.stderr
    assert ".tmp-" not in found.stdout
