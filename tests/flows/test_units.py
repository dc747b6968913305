"""What operators read and fill in: the form, the artifacts, the waiting, without a server."""

import asyncio
import copy
import functools
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import entry_points
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.exceptions import TerminationSignal
from prefect.utilities.callables import parameter_schema
from sqlalchemy import text

from axiom.config import ExperimentConfig, load_config
from axiom.errors import ConfigError, InfrastructureError, RegressionError, StorageError
from axiom.flows import operation, pages
from axiom.flows.experiment import experiment
from axiom.flows.report import report
from axiom.flows.setup import move_working_dir
from axiom.flows.smoke import gain, smoke
from axiom.flows.workarounds import mistakes, witness
from axiom.flows.workarounds.outage import patiently
from axiom.records import Metric
from axiom.tasks import stage
from tests.rows import metric_row

REPOSITORY = Path(__file__).parents[2]


def fields(schema: dict) -> dict[str, dict]:
    """Every leaf of the form by its dotted name."""
    found: dict[str, dict] = {}

    def walk(properties: dict, above: str) -> None:
        for name, field in properties.items():
            section = field.get("$ref", "").rpartition("/")[2]
            if section:
                assert schema["definitions"][section]["description"], section
                walk(schema["definitions"][section]["properties"], f"{above}{name}.")
            else:
                found[above + name] = field

    walk(schema["properties"], "")
    return found


@pytest.mark.parametrize("flow", [experiment, smoke, report], ids=lambda flow: flow.name)
def test_every_field_of_the_form_has_a_description_and_a_default(flow):
    leaves = fields(parameter_schema(flow).model_dump_for_openapi())
    assert [name for name, field in leaves.items() if not field.get("description")] == []
    assert [name for name, field in leaves.items() if "default" not in field] in ([], ["name"])


def test_the_form_has_every_field_of_the_config_with_its_bounds():
    from axiom.config import all_keys

    leaves = fields(parameter_schema(experiment).model_dump_for_openapi())
    assert {f"config.{key}" for key in all_keys()} <= set(leaves)
    assert leaves["config.sampling.temperature"]["maximum"] == 4.0
    assert leaves["config.sampling.temperature"]["description"].endswith(" Above 0, at most 4.")
    assert leaves["config.problems.difficulty"]["prefixItems"][0]["minimum"] == 1


class Kept(logging.Handler):
    """What was logged, as text."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


def logged(error: Exception) -> list[str]:
    """What Prefect's loggers keep of an exception that passes through task and flow."""
    kept = Kept()
    for name in mistakes.LOGGERS:
        logger = logging.getLogger(name)
        logger.addHandler(kept)
        try:
            raise error
        except type(error):
            logger.exception("Encountered exception during execution")
        finally:
            logger.removeHandler(kept)
    return kept.texts


def test_a_mistake_is_one_sentence_in_a_run_s_log_and_a_bug_keeps_its_traceback():
    run = FlowRun(flow_id=uuid4(), deployment_id=uuid4())
    with FlowRunContext.model_construct(flow_run=run):
        assert logged(ConfigError("a = 1 is wrong; set a")) == ["a = 1 is wrong; set a"]
        assert logged(StorageError("the disk is full")) == ["the disk is full"]
        bugs = logged(KeyError("a bug"))
    assert len(bugs) == len(mistakes.LOGGERS)
    assert all("Traceback" in text for text in bugs)
    assert logged(ConfigError("the command line prints it itself")) == []


def metric(iteration: int, split: str, value: float) -> Metric:
    return metric_row(
        iteration=iteration,
        split=split,
        name="accuracy",
        value=value,
        low=value - 0.1,
        high=value + 0.1,
        n=50,
    )


