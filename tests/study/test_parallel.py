"""Runs of a study beside each other: what may begin when, what a lost worker costs, and the same tables as in turn."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from hypothesis import given, strategies as st

from axiom.config import ExperimentConfig
from axiom.errors import InfrastructureError
from axiom.experiment import PAUSE, Experiment, differences, iteration_folder
from axiom.flows import study
from axiom.flows.experiment import without_server
from axiom.flows.operation import Operation
from axiom.flows.side_by_side import ATTEMPTS, PAUSED, Schedule, _take, _Worker, _Workers, replayed_first, side_by_side
from axiom.progress import Progress, listen
from axiom.study.parallel import Room, room, shared

ROOT = Path(__file__).parents[2]
EVENTS = st.lists(
    st.tuples(st.sampled_from(["begin", "leads", "done", "fail", "lost"]), st.integers(0, 7)), max_size=80
)


def runs(seeds: int, whole: bool = False) -> list[ExperimentConfig]:
    """Arms of each seed: the expert's, one that replays it, one that does not, and maybe one that needs all of it."""
    planned = []
    for seed in range(seeds):
        expert = f"expert-{seed}"
        planned += [ExperimentConfig(name=f"replay-{seed}", yoke=expert), ExperimentConfig(name=f"alone-{seed}")]
        if whole:
            planned.append(ExperimentConfig(name=f"whole-{seed}", yoke=expert, arm="shuffled_replay"))
        planned.append(ExperimentConfig(name=expert))
    return planned


@given(seeds=st.integers(1, 4), events=EVENTS)
def test_nothing_begins_before_what_it_replays_and_everything_ends(seeds: int, events: Sequence[tuple[str, int]]):
    planned, done = runs(seeds, whole=True), []
    schedule = Schedule(planned, lambda run, result: done.append(run.name))
    running: list[ExperimentConfig] = []
    begun, led = [], set()

    def begin() -> None:
        run = schedule.next()
        if run is not None:
            assert not run.yoke or run.yoke in done or (run.yoke in led and not run.name.startswith("whole"))
            assert not run.yoke or run.yoke in {*done, *(other.name for other in running)}
            running.append(run)
            begun.append(run.name)

    def end_followers(leader: str) -> None:
        for name in schedule.followers(leader):
            schedule.back(name)
            begun.remove(name)
            running[:] = [run for run in running if run.name != name]

    for what, which in events:
        if what == "begin" or not running:
            begin()
            continue
        run = running[which % len(running)]
        if what == "leads":
            schedule.leads(run.name)
            led.add(run.name)
            continue
        if what != "done":
            end_followers(run.name)
        running.remove(run)
        led.discard(run.name)
        getattr(schedule, what)(run.name, {} if what == "done" else "why")
    while not schedule.over:
        begin()
        assert running, "what waits may begin once nothing runs"
        schedule.done(running.pop(0).name, {})  # what others follow ends first
    names = {run.name for run in planned}
    assert set(done) | schedule.failed.keys() == names
    assert not set(done) & schedule.failed.keys()
    assert max(begun.count(name) for name in names) <= ATTEMPTS


def test_runs_that_others_wait_for_go_first():
    schedule = Schedule(runs(3), lambda run, result: None)
    assert [schedule.next().name for _ in range(3)] == ["expert-0", "expert-1", "expert-2"]
    assert schedule.next().name == "alone-0"


def test_arms_take_turns_and_two_runs_of_a_seed_do_not_begin_together():
    """Of two arms for three seeds, one follows its expert; a third arm stands alone."""
    planned = [
        ExperimentConfig(name=f"{arm}-{seed}", seed=seed, arm=arm, yoke="" if arm == "frozen" else yoke)
        for seed in range(3)
        for arm, yoke in (("expert_iteration", ""), ("static_rft", f"expert_iteration-{seed}"), ("frozen", ""))
    ]
    schedule = Schedule(planned, lambda run, result: None)
    assert [schedule.next().name for _ in range(3)] == ["expert_iteration-0", "frozen-1", "expert_iteration-2"]
    schedule.leads("expert_iteration-0")
    assert schedule.next().name == "static_rft-0", "no run of its arm is at work, and its expert has led"
    assert schedule.next().name == "frozen-0", "it waits for nobody, and its seed has begun"
    schedule.leads("frozen-1")
    assert schedule.next().name == "expert_iteration-1"
    assert schedule.next().name == "frozen-2", "nothing else may begin"
    assert schedule.next() is None
    schedule.leads("expert_iteration-1")
    assert schedule.next().name == "static_rft-1"
    schedule.done("expert_iteration-2", {})
    assert schedule.next().name == "static_rft-2"


