"""Prepare a Prefect server, as often as one likes: pools, GPU slots, automations, deployments."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from json import JSONDecodeError
from pathlib import Path
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate, WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events.actions import ChangeFlowRunState, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect.workers.process import ProcessWorker

from axiom.config import find_preset, load_config
from axiom.config.presets import PACKAGE
from axiom.errors import ConfigError, InfrastructureError
from axiom.flows.operation import slot

REPOSITORY = Path(__file__).resolve().parents[1]
HOME = REPOSITORY if (REPOSITORY / "pyproject.toml").exists() else Path.cwd()
"""Where runs start: the checkout, or for an installed copy the folder in which `axiom setup` is called."""
POOLS = {"cpu": "Experiments on the CPU, and everything small", "gpu": "Experiments that hold a GPU"}
HEARTBEAT_SECONDS = 30
MISSED_HEARTBEATS = 5
"""So many that a minute without the server, and the time it takes to start, crash no run that is alive."""
ENVIRONMENT = {
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
    "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "WARNING",  # each state's message says the same
}
"""Of every run that the pools' workers start."""
ENDED = ("Completed", "Failed", "Crashed", "Cancelled", "Cancelling", "Paused", "Suspended", "AwaitingRetry")
NOTIFIED = {
    "failed": ("prefect.flow-run.Failed", "{{ flow_run.name }} failed", "{{ flow_run.state.message }}"),
    "crashed": ("prefect.flow-run.Crashed", "{{ flow_run.name }} crashed", "{{ flow_run.state.message }}"),
    "transition": (
        "axiom.alarm",
        "{{ event.resource['name'] }}: transition",
        "iteration {{ event.payload['iteration'] }}: {{ event.payload['detail'] }}",
    ),
}
"""What the notification blocks receive: the event, the subject and the body."""


def prepare(gpus: int, notify: Sequence[str], deploy: bool) -> list[str]:
    """Make the server ready and say, line by line, what it has now.

    `gpus` is the number of slots of this host, `notify` are notification blocks as `type/name`.
    Raises ConfigError when no server is configured or a block does not exist.
    """
    with the_server() as client:
        lines = [_pool(client, name, text) for name, text in POOLS.items()]
        lines += [_slot(client, slot(index)) for index in range(gpus)]
        wanted = [zombies(), *(notification(client, block, name) for block in notify for name in NOTIFIED)]
        lines += [keep_automation(client, automation) for automation in wanted]
    return lines + (_deploy() if deploy else [])


@contextmanager
def the_server() -> Iterator[SyncPrefectClient]:
    """A client of the server at PREFECT_API_URL.

    Raises ConfigError where that is not set, and InfrastructureError where nothing answers.
    """
    url = get_current_settings().api.url
    if not url:
        raise ConfigError(
            "PREFECT_API_URL is not set, so no server can be asked; start one with `prefect server start` and set "
            "PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
    try:
        with get_client(sync_client=True) as client:
            yield client
    except (httpx.TransportError, JSONDecodeError) as error:
        raise InfrastructureError(
            f"no Prefect server answers at PREFECT_API_URL = {url} ({error}); start it with `prefect server start`, or "
            f"name another; its address ends in /api"
        ) from None


def preset(path: str) -> dict[str, Any]:
    """A preset's config as a build step of prefect.yaml: `{{ <id>.config }}` is a deployment's parameter.

    `path` is a file relative to the folder of the runs, or the name of a preset.
    """
    return {"config": load_config(find_preset(path, HOME)).model_dump(mode="json")}


def _pool(client: SyncPrefectClient, name: str, description: str) -> str:
    template = ProcessWorker.get_default_base_job_template()
    variables = template["variables"]["properties"]
    variables["env"]["default"] = ENVIRONMENT
    # Without one, each run starts in a temporary folder, which a quick retry was seen to lose under its feet.
    variables["working_dir"]["default"] = str(HOME)
    try:
        kept = client.read_work_pool(name).base_job_template or template
        moved = move_working_dir(kept)
        client.update_work_pool(name, WorkPoolUpdate(description=description, base_job_template=kept))
        return f"work pool {name}: there{moved}"
    except ObjectNotFound:
        pool = WorkPoolCreate(name=name, type="process", description=description, base_job_template=template)
        client.create_work_pool(pool)
        return f"work pool {name}: made"


def move_working_dir(template: dict[str, Any]) -> str:
    """Point a pool's template at this folder if the one that it names is gone; returns what to say of it.

    A folder that an operator chose and that is there stays.
    """
    field = template.get("variables", {}).get("properties", {}).get("working_dir")
    before = field and field.get("default")
    if not before or Path(before).is_dir():
        return ""
    field["default"] = str(HOME)
    return f"; its runs start in {HOME} now, as {before} is gone"


def _slot(client: SyncPrefectClient, name: str) -> str:
    client.upsert_global_concurrency_limit_by_name(name, 1)
    client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(active=True))
    return f"GPU slot {name}: there"


