"""A study on a Prefect work pool: each run is a flow run, which any worker of the pool takes, on any machine.

Nothing watches the runs. What is done is in the store, what is to come is on the server, and the same call again
submits what is missing. A run that replays another waits on the server, in no worker's slot, until that one lets it go.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect.states import Scheduled
from prefect.utilities.callables import parameter_schema

from axiom.config import ExperimentConfig
from axiom.credentials import Plain
from axiom.errors import ConfigError
from axiom.experiment import DEFAULT_ROOT, Experiment, ledger
from axiom.flows.experiment import experiment, run_name
from axiom.flows.operation import Operation
from axiom.flows.setup import ENDED, ENVIRONMENT, keep_automation, the_server, zombies
from axiom.flows.side_by_side import replayed_first, siblings
from axiom.flows.workarounds.outage import patiently
from axiom.folders import Folder
from axiom.study import load_study, plan

FLOW = "run of a study"
ENTRYPOINT = "axiom.flows.submit.study_run"
"""A module's name, so that it is found on every machine that has axiom, wherever that lies."""
ATTEMPTS = 5
"""Times that a run is begun whose process or machine is lost; then a person has to look at it."""
BEGINS_WITHIN = timedelta(minutes=15)
"""From a worker's taking a run to its first sign of life; a container's image may have to be fetched in between."""
WAITING = "Waiting"
NEVER = timedelta(days=36_500)
"""When a run that waits for another would begin by itself."""
PAGE = 200


@flow(name=FLOW, flow_run_name=run_name, persist_result=False, validate_parameters=False)
def study_run(config: ExperimentConfig, root: Plain = DEFAULT_ROOT, beside: tuple[Plain, ...] = ()) -> dict[str, Any]:
    """Run, or continue, one experiment of a study; then let those begin that replay it.

    Args:
        config: The whole experiment.
        root: Folder or fsspec URL that holds the experiments, the same for all workers.
        beside: The other runs of its seed, from which it takes what they have computed alike.

    Returns:
        As the flow `experiment`.

    """
    # Queue: after an outage of the server, a run that was taken for dead may still be at work.
    result = experiment.fn(config, root, Operation(overlap="queue", beside=tuple(beside)))
    ledger.write(Experiment.open(root, result["name"]))
    patiently(lambda: _release(root, result["name"]))
    return result


@dataclass(frozen=True)
class Standing:
    """How a submitted run stands: the name of its state, or `Done` where the store has all of it; and why."""

    run: str
    state: str
    why: str = ""


def submit(path: str, root: str, pool: str) -> tuple[list[Standing], str]:
    """Submit to the work pool what is missing of the study; how each run stands now, and where its server shows them.

    Raises as `the_server`, and ConfigError without that pool and for a mistake in the study or in any of its runs.
    """
    study, root = load_study(Path(path)), shared(root)
    planned = [run for seed in range(study.seeds) for run in plan(study, seed)]
    experiments = {run.name: Experiment.create(root, run) for run in planned}
    with the_server() as client:
        deployment = _deployment(client, pool)
        for automation in (zombies(), begin_again(), never_began()):
            keep_automation(client, automation)
        known, lost = _known(client, deployment, root, experiments), dict[str, str]()
        for run in replayed_first(planned):
            ours = known.get(run.name, [])
            if _done(experiments[run.name]) or any(not _ended(one) for one in ours):
                continue
            if ours:
                lost[run.name] = f"begun again; it was {_state(ours[0])}: {_why(ours[0])}"
            parameters = {"root": root, "beside": siblings(planned, run)}
            _create(client, deployment, run, parameters, study.name, len(ours))
        for name in {run.yoke for run in planned if run.yoke}:
            if _done(experiments[name]):  # before its dependents were there to be let go
                _release(root, name)
        known = _known(client, deployment, root, experiments)
    standing = [_standing(experiments[run.name], known.get(run.name, []), lost.get(run.name, "")) for run in planned]
    return standing, f"{get_current_settings().ui_url}/deployments/deployment/{deployment}"


def shared(root: str) -> str:
    """The root as workers in other folders know it."""
    folder = Folder(root)
    return folder.path if folder.local else folder.url


def summary(standing: Sequence[Standing]) -> str:
    """How many runs are in which state, such as `12 runs: 4 Done, 8 Waiting`."""
    counts = Counter(one.state for one in standing)
    return f"{len(standing)} runs: {', '.join(f'{number} {state}' for state, number in counts.most_common())}"


def begin_again() -> AutomationCore:
    """Give a run whose process or machine was lost to the next worker, unless that was done too often."""
    trigger = EventTrigger(
        posture=Posture.Reactive,
        match={
            "prefect.resource.id": "prefect.flow-run.*",
            "prefect.run-count": [str(count) for count in range(1, ATTEMPTS)],
        },
        match_related={"prefect.resource.role": "flow", "prefect.resource.name": FLOW},
        expect={"prefect.flow-run.Crashed"},
        threshold=1,
        within=timedelta(0),
    )
    return _automation(
        "axiom: begin lost runs of studies again", trigger, "Its process was lost; it goes on from its last stage."
    )