def test_a_run_follows_its_expert_once_that_has_finished_a_round_and_when_nothing_else_can_begin():
    schedule = Schedule(runs(1, whole=True), lambda run, result: None)
    assert [schedule.next().name for _ in range(2)] == ["expert-0", "alone-0"]
    assert schedule.next() is None
    schedule.leads("expert-0")
    assert schedule.next().name == "replay-0"
    assert schedule.next() is None, "whole-0 needs all of the expert's gold"
    schedule.done("expert-0", {})
    assert schedule.next().name == "whole-0"


@pytest.mark.parametrize(
    "ended", [None, {"error": "EngineError", "text": "gone"}, {"error": "OutOfMemoryError", "text": ""}]
)
def test_what_follows_a_run_that_is_lost_ends_with_it_and_begins_again_after_it(tmp_path, ended):
    """However often that happens: it is not the fault of those that follow."""
    schedule = Schedule(runs(1), lambda run, result: None)
    for attempt in range(ATTEMPTS):
        workers = _Workers(Room(3, "", 1))
        for _ in range(3):
            process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            workers._all.append(_Worker(process, tmp_path))
        expert, alone, follower = workers._all
        expert.run = schedule.next().name
        assert expert.run == "expert-0"
        if attempt == 0:
            alone.run = schedule.next().name
        done = {"iteration": 1, "stage": "done", "done": 1, "total": 1, "unit": ""}
        _take(schedule, workers, expert, {"progress": done})
        follower.run = schedule.next().name
        assert follower.run == "replay-0"
        if ended is None:
            expert.process.kill()
        _take(schedule, workers, expert, ended)
        assert follower not in workers._all
        assert follower.process.returncode == 0, "its input was closed"
        assert ("replay-0" in schedule.failed) == ("expert-0" in schedule.failed)
        for worker in (expert, alone):
            worker.end(0)
        if "expert-0" in schedule.failed:
            break
    assert schedule.failed.keys() == {"expert-0", "replay-0"}
    assert schedule.failed["replay-0"] == "it replays expert-0, which is not done"


def test_a_run_whose_worker_is_lost_is_begun_again_once():
    schedule = Schedule(runs(1), lambda run, result: None)
    for _ in range(ATTEMPTS):
        assert schedule.next().name == "expert-0"
        assert not schedule.failed
        schedule.lost("expert-0", "killed")
    assert schedule.failed == {"expert-0": "killed", "replay-0": "it replays expert-0, which is not done"}
    assert schedule.next().name == "alone-0"


def test_a_run_that_fails_while_it_follows_is_begun_again_once():
    """Its expert may have died a moment before, which it sees sooner than the study."""
    schedule = Schedule(runs(1), lambda run, result: None)
    assert [schedule.next().name for _ in range(2)] == ["expert-0", "alone-0"]
    schedule.leads("expert-0")
    for _ in range(ATTEMPTS):
        assert not schedule.failed
        assert schedule.next().name == "replay-0"
        schedule.fail("replay-0", "has not finished round 2")
    assert schedule.failed == {"replay-0": "has not finished round 2"}