def test_the_chart_stays_small_and_shows_first_and_last_point():
    from axiom.evaluation import GREEDY

    rows = [
        metric(i, split, i / 1000).model_copy(update={"name": GREEDY})
        for i in range(1001)
        for split in ("train", "val", "test")
    ]
    svg = pages.chart(rows)
    assert len(svg) < 40_000
    assert all(f">{words}</text>" in svg for words in ("training", "validation", "test", "0", "1000"))
    assert pages.chart([]).startswith("<svg")


def test_thinning_keeps_order_and_the_latest():
    rows = [metric(i, "val", 0.5) for i in range(1000)]
    kept = pages.thinned(rows, 100)
    assert kept[-1] is rows[-1]
    assert [r.iteration for r in kept] == sorted(r.iteration for r in kept)
    assert len(kept) <= 101


@pytest.mark.parametrize(("name", "expected"), [("grokking_v1", "grokking-v1"), ("A.b__C-", "a-b-c")])
def test_artifact_keys_are_what_the_server_accepts(name, expected):
    assert pages.slug(name) == expected


def test_a_lost_server_is_waited_for_and_anything_else_is_raised(monkeypatch):
    monkeypatch.setattr("axiom.flows.workarounds.outage.POLL_SECONDS", 0.01)
    answers = [httpx.ConnectError("refused"), RuntimeError("Failed to reach API"), None]
    answers[1].__cause__ = httpx.ReadTimeout("slow")

    def call():
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return "done"

    assert patiently(call) == "done"
    with pytest.raises(RuntimeError, match="a bug"):
        patiently(lambda: (_ for _ in ()).throw(RuntimeError("a bug")))
    with pytest.raises(httpx.ConnectError):
        patiently(lambda: (_ for _ in ()).throw(httpx.ConnectError("gone")), patience_seconds=0.05)


def test_light_stages_retry_machines_but_not_mistakes(monkeypatch):
    monkeypatch.setattr(stage, "RETRY_DELAYS_SECONDS", [0.0, 0.0])
    calls = []

    def fails(error):
        calls.append(error)
        raise error

    with pytest.raises(StorageError):
        stage.retried(lambda: fails(StorageError("full")))
    assert len(calls) == 3
    with pytest.raises(ValueError):
        stage.retried(lambda: fails(ValueError("bug")))
    assert len(calls) == 4


