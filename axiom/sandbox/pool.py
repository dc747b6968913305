"""Several templates side by side: programs in as they arrive, runs out as they end.

Bounded by construction: a program is taken from the source only when a template has room for it. A template that dies
is replaced and what it held runs again; who is to blame when that goes on is settled by the self-test of a fresh one.
"""

import os
import re
import resource
import select
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from axiom.errors import SandboxError
from axiom.sandbox.host import Program, Run, Template
from axiom.sandbox.inside.library import RICH
from axiom.sandbox.inside.template import ITSELF, WALL_LIMIT
from axiom.sandbox.judge import READY, judge, needs_rich
from axiom.sandbox.selftest import CANARIES, EXPECTED, Probe, self_test

QUEUE_DEPTH = 2
DESCRIPTORS_OF_A_WORKER = 2 * (3 + QUEUE_DEPTH)
"""A lean and a rich template, each with a control socket, a stop pipe, its errors, and a channel for each job."""
SPARE_DESCRIPTORS = 64
"""Left to the rest of the process; starting a template takes a few of them for a moment."""
TICK_SECONDS = 0.02
STUCK_SECONDS = 0.05
SILENT_SECONDS = 60.0
"""A template that has said nothing for so long, and for ten times what its jobs may take, is taken for dead."""
JOBS_BETWEEN_CANARIES = 1000
JOBS_OF_A_TEMPLATE = 20_000
MAX_ATTEMPTS = 3
MAX_DEFERRED = 64
_END: Any = object()
_RICH_IMPORT = re.compile(rf"^[ \t]*(?:import|from)[ \t]+(?:{'|'.join(RICH)})\b", re.MULTILINE)
"""Code that says so is sent to a rich template at once; code that does not say so finds out in a lean one."""