def test_a_part_of_the_machine_changes_no_setting_that_a_result_depends_on():
    config = ExperimentConfig.model_validate({"name": "a", "model": {"path": "smollm2-135m"}})
    part = Room(4, "", cores=3, gpu_share=0.2).of(config)
    assert part.sandbox.workers == 12, "all 12 cores of the machine for a burst"
    assert Room(32, "", cores=2).of(config).sandbox.workers == 8
    assert Room(1, "", cores=2).of(config).sandbox.workers == 2
    assert part.sampling.vllm.gpu_memory_utilization == pytest.approx(0.2)
    assert part.sampling.vllm.replicas == 1
    assert differences(config, part) == {}
    given = part.model_copy(update={"sandbox": part.sandbox.model_copy(update={"workers": 5})})
    assert Room(4, "", cores=3).of(given).sandbox.workers == 5


def test_the_cores_of_a_modular_run_set_the_number():
    modular = ExperimentConfig.model_validate({"model": {"kind": "modular"}})
    cores = len(os.sched_getaffinity(0))
    assert room(modular).runs == cores
    assert room(modular, 3) == Room(3, f"{cores} cores", max(1, cores // 3))
    assert room(ExperimentConfig.model_validate({"model": {"device": "cpu"}})).runs == 1


MODULAR = {"model": {"kind": "modular"}, "modular": {"p": 23, "steps_per_iteration": 2}, "iterations": 2}
SAME = ("problems", "samples", "gold", "adapter", "evaluation")
"""Stages without seconds in their tables."""


def small_study() -> list[ExperimentConfig]:
    """Two seeds of an expert and of one that replays it."""
    return [
        ExperimentConfig.model_validate({"name": f"{arm}-{seed}", "arm": arm, "yoke": yoke, "seed": seed} | MODULAR)
        for seed in (0, 1)
        for arm, yoke in (("expert_iteration", ""), ("static_rft", f"expert_iteration-{seed}"))
    ]


def digests(root: Path) -> dict[str, str]:
    found = {}
    for run in small_study():
        experiment = Experiment.open(str(root), run.name)
        for at in ("problems", *(iteration_folder(number) for number in range(3))):
            for stage in SAME:
                manifest = experiment.stages.manifest(stage, at)
                if manifest is not None:
                    found[f"{run.name}/{at}/{stage}"] = manifest.digest
    return found


def test_a_run_says_what_it_waits_for():
    schedule = Schedule(runs(2), lambda run, result: None)
    assert schedule.next().name == "expert-0"
    said = schedule.waiting("1 of 1 are taken")
    assert said == (
        "waiting: expert-1, alone-0, alone-1 for a slot (1 of 1 are taken); replay-0 for expert-0, replay-1 for "
        "expert-1 (whose schedule it replays)"
    )
    schedule.done("expert-0", {})
    assert "replay-0, alone-0 and 1 more for a slot" in schedule.waiting("").replace("expert-1, ", "", 1)
    schedule.next()
    schedule.leads("expert-1")
    assert schedule.waiting("") == "waiting: replay-0, alone-0, replay-1 and 1 more for a slot ()", "it has led"
    schedule.lost("expert-1", "killed")
    while schedule.next():
        pass
    assert schedule.waiting("") == "waiting: replay-1 for expert-1 (whose schedule it replays)"
    schedule.done("expert-1", {})
    assert schedule.next().name == "replay-1"
    assert schedule.waiting("") == ""


GIB = 1 << 30


@pytest.mark.parametrize(
    ("cores", "free", "asked", "most"),
    [
        (16, [78], None, 8),  # two cores each
        (64, [78], None, 10),  # engines of 6.5 GiB in 90 % of the memory
        (16, [6], None, 1),
        (64, [78, 78], None, 20),
        (64, [78, 20], None, 12),
        (16, [78], 3, 3),
    ],
)
def test_cores_and_the_memory_of_all_gpus_set_the_number(cores, free, asked, most):
    config = ExperimentConfig.model_validate({"model": {"path": "smollm2-135m", "device": "cuda"}})
    taken: list[int] = [0 for _ in free]
    names = tuple(f"GPU-{index}" for index in range(len(free)))
    room = shared(config, asked, cores, names, [part * GIB for part in free], 80 * GIB, lambda: taken)
    assert room.runs == most
    if most == 1:
        return
    assert 1 <= room.at_once <= most
    placed: list[str | None] = []
    for _ in range(most):
        placed.append(room.device(placed))
    assert max(map(placed.count, names)) - min(map(placed.count, names)) <= 1
    assert (room.fit is None) == (asked is not None)
    if room.fit is not None:
        taken[:] = [30 * GIB * (index == 0) for index in range(len(free))]
        running = [3, *(0 for _ in free[1:])]
        assert room.fit(running) == min(most, sum(int(part * 0.9 / (10 * 1.25)) for part in free))
        taken[:] = [3 * GIB for _ in free]
        assert room.fit([3 for _ in free]) == most, "an engine takes what it may, whatever is seen of it"


@pytest.mark.parametrize(
    ("settings", "groups"),
    [
        ({}, ("4", "5", "6", "7")),
        ({"training": {"data_parallel": 2}}, ("4,5", "6,7")),
        ({"training": {"data_parallel": 3}}, ("4,5,6",)),
        ({"training": {"data_parallel": 0}}, ("4", "5", "6", "7")),
        ({"sampling": {"engine": "vllm", "vllm": {"tensor_parallel": 2}}}, ("4,5", "6,7")),
        ({"sampling": {"engine": "vllm", "vllm": {"tensor_parallel": 2, "data_parallel": 2}}}, ("4,5,6,7",)),
    ],
)
def test_each_run_gets_as_many_gpus_as_it_computes_on(monkeypatch, settings, groups):
    free = {0: 78, 1: 70, 2: 60, 3: 50}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda index: (free[index] * GIB, 80 * GIB))
    config = ExperimentConfig.model_validate(
        {"model": {"path": "smollm2-135m"}, "sampling": {"engine": "transformers"}} | settings
    )
    found = room(config, 2)
    assert found.devices == groups
    assert found.runs == 2
    assert len({found.device([None]), found.device([groups[0]])}) == min(2, len(groups))


def test_a_place_on_a_gpu_that_is_given_back_is_taken_next():
    four = Room(4, "", 1, devices=("0", "1"))
    assert four.device([]) == "0"
    assert four.device(["0", "1", "0"]) == "1"
    assert four.device(["1", "1"]) == "0"
    assert Room(4, "", 1).device([None]) is None


def test_the_first_runs_train_before_others_start_beside_them():
    measured = []
    room = Room(6, "", 1, 0.1, at_once=2, fit=lambda running: measured.append(list(running)) or 4, devices=("0", "1"))
    with _Workers(room) as workers:
        first, second = _Worker(None, None, "0"), _Worker(None, None, "1")
        workers._all += [first, second]
        first.run = second.run = "some"
        assert (workers.slots, workers.free) == (2, False)
        assert workers.taken == "2 of 2 are taken, until they show how much memory a run takes"
        workers.has_trained(first)
        workers.has_trained(first)
        assert (workers.slots, measured) == (2, [])
        workers.has_trained(second)
        assert (workers.slots, workers.free, measured) == (4, True, [[1, 1]])
        workers.has_trained(second)
        assert measured == [[1, 1]]
        workers._all.remove(second)
        workers.fewer()
        assert (workers.slots, workers.free) == (1, False)
        assert workers.taken == "1 of 1 are taken, 6 do not fit into memory"
        workers._all.clear()


@pytest.fixture
def workers(monkeypatch, tmp_path):
    """Where Prefect keeps its files in a worker, and which workers there are."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return lambda: [child for child in psutil.Process().children() if "axiom.flows.worker" in child.cmdline()]


@pytest.mark.slow
def test_the_tables_are_those_of_runs_in_turn_though_a_worker_is_killed(tmp_path, workers):
    for run in small_study():
        without_server(run, str(tmp_path / "turn"), Operation(gpu="never"))
    done, said = [], []

    def killing(progress: Progress) -> None:
        said.append(progress.note)
        if progress.stage == "done" and len(said) < 100:
            workers()[0].terminate()
            said.extend([""] * 100)

    with listen(killing):
        side_by_side(small_study(), str(tmp_path / "beside"), Room(2, "", 1), lambda run, result: done.append(run.name))
    assert any("its process ended with status" in note for note in said)
    assert sorted(done) == sorted(run.name for run in small_study())
    assert digests(tmp_path / "beside") == digests(tmp_path / "turn")
    assert len(digests(tmp_path / "turn")) == 4 * (1 + 1 + 2 * 4)
    assert not workers()


@pytest.mark.slow
def test_a_run_that_follows_its_expert_trains_on_what_it_would_have_trained_on_afterwards(tmp_path):
    """The expert stands still from its first round on until it is waited for."""
    settings = MODULAR | {"iterations": 6}
    expert = ExperimentConfig.model_validate({"name": "expert", "seed": 0} | settings)
    script = (
        "import sys\nfrom axiom.config import ExperimentConfig\nfrom axiom.flows.experiment import without_server\n"
        "from axiom.flows.operation import Operation\n"
        "without_server(ExperimentConfig.model_validate_json(sys.argv[1]), sys.argv[2], Operation())"
    )
    environment, waited = os.environ | {"PYTHONPATH": str(ROOT)}, []
    command = [sys.executable, "-c", script, expert.model_dump_json(), str(tmp_path)]
    with subprocess.Popen(command, env=environment) as process:
        while not (tmp_path / "expert" / iteration_folder(1) / "iteration.manifest.json").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGSTOP)

        def wait(progress: Progress) -> None:
            if progress.doing.startswith("waiting for round"):
                waited.append(progress.doing)
                process.send_signal(signal.SIGCONT)

        with listen(wait):
            for name in ("during", "after"):
                run = {"name": name, "arm": "static_rft", "yoke": "expert", "seed": 0} | settings
                without_server(ExperimentConfig.model_validate(run), str(tmp_path), Operation())
    assert waited
    during, after = (Experiment.open(str(tmp_path), name).stages for name in ("during", "after"))
    for number in range(1, 7):
        for name in ("gold", "adapter"):
            found = [stages.manifest(name, iteration_folder(number)).digest for stages in (during, after)]
            assert found[0] == found[1]


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_and_says_how_to_go_on(tmp_path):
    preset = ROOT / "deployments/modular.toml"
    (tmp_path / "pair.toml").write_text(
        f'name = "pair"\npreset = "{preset}"\nseeds = 6\narms = ["expert_iteration", "static_rft"]\n'
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    environment |= {"AXIOM_ROOT": str(tmp_path / "artifacts"), "PREFECT_HOME": str(tmp_path / "prefect")}
    process = subprocess.Popen(
        [sys.executable, "-m", "axiom.cli", "study", "pair.toml", "--parallel", "2"],
        env=environment | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 400
    while time.monotonic() < end and not list(tmp_path.glob("artifacts/pair-*/iterations/0000/*.json")):
        time.sleep(0.05)
    below = psutil.Process(process.pid).children(recursive=True)
    at_work = [child for child in below if "axiom.flows.worker" in child.cmdline()]
    assert len(at_work) == 2
    groups = {os.getpgid(child.pid) for child in at_work}
    assert process.pid not in groups, "where a shell has Ctrl-C ignored for the study, they do not hear of it either"
    at_work[0].suspend()  # one that does not hear of it
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 130, out
    assert "Traceback" not in out
    assert "the same command goes on from there" in out
    assert not psutil.wait_procs(below, timeout=40)[1]


def test_workers_of_two_studies_have_folders_and_logs_of_their_own(monkeypatch, tmp_path):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    one, other = _Workers(Room(2, "", 1)), _Workers(Room(2, "", 1))
    first, output = one.home()
    beside, second = other.home()
    assert (first.name, beside.name) == ("0", "1")
    for last in ("first", "second"):
        print(f"{last} words", file=output)
        output.close()  # as its worker ends
        again, output = one.home()
        assert again == first
    assert (first / "output.log").read_text() == "first words\nsecond words\n"
    output.close()
    assert other.home()[0] == first
    assert not (first / "output.log").read_text(), "of another study"
    second.close()


@pytest.mark.slow
def test_runs_are_spread_over_two_gpus_and_a_failure_is_the_runs_own(tmp_path, workers):
    """In real workers, which are told of GPUs that are not there: a modular run does not look for them."""
    (tmp_path / "broken").write_text("")
    planned = [*small_study(), ExperimentConfig.model_validate({"name": "broken"} | MODULAR)]
    said, done, placed = [], [], {}

    def look(progress: Progress) -> None:
        said.append(progress.note)
        placed.update({worker.pid: worker.environ()["CUDA_VISIBLE_DEVICES"] for worker in workers()})

    with listen(look), pytest.raises(InfrastructureError, match=r"1 of 5 runs are not done, the others are. broken: "):
        side_by_side(
            planned, str(tmp_path), Room(2, "", 1, devices=("3", "5")), lambda run, result: done.append(run.name)
        )
    assert sorted(placed.values()) == ["3", "5"]
    assert sorted(done) == sorted(run.name for run in small_study())
    for seed in (0, 1):
        replay = next(place for place, note in enumerate(said) if note.startswith(f"static_rft-{seed} begins"))
        assert any(note.startswith(f"expert_iteration-{seed} begins") for note in said[:replay]), "which it follows"


def manifests(root: Path, name: str) -> dict[str, dict]:
    """The manifests of a run's problems, base evaluation and first samples, whole."""
    stages = Experiment.open(str(root), name).stages
    places = [("problems", "problems")]
    places += [(stage, iteration_folder(0)) for stage in ("eval_samples", "eval_verdicts", "evaluation", "metrics")]
    places += [(stage, iteration_folder(1)) for stage in ("samples", "verdicts", "history")]
    return {stage: stages.manifest(stage, at).model_dump() for stage, at in places}


def of_arm(name: str, **changes) -> ExperimentConfig:
    return ExperimentConfig.model_validate({"name": name, "arm": name.partition("-")[0]} | MODULAR | changes)


@pytest.mark.slow
def test_what_is_the_same_for_a_seed_is_computed_once_and_has_the_bytes_of_a_run_alone(tmp_path):
    first, second = of_arm("expert_iteration"), of_arm("unverified")
    without_server(second, str(tmp_path / "alone"), Operation(gpu="never"))
    for run in (first, second):
        beside = ("expert_iteration", "unverified", "missing")
        without_server(run, str(tmp_path / "study"), Operation(gpu="never", beside=beside))
    theirs, taken, alone = (
        manifests(tmp_path / place, name)
        for place, name in (("study", first.name), ("study", second.name), ("alone", second.name))
    )
    assert taken == theirs, "the manifests too, seconds included"
    timed = ("eval_verdicts", "metrics", "verdicts")
    for stage in taken.keys() - set(timed):
        assert taken[stage]["files"] == alone[stage]["files"]
        assert taken[stage]["key"] == alone[stage]["key"]
    for number in (1, 2):
        for stage in ("gold", "adapter", "evaluation", "samples"):
            in_study, by_itself = (
                Experiment.open(str(tmp_path / place), second.name).stages.manifest(stage, iteration_folder(number))
                for place in ("study", "alone")
            )
            assert in_study.digest == by_itself.digest


@pytest.mark.slow
def test_another_setting_shares_only_what_does_not_depend_on_it(tmp_path):
    first, hotter = of_arm("expert_iteration"), of_arm("expert_iteration-hot", sampling={"temperature": 2.0})
    other = of_arm("expert_iteration-seed", seed=1)
    for run in (first, hotter, other):
        without_server(run, str(tmp_path), Operation(gpu="never", beside=(first.name,)))
    ours, hot, seed = (manifests(tmp_path, run.name) for run in (first, hotter, other))
    assert hot["problems"] == ours["problems"]
    assert not [stage for stage in ("eval_samples", "samples", "verdicts", "history") if hot[stage] == ours[stage]]
    assert hot["evaluation"] == ours["evaluation"], "greedy answers do not depend on the temperature"
    assert not [stage for stage in ours if seed[stage] == ours[stage]]


@pytest.mark.slow
def test_a_worker_whose_study_is_gone_ends_though_its_shell_ignores_interrupts(tmp_path, workers):
    """As a job in the background of a script does; it would write on, and keep its experiment from the next study."""
    command = [sys.executable, "-m", "axiom.flows.worker"]
    environment = os.environ | {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300"}
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = subprocess.Popen(command, stdin=pipe, stdout=nothing, stderr=nothing, env=environment, text=True)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config = {"name": "long"} | MODULAR | {"iterations": 1000}
    process.stdin.write(json.dumps({"config": config, "root": str(tmp_path), "beside": []}) + "\n")
    process.stdin.flush()
    end = time.monotonic() + 400
    while time.monotonic() < end and not list(tmp_path.glob("long/iterations/0000/*.json")):
        time.sleep(0.05)
    process.stdin.close()
    assert process.wait(100) == 130


@pytest.mark.slow
def test_a_paused_run_is_not_done_nor_are_those_that_replay_it_and_warnings_are_told(tmp_path, workers):
    """In the real worker process; the second time nobody asks for a pause."""
    expert, follower = (
        ExperimentConfig.model_validate(run.model_dump() | {"iterations": 4}) for run in small_study()[:2]
    )
    alone = ExperimentConfig.model_validate(
        MODULAR | {"name": "alone", "seed": 5, "arm": "static_rft", "replay": {"rounds": 2}}
    )
    done: list[str] = []
    said: list[tuple[str, str]] = []

    def look(progress: Progress) -> None:
        if progress.stage == "done" and "done" not in dict(said):
            (tmp_path / expert.name / PAUSE).write_text("")
        if progress.stage != "study":
            said.append((progress.stage, progress.note))

    def study_of_three() -> None:
        side_by_side(
            [expert, follower, alone], str(tmp_path), Room(1, "", 1), lambda run, result: done.append(run.name)
        )

    with listen(look):
        with pytest.raises(InfrastructureError) as stop:
            study_of_three()
        assert done == ["alone"]
        assert str(stop.value) == (
            f"2 of 3 runs are not done, the others are. expert_iteration-0: {PAUSED}; static_rft-0: it replays "
            f"expert_iteration-0, which is not done"
        )
        assert [note for stage, note in said if stage == "pause" and note.startswith("expert_iteration-0: paused; ")]
        assert [note for stage, note in said if stage == "warning" and note.startswith("alone: ") and "replay" in note]
        study_of_three()
    assert sorted(done[1:]) == ["alone", "expert_iteration-0", "static_rft-0"]


def test_in_turn_a_paused_run_is_not_done_nor_are_those_that_replay_it(monkeypatch):
    def ran(run, *_):
        return {"paused": run.name == "expert-0"}

    monkeypatch.setattr(study, "experiment", ran)
    done: list[str] = []
    with pytest.raises(InfrastructureError, match=f"2 of 6 runs are not done, the others are.* {PAUSED}; "):
        study._in_turn(replayed_first(runs(2)), "root", lambda run, result: done.append(run.name))
    assert sorted(done) == ["alone-0", "alone-1", "expert-1", "replay-1"]


def test_runs_that_fail_for_the_same_reason_are_told_together():
    with pytest.raises(InfrastructureError) as stop:
        study.refuse_unless_done({f"run-{number}": "no room" for number in range(5)} | {"other": "gone"}, 6)
    assert str(stop.value) == "6 of 6 runs are not done. run-0, run-1, run-2 and 2 more: no room; other: gone"


@pytest.mark.slow
def test_a_failed_run_is_named_with_those_that_replay_it(tmp_path, workers):
    """In the real worker process: an experiment whose folder is a file cannot be written."""
    (tmp_path / "broken").write_text("")
    planned = [
        ExperimentConfig.model_validate({"name": "broken"} | MODULAR),
        ExperimentConfig.model_validate({"name": "replays", "yoke": "broken", "arm": "static_rft"} | MODULAR),
    ]
    with pytest.raises(InfrastructureError, match=r"2 of 2 runs are not done\. ") as stop:
        side_by_side(planned, str(tmp_path), Room(2, "", 1), lambda run, result: None)
    assert "replays: it replays broken, which is not done" in str(stop.value)
    assert "broken" in str(stop.value).partition("done. ")[2]
