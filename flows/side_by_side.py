"""The runs of a study beside each other, each in a worker process whose model stays loaded from run to run.

A run that replays another's schedule follows it, a round behind; of an arm, runs that others follow go first. Arms
take turns. A worker that dies costs its round: its run is begun again by another, and what follows it begins again
after it. A run that fails leaves the others alone. When memory runs out, one worker fewer goes on.
"""

import fcntl
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TextIO

from axiom.config import ExperimentConfig
from axiom.environment import prefect_home
from axiom.errors import InfrastructureError, OutOfMemoryError
from axiom.flows.workarounds.alive import end_if_suspended
from axiom.flows.workarounds.outage import patiently
from axiom.flows.worker import VLLM
from axiom.progress import Progress, report
from axiom.selection.arms import ARMS
from axiom.study.parallel import Room
from axiom.study.sharing import kernels_together
from axiom.words import few

ATTEMPTS = 2
"""Times that a run is begun whose worker died."""
KILLED_BY_MEMORY = -9
"""How a process ends that the kernel ends for its memory."""
PATIENCE_SECONDS = 15.0
"""How long workers may take to end. What a stage has not finished is lost in any case."""

SHOWN = 3
"""Runs that are named where several wait, or have failed for the same reason."""
PAUSED = "it was paused, and the same command goes on with it"
"""Why a run is not done that `axiom pause` ended."""

Result = dict[str, Any]


def side_by_side(
    planned: Sequence[ExperimentConfig], root: str, room: Room, done: Callable[[ExperimentConfig, Result], None]
) -> None:
    """Run all of them, and call `done` after each. Raises InfrastructureError, at the end, with those that failed."""
    schedule, told = Schedule(planned, done), ""
    together: AbstractContextManager[dict[str, str]] = nullcontext({}) if room.gpu_share is None else kernels_together()
    with together as environment, _Workers(room, environment) as workers:
        if environment:
            say("their kernels share the GPU at the same time, through MPS")
        while not schedule.over:
            _give(schedule, workers, root, room)
            waiting = schedule.waiting(workers.taken)
            if waiting != told:
                say(waiting or "no run waits")
                told = waiting
            _take(schedule, workers, *workers.next_message())
            patiently(end_if_suspended)
    refuse_unless_done(schedule.failed, len(planned))


def refuse_unless_done(failed: Mapping[str, str], runs: int) -> None:
    """Raise InfrastructureError if any of so many runs has `failed`: by the run's name, why it is not done."""
    if not failed:
        return
    names: dict[str, list[str]] = {}
    for name, why in failed.items():
        names.setdefault(why, []).append(name)
    told = "; ".join(f"{few(same, SHOWN)}: {why}" for why, same in names.items())
    others = ", the others are" if len(failed) < runs else ""
    raise InfrastructureError(f"{len(failed)} of {runs} runs are not done{others}. {told}")