def zombies() -> AutomationCore:
    """Mark a run crashed when its heartbeats stop: its process died together with the worker that watched it."""
    beat, seconds = "prefect.flow-run.heartbeat", HEARTBEAT_SECONDS * MISSED_HEARTBEATS
    trigger = EventTrigger(
        posture=Posture.Proactive,
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related={},
        for_each={"prefect.resource.id"},
        threshold=1,
        within=timedelta(seconds=seconds),
        after={beat},
        expect={beat, *(f"prefect.flow-run.{state}" for state in ENDED)},
    )
    message = f"No heartbeat for {seconds} seconds: its process is gone. Retry continues from the first stage not done."
    return AutomationCore(
        name="axiom: crash runs whose heartbeats stopped",
        description=message,
        enabled=True,
        trigger=trigger,
        actions=[ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=message, force=False)],
    )


def notification(client: SyncPrefectClient, block: str, name: str) -> AutomationCore:
    """Tell the notification block `type/name` of the runs that fail or crash, or of a detected transition."""
    kind, _, document = block.partition("/")
    try:
        found = client.read_block_document_by_name(document, kind)
    except ObjectNotFound:
        raise ConfigError(
            f"there is no notification block {block!r}; make it in the UI under Blocks and name it as type/name, "
            f"like custom-webhook/ops"
        ) from None
    event, subject, body = NOTIFIED[name]
    trigger = EventTrigger(
        posture=Posture.Reactive, match={}, match_related={}, expect={event}, threshold=1, within=timedelta(0)
    )
    action = SendNotification(block_document_id=found.id, subject=subject, body=body)
    return AutomationCore(
        name=f"axiom: tell {block} of {name}", enabled=True, trigger=trigger, actions=[action], description=subject
    )


def keep_automation(client: SyncPrefectClient, wanted: AutomationCore) -> str:
    """Make the automation, or change it if it is another: a change forgets which runs it waits for to beat again."""
    known = client.read_automations_by_name(wanted.name)
    for automation in known:
        if _meaning(automation) != _meaning(wanted):
            client.update_automation(automation.id, wanted)
    if not known:
        client.create_automation(wanted)
    return f"automation {wanted.name!r}: {'there' if known else 'made'}"


def _meaning(automation: AutomationCore) -> dict[str, Any]:
    """In Python's own types: a trigger's events are sets, and as JSON they are lists in each process's own order."""
    return automation.model_dump(mode="python", include=set(AutomationCore.model_fields), exclude={"trigger": {"id"}})


def _deploy() -> list[str]:
    with get_client(sync_client=True) as client:
        before = client.read_deployments(limit=200)
    own = HOME / "prefect.yaml"
    wanted = str(own if own.exists() else PACKAGE / "prefect.yaml")
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", wanted]
    done = subprocess.run(command, cwd=HOME, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise InfrastructureError(f"`prefect deploy --all` failed: {(done.stdout + done.stderr)[-2000:]}")
    with get_client(sync_client=True) as client:
        for deployment in before:
            _rest(client, deployment)
        names = sorted(deployment.name for deployment in client.read_deployments(limit=200))
    return [f"deployment {name}: there" for name in names]


def _rest(client: SyncPrefectClient, before: DeploymentResponse) -> None:
    """Pause again what a person had paused: Prefect creates schedules again and starts deployments that rested."""
    if before.paused:
        client.pause_deployment(before.id)
    resting = [schedule.schedule for schedule in before.schedules if not schedule.active]
    for schedule in client.read_deployment_schedules(before.id) if resting else ():
        if schedule.schedule in resting:
            client.update_deployment_schedule(before.id, schedule.id, active=False)