@dataclass(slots=True, eq=False)
class Task:
    """A program on its way through the pool. `canary` is what it checks, None for a caller's program."""

    token: Any
    program: Program
    canary: Probe | None = None
    attempts: int = 0
    alone: bool = False
    withdrawn: bool = False
    rich: bool = False
    submitted: float = 0.0


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Stands for the run of a program that ended every template it was given to."""

    attempts: int


def workers(count: int) -> int:
    """`count`, or where it is 0 one template for each core, as far as this process may open descriptors.

    Raises SandboxError when `count` needs more descriptors than there are.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = soft - len(os.listdir("/proc/self/fd")) - SPARE_DESCRIPTORS
    if (needed := count * DESCRIPTORS_OF_A_WORKER) > free:
        raise SandboxError(
            f"sandbox.workers = {count} needs {needed} descriptors and {max(free, 0)} of {soft} are free; "
            f"raise ulimit -n or set fewer workers"
        )
    return count or max(1, min(len(os.sched_getaffinity(0)), free // DESCRIPTORS_OF_A_WORKER))


class Pool:
    """Templates, started, self-tested and kept until `close`."""

    def __init__(self, count: int, without: tuple[str, ...] = ()) -> None:
        """Start `count` templates, 0 for as many as `workers` says. Raises SandboxError when that cannot be."""
        self._workers, self._without = workers(count), without
        self._templates: dict[int, Template] = {}
        self._poller = select.poll()
        self._deferred: deque[Task] = deque()
        self._again: deque[Task] = deque()
        self._next_tick = 0.0
        self._deaths = 0
        self.replaced = 0
        try:
            for _ in range(self._workers):
                self._start(rich=False)
        except BaseException:
            self.close()
            raise

    @property
    def tier(self) -> str:
        """The layers that hold, joined by `+`."""
        layers = next(iter(self._templates.values())).layers
        return "+".join(name for name, (holds, _) in layers.items() if holds) or "none"

    @property
    def templates(self) -> list[Template]:
        """The templates in service."""
        return list(self._templates.values())

    def close(self) -> None:
        """End all templates and what they run."""
        for template in self._templates.values():
            template.close()
        self._templates.clear()

    def run(self, source: Iterable[tuple[Any, Program] | None]) -> Iterator[tuple[Any, Run | Quarantined]]:
        """(token, run) for each (token, program) of `source`, in the order in which they end.

        A source that has none at the moment but will have more gives None, so that what runs is attended to.
        Raises SandboxError when templates keep failing and the machine is to blame.
        """
        programs = iter(source)
        try:
            more = True
            while more or self._again or self._busy():
                if more or self._again:
                    more = self._feed(programs, more)
                yield from self._step()
                if len(self._deferred) >= MAX_DEFERRED:
                    yield from self._drain()
                    yield from self._run_deferred()
            yield from self._run_deferred()
        finally:
            self._abandon()

    def _busy(self) -> bool:
        return any(template.jobs for template in self._templates.values())

    def _feed(self, programs: Iterator[tuple[Any, Program] | None], more: bool) -> bool:
        """Fill the templates from what must run again and then from the source. Returns whether the source goes on."""
        while self._again or more:
            if not self._again and not self._any_room():
                return more
            if not self._again:
                pair = next(programs, _END)
                if pair is _END:
                    return False
                if pair is None:
                    return True
                token, program = pair
                self._again.append(Task(token, program, rich=bool(_RICH_IMPORT.search(program.code))))
            template = self._room_for(self._again[0].rich)
            if template is None:
                return more
            if not self._submit(template, self._again.popleft()):
                return more
        return more

    def _any_room(self) -> bool:
        return any(len(template.jobs) < QUEUE_DEPTH for template in self._templates.values() if not template.rich)

    def _room_for(self, rich: bool) -> Template | None:
        """The least busy template of the kind, None when all are full. Rich ones start when they are first needed."""
        kind = [template for template in self._templates.values() if template.rich == rich]
        if rich and len(kind) < self._workers and all(template.jobs for template in kind):
            return self._start(rich=True)
        template = min(kind, key=lambda template: len(template.jobs))
        return template if len(template.jobs) < QUEUE_DEPTH else None

    def _submit(self, template: Template, task: Task) -> bool:
        """Hand `task` over. False when the template is dead, which the next step finds; the task waits for another."""
        task.submitted = time.monotonic()
        taken = template.submit(task.program, task)
        if not taken:
            self._again.append(task)
        return taken

    def _step(self) -> Iterator[tuple[Any, Run | Quarantined]]:
        """Wait for something to end, at most one tick, and settle it."""
        for descriptor, _ in self._poller.poll(1000 * TICK_SECONDS):
            template = self._templates[descriptor]
            try:
                ended = template.collect()
            except SandboxError:
                yield from self._bury(template)
                continue
            self._deaths = 0
            for task, run in ended:
                yield from self._settle(template, task, run)
            self._maintain(template)
        if time.monotonic() >= self._next_tick:
            self._tick()

    def _settle(self, template: Template, task: Task, run: Run) -> Iterator[tuple[Any, Run | Quarantined]]:
        if task.withdrawn:
            return
        if not run.answer.startswith(READY) and not task.alone and run.ended_by != ITSELF:
            self._deferred.append(task)  # too slow even to begin: the machine is busy
        elif not run.answer.startswith(READY) or run.killed_from_outside:
            yield from self._retry(template, task, may_blame=run.answer.startswith(READY))
        elif task.canary is not None:
            if judge(run, EXPECTED).outcome != task.canary.outcome:
                raise SandboxError(
                    f"the sandbox canary '{task.canary.name}' had a wrong outcome, so its verdicts cannot be trusted"
                )
        elif run.ended_by == WALL_LIMIT and not task.alone:
            self._deferred.append(task)
        elif not task.rich and needs_rich(run):
            task.rich = True
            self._again.append(task)
        else:
            yield task.token, run

    def _retry(self, template: Template, task: Task, may_blame: bool) -> Iterator[tuple[Any, Quarantined]]:
        """Run `task` again on a fresh template, or give it up."""
        task.attempts += 1
        self._replace(template)
        if task.attempts < MAX_ATTEMPTS:
            self._again.append(task)
        elif may_blame:
            yield task.token, Quarantined(task.attempts)
        else:
            raise SandboxError(f"{MAX_ATTEMPTS} sandbox children in a row died before they read their candidate")

    def _bury(self, template: Template) -> Iterator[tuple[Any, Quarantined]]:
        """A template died. The job whose child had begun is suspect, those that waited are not."""
        begun = template.begun()
        for job in template.jobs.values():
            if job.token is not begun and not job.token.withdrawn:
                self._again.append(job.token)
        template.jobs.clear()
        if begun is None:
            self._deaths += 1
            if self._deaths >= MAX_ATTEMPTS:
                raise SandboxError(f"{MAX_ATTEMPTS} sandbox templates in a row died, and no candidate was the cause")
            self._replace(template)
        else:
            yield from self._retry(template, begun, may_blame=True)

    def _replace(self, template: Template) -> None:
        """Put a fresh template in the place of this one, once: two of its jobs may end badly at the same time."""
        if template not in self._templates.values():
            return
        self._again.extend(job.token for job in template.jobs.values() if not job.token.withdrawn)
        self._poller.unregister(template)
        del self._templates[template.fileno()]
        template.close()
        self.replaced += 1
        self._start(template.rich)

    def _start(self, rich: bool) -> Template:
        template = Template(self._without, rich)
        try:
            self_test(template, self._without)
        except BaseException:
            template.close()
            raise
        self._templates[template.fileno()] = template
        self._poller.register(template, select.POLLIN)
        return template

    def _maintain(self, template: Template) -> None:
        """Let a template that has run for long sing its canaries, and replace an old one."""
        if template.fileno() not in self._templates:
            return
        if template.finished >= JOBS_OF_A_TEMPLATE and not template.jobs:
            self._replace(template)
        elif template.finished - template.checked >= JOBS_BETWEEN_CANARIES:
            template.checked = template.finished
            for canary in CANARIES:
                self._submit(template, Task(None, canary.program(), canary))

    def _tick(self) -> None:
        """Keep long answers flowing, and take waiting jobs from behind a long one when another template is idle."""
        now = time.monotonic()
        self._next_tick = now + TICK_SECONDS
        idle = [template for template in self._templates.values() if not template.jobs]
        for template in self._templates.values():
            template.exchange()
            tasks = [job.token for job in template.jobs.values()]
            if tasks and now - tasks[0].submitted > SILENT_SECONDS + 10 * sum(t.program.wall_seconds for t in tasks):
                template.process.kill()  # the next step finds it dead
                continue
            waits = len(tasks) > 1 and not tasks[-1].withdrawn and not tasks[-1].canary
            twin = next((other for other in idle if other.rich == template.rich), None)
            if twin and waits and now - tasks[0].submitted > STUCK_SECONDS:
                idle.remove(twin)
                self._move(tasks[-1], template, twin)

    def _move(self, task: Task, source: Template, target: Template) -> None:
        source.withdraw(task)
        task.withdrawn = True
        self._submit(target, Task(task.token, task.program, None, task.attempts, task.alone, rich=task.rich))

    def _drain(self) -> Iterator[tuple[Any, Run | Quarantined]]:
        while self._busy() or self._again:
            if self._again:
                self._feed(iter(()), False)
            yield from self._step()

    def _run_deferred(self) -> Iterator[tuple[Any, Run | Quarantined]]:
        """Once more, each with the machine to itself: was it the candidate or the load?"""
        while self._deferred:
            task = self._deferred.popleft()
            task.alone = True
            self._again.append(task)
            yield from self._drain()

    def _abandon(self) -> None:
        """Forget what is unfinished: its verdicts are nobody's."""
        self._again.clear()
        self._deferred.clear()
        for template in self._templates.values():
            for job in template.jobs.values():
                job.token.withdrawn = True