class Schedule:
    """What is to run, what may begin, and what came of it; `done` is called for each run that is."""

    def __init__(self, planned: Sequence[ExperimentConfig], done: Callable[[ExperimentConfig, Result], None]) -> None:
        self._tell, self._planned = done, planned
        self._waiting = replayed_first(planned)
        self._running: dict[str, ExperimentConfig] = {}
        self._begun: dict[str, int] = {}
        self._names = {run.name for run in planned}
        self._led: set[str] = set()
        self._made: set[int] = set()  # seeds of which a run has finished a round
        self._done: set[str] = set()
        self.failed: dict[str, str] = {}

    @property
    def over(self) -> bool:
        """Whether nothing runs or waits."""
        return not self._waiting and not self._running

    def next(self) -> ExperimentConfig | None:
        """A run that may begin now, taken from those that wait; None when there is none.

        Of the arm that the fewest runs are at: arms load GPU and cores differently, and not all at the same time. Two
        runs of a seed do not begin together, since the second takes over what the first has made; and one that
        follows a run that goes on begins when no other of its arm can.
        """
        ready = [run for run in self._waiting if self._may_begin(run)]
        arms = Counter(run.arm for run in self._running.values())
        beginning = {run.seed for run in self._running.values()} - self._made
        run = min(ready, key=lambda run: (run.seed in beginning, arms[run.arm], self._bound(run)), default=None)
        if run is not None:
            self._waiting.remove(run)
            self._running[run.name] = run
            self._begun[run.name] = self._begun.get(run.name, 0) + 1
        return run

    def leads(self, name: str) -> None:
        """A run has finished a round, and with it what its seed's runs have in common: others may follow it."""
        if name in self._running:
            self._led.add(name)
            self._made.add(self._running[name].seed)

    def followers(self, name: str) -> list[str]:
        """The runs that follow `name`, if it goes on."""
        return [run.name for run in self._running.values() if run.yoke == name] if name in self._running else []

    def back(self, name: str) -> None:
        """A run waits again, which was begun in vain."""
        self._begun[name] -= 1
        self._waiting.insert(0, self._running.pop(name))

    def _bound(self, run: ExperimentConfig) -> bool:
        return run.yoke in self._names - self._done

    def _may_begin(self, run: ExperimentConfig) -> bool:
        return not self._bound(run) or (run.yoke in self._led and not ARMS[run.arm].whole)

    def siblings(self, run: ExperimentConfig) -> tuple[str, ...]:
        """The other runs of its seed."""
        return siblings(self._planned, run)

    def waiting(self, taken: str) -> str:
        """What each run that has not begun waits for, in a sentence; `taken` says why there is no slot for it."""
        bound = {run.name: run.yoke for run in self._waiting if not self._may_begin(run)}
        free = [run.name for run in self._waiting if run.name not in bound]
        parts = [f"{few(free, SHOWN)} for a slot ({taken})"] if free else []
        if bound:
            parts.append(
                f"{few([f'{name} for {yoke}' for name, yoke in bound.items()], SHOWN)} (whose schedule it replays)"
            )
        return f"waiting: {'; '.join(parts)}" if parts else ""

    def done(self, name: str, result: Result) -> None:
        """A run has its result."""
        self._tell(self._running.pop(name), result)
        self._led.discard(name)
        self._done.add(name)

    def lost(self, name: str, why: str) -> None:
        """A run's worker is gone: it is begun again, unless that has been tried."""
        run = self._running.pop(name)
        self._led.discard(name)
        if self._begun[name] < ATTEMPTS:
            self._waiting.insert(0, run)
        else:
            self._fail(name, why)

    def fail(self, name: str, why: str) -> None:
        """A run has failed; one that followed a run may have done so because that one was lost."""
        run = self._running[name]
        if self._bound(run):
            self.lost(name, why)
        else:
            self.stop(name, why)

    def stop(self, name: str, why: str) -> None:
        """A run will not be done, nor will those that replay it."""
        del self._running[name]
        self._led.discard(name)
        self._fail(name, why)

    def _fail(self, name: str, why: str) -> None:
        self.failed[name] = why
        for run in [run for run in self._waiting if run.yoke == name]:
            self._waiting.remove(run)
            self.failed[run.name] = replays_unfinished(name)

    def __str__(self) -> str:
        return f"{len(self._done)} of {len(self._names)} runs done, {len(self._running)} running"


def replays_unfinished(name: str) -> str:
    """Why a run is not done that replays `name`."""
    return f"it replays {name}, which is not done"


def _give(schedule: Schedule, workers: "_Workers", root: str, room: Room) -> None:
    while workers.free and (run := schedule.next()):
        asked = {"config": room.of(run).model_dump(mode="json"), "root": root, "beside": schedule.siblings(run)}
        workers.take().begin(run.name, asked)
        say(f"{run.name} begins; {schedule}")