def test_the_slot_names_host_and_card(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")
    assert operation.slot().endswith(":3")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert operation.slot().endswith(":0")


def test_only_runs_on_a_gpu_hold_it_unless_told_otherwise():
    cpu = load_config(REPOSITORY / "deployments/modular.toml")
    assert not operation.needs_gpu(cpu, operation.Operation())
    assert operation.needs_gpu(cpu, operation.Operation(gpu="always"))
    language = ExperimentConfig.model_validate({"model": {"device": "cpu"}})
    assert not operation.needs_gpu(language, operation.Operation())


HOLD = """
import sys
from axiom.config import ExperimentConfig
from axiom.progress import listen
from axiom.flows.operation import Operation, gpu
config, told = ExperimentConfig(name="mine"), listen(lambda progress: print(progress.note, flush=True))
with told, gpu(config, Operation(gpu="always")):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_a_second_holder_of_the_gpu_says_whom_it_waits_for_and_waits(tmp_path):
    """Another user, with another temporary folder that cannot even be written; the first is killed, the rest leave."""
    other = ["unshare", "--user", "--map-user=12345", "env", f"HOME={tmp_path}", f"TMPDIR={tmp_path}/no"]
    card = f"CUDA_VISIBLE_DEVICES={os.getpid()}"  # one that no other test on this machine asks for
    python = [sys.executable, "-c", HOLD]
    start = functools.partial(
        subprocess.Popen, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    first = start(["env", card, *python])
    second = third = None
    try:
        assert first.stdout.readline() == "held\n"
        second = start([*other, card, *python])
        says = second.stdout.readline()
        assert f"waiting for {operation.slot(os.getpid())}, which process {first.pid} with experiment 'mine'" in says
        first.kill()
        assert second.stdout.readline() == "held\n", "it said so once"
        third = start(["env", card, *python])
        assert f"which process {second.pid}" in third.stdout.readline()
        second.stdin.close()
        assert third.stdout.readline() == "held\n"
        third.stdin.close()
        assert (second.wait(30), third.wait(30)) == (0, 0)
    finally:
        for process in filter(None, (first, second, third)):
            process.kill()
            process.wait()


def test_who_has_had_the_gpu_can_have_it_again(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", str(os.getpid()))
    held = 0
    for _ in range(3):
        with operation.gpu(ExperimentConfig(), operation.Operation(gpu="always")):
            held += 1
    assert held == 3


def measured(values: list[float], split: str = "val", family: str | None = None) -> list[Metric]:
    return [
        metric_row(
            iteration=i,
            split=split,
            family=family,
            name="greedy_accuracy",
            value=value,
            low=0.0,
            high=1.0,
            n=10,
        )
        for i, value in enumerate(values)
    ]


def test_a_run_that_no_longer_learns_is_no_failure_of_a_machine():
    others = measured([0.0, 1.0], split="train") + measured([0.0, 1.0], family="rpn")
    assert gain([*others, *reversed(measured([0.1, 0.9, 0.4]))], 0.3, "page") == pytest.approx(0.3)
    with pytest.raises(RegressionError, match=r"from 0.10 to 0.39, a rise below 0.3: .* compare page") as caught:
        gain([*others, *measured([0.1, 0.9, 0.39])], 0.3, "page")
    assert not isinstance(caught.value, InfrastructureError)
    tried = []
    with pytest.raises(RegressionError):
        stage.retried(lambda: tried.append(1) or gain(measured([0.1, 0.1]), 0.3, "page"))
    assert tried == [1]


def test_a_pool_follows_a_checkout_that_moved_and_no_other_folder(tmp_path):
    def pool(folder: str | None) -> dict:
        return {"variables": {"properties": {"working_dir": {"default": folder}, "env": {"default": {"A": "b"}}}}}

    moved = pool(str(tmp_path / "gone"))
    assert f"{tmp_path / 'gone'} is gone" in move_working_dir(moved)
    assert moved == pool(str(REPOSITORY))
    for kept in (pool(str(tmp_path)), pool(None), {"variables": {"properties": {}}}, {}):
        before = copy.deepcopy(kept)
        assert (move_working_dir(kept), kept) == ("", before)


@pytest.mark.parametrize("asked", [TerminationSignal(signal=15), KeyboardInterrupt()])
@pytest.mark.parametrize("cause", [None, OSError("refused")])
def test_a_run_that_is_asked_to_end_does_not_wait_for_the_server_that_ended_with_it(asked, cause) -> None:
    def call() -> None:
        try:
            raise asked
        except type(asked):
            raise httpx.ConnectError("the server has ended as well") from cause

    began = time.monotonic()
    with pytest.raises(httpx.ConnectError):
        patiently(call, patience_seconds=60)
    assert time.monotonic() - began < 5


def writers(database: Path, count: int) -> list[int]:
    """What that many transactions wrote that each read before they wrote."""
    from prefect.server.database.configurations import AioSqliteConfiguration

    configuration = AioSqliteConfiguration(connection_url=f"sqlite+aiosqlite:///{database}")

    async def add(engine) -> None:
        session = await configuration.session(engine)
        async with session, configuration.begin_transaction(session):
            seen = (await session.execute(text("SELECT count(*) FROM seen"))).scalar()
            await asyncio.sleep(0.01)
            inner = await configuration.session(engine)
            async with inner, configuration.begin_transaction(inner):
                await inner.execute(text("SELECT 1"))
            await session.execute(text("INSERT INTO seen VALUES (:seen)"), {"seen": seen})

    async def all_of_them() -> list[int]:
        engine = await configuration.engine()
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE seen (number INTEGER)"))
        await asyncio.gather(*(add(engine) for _ in range(count)))
        async with engine.connect() as connection:
            return [row[0] for row in await connection.execute(text("SELECT number FROM seen"))]

    return asyncio.run(all_of_them())


def test_the_servers_writers_take_turns(tmp_path):
    """Without the plug-in all but one of them fail: the database is locked."""
    from prefect.server.database.configurations import AioSqliteConfiguration

    from axiom.flows.workarounds import sqlite

    assert AioSqliteConfiguration.begin_transaction is sqlite.begin_in_turn
    assert sorted(writers(tmp_path / "test.db", 8)) == list(range(8))


def test_an_automation_s_change_does_not_wait_for_whoever_looks_for_changes(monkeypatch):
    """Without the plug-in the server's event loop stands still for good."""
    from prefect.server.events import triggers
    from prefect.server.events.models.automations import _notify
    from prefect.server.events.schemas.automations import Automation
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    monkeypatch.setattr(triggers, "__automations_lock", None)
    automation = Automation.model_construct(id=uuid4())
    seen = []

    async def noted(identity, event) -> None:
        async with triggers._automations_lock():
            seen.append((identity, event))

    async def change() -> None:
        engine = create_async_engine("sqlite+aiosqlite://")
        async with AsyncSession(engine) as session:
            await session.execute(text("SELECT 1"))
            async with triggers._automations_lock():  # as `reconcile_automations` holds it
                await _notify(session, automation, "created")
                await session.commit()
            await asyncio.sleep(0.1)
        await engine.dispose()

    monkeypatch.setattr(triggers, "automation_changed", noted)
    changing = threading.Thread(target=lambda: asyncio.run(change()), daemon=True)
    changing.start()
    changing.join(20)
    assert seen == [(automation.id, "automation__created")]


def test_the_server_loads_the_plug_in():
    [plug_in] = entry_points(group="prefect.collections", name="axiom")
    from axiom.flows.workarounds import sqlite

    assert plug_in.load() is sqlite


@pytest.mark.slow
def test_a_run_outlives_the_reader_of_its_output():
    code = (
        "import sys\nfrom prefect.logging import get_logger\n"
        "from axiom.flows.workarounds.outage import outliving_the_worker\n"
        "with outliving_the_worker():\n    print('begun', file=sys.stderr, flush=True)\n    sys.stdin.read()\n"
        "    print('unheard', flush=True)\n    print('unheard', file=sys.stderr, flush=True)\n"
        "    get_logger('flow_runs').error('unheard')\n    import os; os._exit(7)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr.readline() == "begun\n"
    child.stdout.close()
    child.stderr.close()
    child.stdin.close()
    assert child.wait(20) == 7


TAKES_THE_LAST = """
import signal, sys, time
left = int(sys.argv[1])
def count(number, frame):
    global left
    left -= 1
    if not left:
        sys.exit(7)
signal.signal(signal.SIGTERM, count)
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.mark.parametrize(("signals", "status"), [(1, 7), (2, 7), (1000, -signal.SIGKILL)])
def test_a_run_that_loses_a_signal_is_asked_again_before_it_is_killed(monkeypatch, signals, status):
    monkeypatch.setattr(witness, "AGAIN_SECONDS", 0.3)
    monkeypatch.setattr(witness, "GRACE_SECONDS", 1.0)
    command = [sys.executable, "-c", TAKES_THE_LAST, str(signals)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        handle = os.pidfd_open(process.pid)
        witness.end_process(handle)
        os.close(handle)
        assert process.wait() == status


@pytest.mark.parametrize(("status", "found"), [(404, "DELETED"), (503, "away")])
def test_a_run_that_was_deleted_is_told_from_a_server_that_is_busy(status, found):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(status)

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        try:
            state = witness.look(f"http://127.0.0.1:{server.server_port}", {}, "run")
        except OSError:
            state = "away"
    assert state == found