def never_began() -> AutomationCore:
    """The same for a run whose worker was lost after it had taken it and before it had begun."""
    lives = {"prefect.flow-run.Running", "prefect.flow-run.heartbeat"}
    trigger = EventTrigger(
        posture=Posture.Proactive,
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related={"prefect.resource.role": "flow", "prefect.resource.name": FLOW},
        for_each={"prefect.resource.id"},
        after={"prefect.flow-run.Pending"},
        expect={*lives, *(f"prefect.flow-run.{state}" for state in ENDED)},
        threshold=1,
        within=BEGINS_WITHIN,
    )
    message = f"A worker took it and did not begin it within {BEGINS_WITHIN}; it is given to the next."
    return _automation("axiom: give runs of studies that did not begin to another worker", trigger, message)


def _automation(name: str, trigger: EventTrigger, message: str) -> AutomationCore:
    action = ChangeFlowRunState(state=StateType.SCHEDULED, name="AwaitingRetry", message=message, force=False)
    return AutomationCore(name=name, description=message, enabled=True, trigger=trigger, actions=[action])


def _deployment(client: SyncPrefectClient, pool: str) -> UUID:
    try:
        client.read_work_pool(pool)
    except ObjectNotFound:
        known = ", ".join(one.name for one in client.read_work_pools()) or "none yet"
        raise ConfigError(
            f"the server has no work pool {pool!r}; there: {known}; `axiom setup` makes cpu and gpu, and "
            f"`prefect work-pool create {pool} --type process` one of that name"
        ) from None
    return client.create_deployment(
        client.create_flow(study_run),
        f"on {pool}",
        description="Runs of studies that `axiom study --submit` gives to this pool.",
        entrypoint=ENTRYPOINT,
        work_pool_name=pool,
        tags=["axiom"],
        parameter_openapi_schema=parameter_schema(study_run).model_dump(),
        enforce_parameter_schema=True,
        job_variables={"env": ENVIRONMENT},
    )


def _create(
    client: SyncPrefectClient,
    deployment: UUID,
    run: ExperimentConfig,
    parameters: dict[str, Any],
    study: str,
    before: int,
) -> None:
    """A flow run of `run`, which had `before` others; made once, though two submit at the same time."""
    client.create_flow_run_from_deployment(
        deployment,
        name=run.name,
        parameters={"config": run.model_dump(mode="json"), **parameters},
        tags=[_tag(study), *([_replays(run.yoke)] if run.yoke else ())],
        state=_waiting(run.yoke) if run.yoke else Scheduled(),
        idempotency_key=f"{parameters['root']} {run.name} {before}",
    )


def _waiting(expert: str) -> State[Any]:
    state: State[Any] = Scheduled(scheduled_time=datetime.now(UTC) + NEVER, name=WAITING)
    state.message = f"It waits for {expert}, whose schedule it replays."
    return state


def _release(root: str, name: str) -> None:
    """Let those begin that replay the run `name`, which is done."""
    with get_client(sync_client=True) as client:
        for run in list(_runs(client, flow_run_filter=_tagged(_replays(name)))):
            if run.parameters.get("root") == root and run.state is not None and run.state.name == WAITING:
                begins: State[Any] = Scheduled()
                begins.message = f"{name} is done."
                client.set_flow_run_state(run.id, begins)


def _known(
    client: SyncPrefectClient, deployment: UUID, root: str, experiments: dict[str, Experiment]
) -> dict[str, list[FlowRun]]:
    """Flow runs of each experiment under this root, the newest first."""
    found: dict[str, list[FlowRun]] = {}
    of_pool = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
    for run in _runs(client, deployment_filter=of_pool):
        name = (run.parameters.get("config") or {}).get("name")
        if name in experiments and run.parameters.get("root") == root:
            found.setdefault(name, []).append(run)
    return {name: sorted(runs, key=lambda one: str(one.created), reverse=True) for name, runs in found.items()}


def _runs(client: SyncPrefectClient, **wanted: Any) -> Iterator[FlowRun]:
    offset = 0
    while page := client.read_flow_runs(**wanted, sort=FlowRunSort.ID_DESC, limit=PAGE, offset=offset):
        yield from page
        offset += len(page)


def _tagged(tag: str) -> FlowRunFilter:
    return FlowRunFilter(tags=FlowRunFilterTags(all_=[tag]))


def _tag(study: str) -> str:
    return f"study {study}"


def _replays(name: str) -> str:
    return f"replays {name}"


def _done(found: Experiment) -> bool:
    return found.last_done() >= found.config.iterations


def _ended(run: FlowRun) -> bool:
    return run.state is None or run.state.is_final()


def _state(run: FlowRun) -> str:
    return (run.state.name if run.state else None) or "Unknown"


def _why(run: FlowRun) -> str:
    return (run.state.message if run.state else None) or ""


def _standing(found: Experiment, runs: Sequence[FlowRun], lost: str) -> Standing:
    name = found.config.name
    if _done(found):
        return Standing(name, "Done")
    state, why = _state(runs[0]), _why(runs[0])
    return Standing(name, state, why if state == WAITING else lost)