def _take(schedule: Schedule, workers: "_Workers", worker: "_Worker", message: dict[str, Any] | None) -> None:
    """Act on what a worker said of its run; None says that the worker has ended."""
    name = worker.run
    if message is None:
        status = workers.remove(worker)
        if status == KILLED_BY_MEMORY:
            workers.fewer()
            say(f"a process was killed, as when memory runs out: from now on {workers.most} runs beside each other")
        if name is not None:
            _end_followers(schedule, workers, name)
            why = f"its process ended with status {status}; its last words are in {worker.log}"
            say(f"{name}: {why}")
            schedule.lost(name, why)
    elif "progress" in message:
        progress = Progress(**message["progress"])
        if progress.iteration > 0 and progress.stage == "done":
            workers.has_trained(worker)
            schedule.leads(name or "")
        report(Progress(progress.iteration, progress.stage, 1, 1, "", note=f"{name}: {progress.note}"))
    elif name is not None:
        worker.run = None
        workers.has_trained(worker)
        _conclude(schedule, workers, worker, name, message)


def _conclude(schedule: Schedule, workers: "_Workers", worker: "_Worker", name: str, message: dict[str, Any]) -> None:
    if "result" in message and message["result"]["paused"]:
        _end_followers(schedule, workers, name)
        schedule.stop(name, PAUSED)
        say(f"{name}: {PAUSED}; {schedule}")
    elif "result" in message:
        schedule.done(name, message["result"])
        say(f"{name} is done; {schedule}")
    elif message["error"] == OutOfMemoryError.__name__ and workers.most > 1:
        workers.remove(worker)
        workers.fewer()
        _end_followers(schedule, workers, name)
        schedule.lost(name, message["text"])
        say(f"{name}: memory ran out, so {workers.most} runs beside each other go on")
    else:
        _end_followers(schedule, workers, name)
        schedule.fail(name, message["text"])
        say(f"{name} failed: {message['text']}")


def _end_followers(schedule: Schedule, workers: "_Workers", name: str) -> None:
    """End the runs that follow one that ends before its time: they would wait for its rounds."""
    for follower in schedule.followers(name):
        workers.end(follower)
        schedule.back(follower)


def replayed_first(planned: Sequence[ExperimentConfig]) -> list[ExperimentConfig]:
    """The runs, those that others wait for first."""
    replayed = {run.yoke for run in planned}
    return sorted(planned, key=lambda run: run.name not in replayed)


def siblings(planned: Sequence[ExperimentConfig], run: ExperimentConfig) -> tuple[str, ...]:
    """The other runs of the same seed, which begin alike."""
    return tuple(other.name for other in planned if other.seed == run.seed and other.name != run.name)


def say(note: str) -> None:
    """Tell of the study as a whole."""
    report(Progress(0, "study", 0, 1, "", note=note))


@dataclass(eq=False)
class _Worker:
    """A process of `axiom.flows.worker`, its GPU, the name of the run that it is at, and whether one has trained."""

    process: "subprocess.Popen[str]"
    log: Path
    device: str | None = None
    run: str | None = None
    trained: bool = False

    def begin(self, name: str, asked: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.run = name
        with suppress(BrokenPipeError):  # it has ended, which the end of its output tells
            self.process.stdin.write(json.dumps(asked) + "\n")
            self.process.stdin.flush()

    def close(self) -> None:
        """Let it end by itself."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()

    def end(self, seconds: float = PATIENCE_SECONDS) -> int:
        """See to it that it ends within `seconds`; its exit status."""
        self.close()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class _Workers:
    """At most `most` workers; on a GPU fewer, until those have trained and show how much memory a run takes."""

    def __init__(self, room: Room, environment: Mapping[str, str] | None = None) -> None:
        self.most, self._room, self._environment = room.runs, room, environment or {}
        self._at_once = room.at_once
        self._all: list[_Worker] = []
        self._places: set[int] = set()
        self._said: SimpleQueue[tuple[_Worker, dict[str, Any] | None]] = SimpleQueue()

    def __enter__(self) -> "_Workers":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._all:
            worker.close()
        end = time.monotonic() + PATIENCE_SECONDS
        try:
            for worker in self._all:
                worker.end(max(0.0, end - time.monotonic()))
        finally:
            for worker in self._all:  # some are left where Ctrl-C comes again meanwhile
                worker.process.kill()

    def has_trained(self, worker: _Worker) -> None:
        """It takes as much memory as it will. Once all do, as many may start as fit beside them."""
        worker.trained = True
        if self._at_once is None or not all(worker.trained for worker in self._all):
            return
        self._at_once = None
        if self._room.fit is not None:
            devices = [worker.device for worker in self._all]
            self.most = min(self.most, self._room.fit([devices.count(device) for device in self._room.devices]))
            say(f"{self.most} runs beside each other fit, by the memory of the first {len(self._all)}")

    @property
    def slots(self) -> int:
        """How many workers there may be now."""
        return self.most if self._at_once is None else min(self.most, self._at_once)

    @property
    def taken(self) -> str:
        """Why no run can be taken."""
        first = ", until they show how much memory a run takes" if self.slots < self.most else ""
        fewer = f", {self._room.runs} do not fit into memory" if self.most < self._room.runs else ""
        return f"{len(self._all)} of {self.slots} are taken{first or fewer}"

    @property
    def free(self) -> bool:
        """Whether a run can be taken."""
        return self._idle is not None or len(self._all) < self.slots

    @property
    def _idle(self) -> _Worker | None:
        return next((worker for worker in self._all if worker.run is None), None)

    def take(self) -> _Worker:
        """A worker without a run, started if need be."""
        return self._idle or self._start()

    def next_message(self) -> tuple[_Worker, dict[str, Any] | None]:
        """What a worker says next; None when it has ended."""
        while (found := self._said.get())[0] not in self._all:
            pass  # of one that was removed
        return found

    def remove(self, worker: _Worker) -> int:
        """End a worker, in whose place another may start; its exit status."""
        self._all.remove(worker)
        return worker.end()

    def end(self, run: str) -> None:
        """End the worker that is at `run`."""
        for worker in [worker for worker in self._all if worker.run == run]:
            self.remove(worker)

    def fewer(self) -> None:
        """After one has ended for want of memory: no more than go on now, and one at least."""
        self.most = max(1, min(self.most - 1, len(self._all)))

    def _start(self) -> _Worker:
        home, output = self.home()
        device, threads = self._room.device(worker.device for worker in self._all), str(self._room.cores)
        environment = {"OMP_NUM_THREADS": threads, "TORCHINDUCTOR_COMPILE_THREADS": threads} | os.environ
        environment |= self._environment
        if device is not None:
            environment["CUDA_VISIBLE_DEVICES"] = device
        if not os.environ.get("PREFECT_API_URL"):
            environment["PREFECT_HOME"] = str(home)  # what each keeps is its own
        command = [sys.executable, "-m", "axiom.flows.worker", *([VLLM] if self._room.vllm else [])]
        pipe = subprocess.PIPE
        with output:
            # In a group of its own: Ctrl-C is ours to hear, also where we have it ignored; its input's end is its word.
            process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=output, env=environment, encoding="utf-8", process_group=0
            )
        worker = _Worker(process, Path(output.name), device)
        self._all.append(worker)
        threading.Thread(target=self._hear, args=(worker,), name=f"worker {home.name}", daemon=True).start()
        return worker

    def home(self) -> tuple[Path, TextIO]:
        """A folder that no worker of any study has, and its log.

        A worker holds the log's lock as long as it lives. Of one before it in this study the last words are kept.
        """
        for place in itertools.count():
            home = prefect_home() / "study" / str(place)
            home.mkdir(parents=True, exist_ok=True)
            output = (home / "output.log").open("a", encoding="utf-8")
            try:
                fcntl.flock(output, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                output.close()
                continue
            except OSError:  # a file system without locks
                pass
            if place not in self._places:
                output.truncate(0)
                self._places.add(place)
            return home, output
        raise AssertionError("there is no end of places")

    def _hear(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        for line in worker.process.stdout:
            if line.endswith("\n"):  # else it died in the middle of it
                self._said.put((worker, json.loads(line)))
        self._said.put((worker, None))
