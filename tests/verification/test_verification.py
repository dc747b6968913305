"""The verifier's promises: taxonomy, streaming with back-pressure, shared verdicts, audits, and whose fault it was."""

import json
import math
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings, strategies as st
from typer.testing import CliRunner

from axiom.cli.app import app
from axiom.config import SandboxConfig
from axiom.errors import DataError, SandboxError
from axiom.records import Case, Outcome, Problem, Sample
from axiom.sandbox import pool
from axiom.sandbox.host import Run
from axiom.sandbox.judge import READY, judge
from axiom.values import encode
from axiom.verification import Candidate, CandidateVerdict, Verifier, answer_verdict, verify_samples
from axiom.verification.files import check_candidates, read_candidates
from tests.tables import every

RIGHT = "def f(x):\n    return x + 1\n"


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    with Verifier(SandboxConfig(workers=2)) as verifier:
        yield verifier


def candidate(
    name: str, code: str = RIGHT, want: object = 2, args: tuple[object, ...] = (1,), **more: object
) -> Candidate:
    return Candidate(name, code, "f", (Case(args=encode(list(args)), expected=encode(want)),), **more)  # type: ignore[arg-type]


def one(verifier: Verifier, code: str, **more: object) -> CandidateVerdict:
    (verdict,) = verifier.verify([candidate("x", code, **more)])  # type: ignore[arg-type]
    return verdict


TEXTS = st.text() | st.text(st.characters(categories=["Cs", "Lu"]))  # lone surrogates too
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2040, 20_000).map(lambda bits: -(1 << bits))
    | st.floats()
    | TEXTS
    | st.binary()
    | st.complex_numbers(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(TEXTS | st.integers() | st.booleans(), inner, max_size=4)
        | st.sets(TEXTS | st.integers() | st.floats(allow_nan=False), max_size=4)
        | st.frozensets(TEXTS, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_any_value_goes_in_and_comes_back_as_itself(verifier: Verifier, value: object) -> None:
    assert one(verifier, "def f(x):\n    return x\n", args=(value,), want=value).outcome == Outcome.PASSED


@pytest.mark.parametrize(
    ("got", "want", "passes"),
    [
        ("0.1 + 0.2", 0.3, True),
        ("1e9 + 1", 1e9, True),
        ("1.01", 1.0, False),
        ("1", 1.0, False),
        ("[1.0000000001]", [1.0], True),
        ("float('nan')", float("nan"), True),
        ("{'a': 2.0000000001}", {"a": 2.0}, True),
        ("(1.0,)", [1.0], False),
        ("True", 1.0, False),
    ],
)
def test_close_forgives_rounding_and_nothing_else(verifier: Verifier, got: str, want: object, passes: bool) -> None:
    verdict = one(verifier, f"def f(x):\n    return {got}\n", want=want, comparison="close")
    assert (verdict.outcome == Outcome.PASSED) is passes


@given(
    st.lists(st.tuples(st.sampled_from(b"RVEXUDSPLYMONZ"), st.integers(0, 3), st.binary(max_size=9)), max_size=5),
    st.binary(max_size=9),
)
def test_no_bytes_on_the_channel_crash_the_judge_or_pass_by_chance(
    records: list[tuple[int, int, bytes]], rest: bytes
) -> None:
    answer = (
        READY
        + b"".join(bytes([t]) + i.to_bytes(2, "little") + len(p).to_bytes(4, "little") + p for t, i, p in records)
        + rest
    )
    for close in (False, True):
        found = judge(Run(0, 0, 0.0, 0.0, 0, 0, 1 << 20, answer, False), (b"[1.5]", b'"x"'), close)
        assert found.outcome != Outcome.PASSED or found.cases_passed == 2


def record(tag: bytes, index: int = 0, payload: bytes = b"") -> bytes:
    return tag + index.to_bytes(2, "little") + len(payload).to_bytes(4, "little") + payload


SOLVED = READY + record(b"V", 0, b"1") + record(b"V", 1, b"2") + record(b"D", 2)


@given(st.integers(0, len(SOLVED)), st.binary(max_size=9), st.integers(0, 9))
@example(len(SOLVED), b"\0", 0)
@example(len(SOLVED), record(b"D", 3), 0)
@example(len(SOLVED), record(b"V", 3, b"2"), 0)
@example(len(SOLVED) - 7, record(b"V", 2, b"2"), 0)
@example(len(SOLVED) - 7, record(b"V", 2, b"2") + record(b"D", 3), 7)
@example(len(SOLVED) - 7, b"", 7)
def test_an_answer_passes_as_it_must_be_written_and_in_no_other_form(place: int, more: bytes, fewer: int) -> None:
    """Bytes put in or taken out anywhere after the ready record, at the end too."""
    place = max(place, len(READY))
    answer = SOLVED[:place] + more + SOLVED[place + fewer :]
    found = judge(Run(0, 0, 0.0, 0.0, 0, 0, 1 << 20, answer, False), (b"1", b"2"))
    assert (found.outcome == Outcome.PASSED) == (answer == SOLVED)


@pytest.mark.parametrize(
    "text",
    ['{"$":"complex","v":[]}', '{"$":[]}', '{"$":"set","v":[[1]]}', "[" * 100_000, "1" * 5000, '{"$":"float","v":"x"}'],
)
def test_malformed_values_are_wrong_answers(text: str) -> None:
    answer = READY + b"V\0\0" + len(text).to_bytes(4, "little") + text.encode() + b"D\1\0\0\0\0\0"
    assert judge(Run(0, 0, 0.0, 0.0, 0, 0, 1 << 20, answer, False), (b"1.5",), True).outcome == Outcome.WRONG_ANSWER


def test_cases_passed_counts_what_came_before_the_end(verifier: Verifier) -> None:
    cases = tuple(Case(args=f"[{x}]", expected=str(x)) for x in range(4))
    codes = {
        "def f(x):\n    return x if x != 1 else 9\n": 3,
        "def f(x):\n    return x if x < 2 else 1 / 0\n": 2,
        "def f(x):\n    while x == 3: pass\n    return x\n": 3,
    }
    verdicts = verifier.verify(Candidate(code, code, "f", cases, timeout_s=0.3) for code in codes)
    assert {verdict.candidate_id: verdict.cases_passed for verdict in verdicts} == codes


def test_limits_of_a_candidate_take_the_place_of_the_configs(verifier: Verifier) -> None:
    started = time.monotonic()
    assert one(verifier, "def f(x):\n    while True: pass\n", timeout_s=0.2).outcome == Outcome.TIMEOUT
    assert (
        one(verifier, "def f(x):\n    bytearray(100 << 20)\n    return 2\n", memory_mb=64).outcome
        == Outcome.MEMORY_LIMIT
    )
    assert one(verifier, "def f(x):\n    bytearray(100 << 20)\n    return 2\n", memory_mb=512).outcome == Outcome.PASSED
    assert time.monotonic() - started < 10


def test_candidates_are_taken_only_as_templates_have_room(verifier: Verifier) -> None:
    taken = 0

    def source() -> Iterator[Candidate]:
        nonlocal taken
        for number in range(200):
            taken += 1
            yield candidate(str(number))

    for settled, _ in enumerate(verifier.verify(source()), 1):
        assert taken - settled <= 2 * pool.QUEUE_DEPTH + 2 * pool.QUEUE_DEPTH


@pytest.mark.slow
def test_verification_hides_behind_a_slow_source(verifier: Verifier) -> None:
    work = "import time\ndef f(x):\n    time.sleep(0.05)\n    return x + 1\n"

    def source() -> Iterator[Candidate]:
        for number in range(20):
            time.sleep(0.1)
            yield candidate(str(number), work)

    started, first = time.monotonic(), 0.0
    for verdict in verifier.verify(source()):
        first = first or time.monotonic() - started
        assert verdict.outcome == Outcome.PASSED
    assert first < 1.0  # the first verdict does not wait for the last candidate
    assert time.monotonic() - started < 20 * (0.1 + 0.05)  # less than one after the other


def test_a_looping_candidate_does_not_hold_back_those_behind_it(verifier: Verifier) -> None:
    loop = candidate("loop", "def f(x):\n    while True: pass\n", timeout_s=1.0)
    order = [verdict.candidate_id for verdict in verifier.verify([loop, *(candidate(str(n)) for n in range(40))])]
    assert order[-1] == "loop"


def test_an_abandoned_call_does_not_leak_into_the_next(verifier: Verifier) -> None:
    for verdict in verifier.verify(candidate(f"old {number}") for number in range(20)):
        assert verdict.outcome == Outcome.PASSED
        break
    assert [verdict.candidate_id for verdict in verifier.verify([candidate("new")])] == ["new"]


def test_a_killed_template_is_replaced_and_no_verdict_is_lost(verifier: Verifier) -> None:
    verdicts = {}
    for number, verdict in enumerate(verifier.verify(candidate(str(number)) for number in range(100))):
        verdicts[verdict.candidate_id] = verdict.outcome
        if number == 30:
            os.kill(verifier.templates[0].process.pid, signal.SIGKILL)
    assert verdicts == {str(number): Outcome.PASSED for number in range(100)}


def test_a_template_killed_while_idle_is_replaced(verifier: Verifier) -> None:
    for template in verifier.templates:
        os.kill(template.process.pid, signal.SIGKILL)
        template.process.wait()
    assert {v.outcome for v in verifier.verify(candidate(str(number)) for number in range(20))} == {Outcome.PASSED}


def test_two_jobs_of_one_template_that_end_badly_at_once_are_both_run_again() -> None:
    nap = "import time\ndef f(x):\n    time.sleep(0.5)\n    return x + 1\n"
    with Verifier(SandboxConfig(workers=2)) as verifier:

        def source() -> Iterator[Candidate]:
            yield from (candidate(str(number), nap, timeout_s=5.0) for number in range(3))
            killed = [kill_the_next_child(verifier.templates[0].process.pid) for _ in range(2)]
            assert len(set(killed)) == 2
            time.sleep(0.1)  # both reports lie in the socket before the pool looks again
            yield candidate("last")

        verdicts = {verdict.candidate_id: verdict.outcome for verdict in verifier.verify(source())}
    assert verdicts == dict.fromkeys(("0", "1", "2", "last"), Outcome.PASSED)


def kill_the_next_child(template: int) -> int:
    children = Path(f"/proc/{template}/task/{template}/children")
    while not (young := children.read_text().split()):
        time.sleep(0.001)
    os.kill(int(young[0]), signal.SIGKILL)
    while young == children.read_text().split():
        time.sleep(0.001)
    return int(young[0])


def test_it_works_with_more_descriptors_than_select_can_name() -> None:
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        with Verifier(SandboxConfig(workers=1)) as verifier:
            assert verifier.templates[0].fileno() > 1024
            assert one(verifier, RIGHT).outcome == Outcome.PASSED
    finally:
        for descriptor in held:
            os.close(descriptor)


def test_on_a_machine_of_many_cores_the_descriptors_decide_how_many_templates_start() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    here = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (here + pool.SPARE_DESCRIPTORS + pool.DESCRIPTORS_OF_A_WORKER, hard))
    try:
        assert pool.workers(0) == 1
        with Verifier(SandboxConfig(workers=0)) as verifier:
            assert len(verifier.templates) == 1
            rich = "import datetime\n" + RIGHT
            assert {v.outcome for v in verifier.verify(candidate(str(n), rich) for n in range(20))} == {Outcome.PASSED}
        with pytest.raises(SandboxError, match=r"workers = 400 .* descriptors .* ulimit -n"):
            Verifier(SandboxConfig(workers=400))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_descriptors_it_raises_instead_of_judging(verifier: Verifier) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(SandboxError, match="descriptors"):
            list(verifier.verify([candidate("x")]))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert one(verifier, RIGHT).outcome == Outcome.PASSED


def test_a_sleeper_is_run_once_more_alone_before_it_is_timed_out() -> None:
    with Verifier(SandboxConfig(workers=2, wall_factor=2)) as verifier:
        started = time.monotonic()
        batch = [candidate("sleeps", "import time\ndef f(x):\n    time.sleep(60)\n", timeout_s=0.3), candidate("next")]
        verdicts = {verdict.candidate_id: verdict for verdict in verifier.verify(batch)}
        assert time.monotonic() - started >= 2 * 0.6
        assert verdicts["sleeps"].outcome == Outcome.TIMEOUT
        assert "wall-clock" in verdicts["sleeps"].detail


@pytest.mark.slow
def test_load_does_not_turn_a_pass_into_a_timeout() -> None:
    work = (
        "import time\ndef f(x):\n    end = time.process_time() + 0.5\n"
        "    while time.process_time() < end: pass\n    return x + 1\n"
    )
    crowd: list[subprocess.Popen[bytes]] = []
    slow: list[CandidateVerdict] = []
    try:
        with Verifier(SandboxConfig(workers=2, wall_factor=1)) as verifier:
            for _ in range(12):
                verdicts = list(verifier.verify(candidate(str(n), work, timeout_s=1.0) for n in range(4)))
                late = [verdict for verdict in verdicts if verdict.outcome != Outcome.PASSED]
                # a program that gets less than a tenth of a core, by other work here too, is taken for one that sleeps
                assert all(verdict.outcome == Outcome.TIMEOUT for verdict in late), late
                assert all(verdict.cpu_ms < 0.12 * verdict.wall_ms for verdict in late), late
                slow = [verdict for verdict in verdicts if verdict not in late and verdict.wall_ms > 1000]
                if slow:
                    break
                if not late:
                    crowd += [_busy() for _ in range(os.cpu_count() or 1)]
    finally:
        for process in crowd:
            process.kill()
            process.wait()
    assert slow, "no program went past its backstop, so this shows nothing"


def _busy() -> "subprocess.Popen[bytes]":
    """Something that computes for ever, in a session of its own: the scheduler shares out by session."""
    return subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"], start_new_session=True)


@pytest.mark.slow
def test_a_template_that_falls_silent_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "SILENT_SECONDS", 0.5)
    with Verifier(SandboxConfig(workers=1, wall_factor=1)) as verifier:
        os.kill(verifier.templates[0].process.pid, signal.SIGSTOP)
        verdicts = list(verifier.verify(candidate(str(n), timeout_s=0.1) for n in range(4)))
    assert [verdict.outcome for verdict in verdicts] == [Outcome.PASSED] * 4


@pytest.mark.slow
def test_a_job_whose_templates_keep_dying_is_quarantined_and_the_rest_goes_on() -> None:
    with Verifier(SandboxConfig(workers=1)) as verifier:
        sleeper = candidate("sleeper", "import time\ndef f(x):\n    time.sleep(0.4)\n    return x + 1\n", timeout_s=5.0)
        run = verifier.verify([sleeper, candidate("after")])
        killer = threading.Thread(target=kill_templates_of, args=(os.getpid(), 3.0))
        killer.start()
        verdicts = {verdict.candidate_id: verdict for verdict in run}
        killer.join()
        assert verdicts["sleeper"].outcome == Outcome.FORBIDDEN
        assert "quarantined" in verdicts["sleeper"].detail
        assert verdicts["after"].outcome == Outcome.PASSED


def kill_templates_of(parent: int, seconds: float) -> None:
    """Kill every template of `parent` while it runs a child, as a program would that broke out."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            path = Path(f"/proc/{pid}/task/{pid}/children")
            if path.exists() and (young := path.read_text().split()):
                time.sleep(0.15)
                if path.exists() and path.read_text().split() == young:
                    os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.01)


ORPHANS = """
import os
from axiom.config import SandboxConfig
from axiom.records import Case
from axiom.verification import Candidate, Verifier
verifier = Verifier(SandboxConfig(workers=1, cpu_seconds=60))
def source():
    yield Candidate("loop", "def f(x):\\n    while True: pass", "f", (Case(args="[1]", expected="1"),))
    import time; time.sleep(0.5)
    for template in verifier.templates:
        pid = template.process.pid
        print(pid, open(f"/proc/{pid}/task/{pid}/children").read(), flush=True)
    os.kill(os.getpid(), 9)
list(verifier.verify(source()))
"""


def test_when_the_parent_is_killed_its_templates_and_candidates_go_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ORPHANS], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    end = time.monotonic() + 5
    while (alive := [pid for pid in done.stdout.split() if running(pid)]) and time.monotonic() < end:
        time.sleep(0.05)
    assert len(done.stdout.split()) == 2  # a template and its candidate
    assert not alive


def test_a_killed_template_takes_its_candidate_along() -> None:
    class _Enough(Exception):
        pass

    alive: list[str] = []

    def source() -> Iterator[Candidate]:
        yield Candidate("loop", "def f(x):\n    while True: pass", "f", (Case(args="[1]", expected="1"),), timeout_s=60)
        time.sleep(0.5)
        template = verifier.templates[0].process
        found = Path(f"/proc/{template.pid}/task/{template.pid}/children").read_text().split()
        assert len(found) == 1
        os.kill(template.pid, signal.SIGKILL)
        template.wait()
        end = time.monotonic() + 5
        while running(found[0]) and time.monotonic() < end:
            time.sleep(0.05)
        alive.extend(filter(running, found))
        raise _Enough

    with Verifier(SandboxConfig(workers=1)) as verifier, pytest.raises(_Enough):
        list(verifier.verify(source()))
    assert not alive


def test_a_flood_is_ended_before_its_time(verifier: Verifier) -> None:
    flood = "import os\ndef f(x):\n    try:\n        while True: os.write(3, b'V' * 100_000)\n"
    flood += "    except OSError: pass\n    while True: pass\n"
    found = one(verifier, flood, timeout_s=10.0)
    assert found.outcome == Outcome.OUTPUT_LIMIT
    assert found.cpu_ms < 5000


def running(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter where it ends between opening and reading
        return False


def test_canaries_sing_and_templates_are_recycled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "JOBS_BETWEEN_CANARIES", 10)
    monkeypatch.setattr(pool, "JOBS_OF_A_TEMPLATE", 60)
    with Verifier(SandboxConfig(workers=1)) as verifier:
        first = verifier.templates[0].process.pid
        assert sum(v.outcome == Outcome.PASSED for v in verifier.verify(candidate(str(n)) for n in range(200))) == 200
        assert verifier.templates[0].process.pid != first
        assert len(verifier.templates) == 1


def test_a_canary_that_sings_wrongly_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "JOBS_BETWEEN_CANARIES", 10)
    with Verifier(SandboxConfig(workers=1)) as verifier:
        monkeypatch.setattr(pool, "EXPECTED", (b"5",))
        with pytest.raises(SandboxError, match="canary"):
            list(verifier.verify(candidate(str(n)) for n in range(50)))


def test_a_candidate_without_cases_or_with_broken_ones_is_the_callers_mistake(verifier: Verifier) -> None:
    with pytest.raises(DataError, match="no cases"):
        list(verifier.verify([Candidate("x", RIGHT, "f", ())]))
    with pytest.raises(DataError, match="must encode a list"):
        list(verifier.verify([Candidate("x", RIGHT, "f", (Case(args="3", expected="4"),))]))
    with pytest.raises(DataError, match="not the text of a value"):
        list(verifier.verify([Candidate("x", RIGHT, "f", (Case(args="[", expected="4"),))]))
    assert one(verifier, RIGHT).outcome == Outcome.PASSED


PROBLEM = Problem(
    problem_id="p",
    family="t",
    variant="{}",
    difficulty=1,
    split="train",
    title="",
    description="",
    signature="",
    entry_point="f",
    shown=(),
    cases=(Case(args="[1]", expected="2"),),
    reference_solution=RIGHT,
    input_data="",
    expected_output="2",
)


def sample(name: str, code: str, completion: str = "") -> Sample:
    return Sample(
        sample_id=name,
        problem_id="p",
        iteration=0,
        purpose="train",
        index=0,
        completion=completion,
        code=code,
        token_count=1,
        logprob=None,
        finish_reason="stop",
        seed=0,
        temperature=1.0,
        policy_version="",
    )


def test_equal_programs_share_one_run_and_every_sample_has_its_verdict(verifier: Verifier) -> None:
    clock = "import time\ndef f(x):\n    time.sleep(0.05)\n    return x + 1\n"
    verdicts = list(verify_samples({"p": PROBLEM}, (sample(str(n), clock) for n in range(50)), verifier, None))
    assert {verdict.sample_id for verdict in verdicts} == {str(n) for n in range(50)}
    assert len({verdict.cpu_ms for verdict in verdicts}) == 1
    assert {verdict.audit_passed for verdict in verdicts} == {None}


def test_a_pass_is_audited_on_the_second_set(verifier: Verifier) -> None:
    samples = [
        sample("honest", RIGHT),
        sample("guess", "def f(x):\n    return 2\n"),
        sample("wrong", "def f(x):\n    return 3\n"),
    ]
    verdicts = verify_samples({"p": PROBLEM}, samples, verifier, lambda _: (Case(args="[7]", expected="8"),))
    assert {v.sample_id: (v.outcome.value, v.audit_passed) for v in verdicts} == {
        "honest": ("passed", True),
        "guess": ("passed", False),
        "wrong": ("wrong_answer", None),
    }


@pytest.mark.parametrize(
    ("code", "want"),
    [
        ("import builtins\nbuiltins.input = lambda *_: '7'\ndef f(x):\n    return int(input())\n", 7),
        ("import builtins\nbuiltins.twice = lambda x: 2 * x\ndef f(x):\n    return twice(x)\n", 2),
        ("import builtins\ndel builtins.sum\ndef f(x):\n    try: sum\n    except NameError: return 'gone'\n", "gone"),
        ("def sum(x): return 9\ndef f(x):\n    return sum([1])\n", 9),
        ("import builtins\ndef f(x):\n    return len.__self__ is builtins and __builtins__['len'] is len\n", True),
        ("import builtins, json\nbuiltins.int = None\ndef f(x):\n    return json.dumps([1])\n", "[1]"),
        ("def f(x):\n    return eval('__import__(\"builtins\").len') is len\n", True),
        ("import builtins\nb = vars(builtins)\nb.update(dict.fromkeys(b))\ndef f(x):\n    return x + 1\n", 2),
    ],
)
def test_built_in_names_are_those_of_any_module(verifier: Verifier, code: str, want: object) -> None:
    assert one(verifier, code, want=want).outcome == Outcome.PASSED


@every("digits", [616, 617, 640, 4299, 4300, 4301, 5736, 50_000, 200_000])
@every("sign", [1, -1])
def test_integers_of_any_size_go_in_and_come_out(verifier: Verifier, digits: int, sign: int) -> None:
    number = sign * (10 ** (digits - 1) + 7)
    assert one(verifier, "def f(x):\n    return -x\n", args=(number,), want=-number).outcome == Outcome.PASSED
    assert one(verifier, "def f(x):\n    return [x, (x,)]\n", args=(number,), want=[number, (number,)]).outcome in {
        Outcome.PASSED,
        Outcome.OUTPUT_LIMIT,
    }
    assert one(verifier, "def f(x):\n    return x + 1\n", args=(number,), want=number).outcome == Outcome.WRONG_ANSWER


def test_a_result_is_the_same_text_whatever_limit_on_digits_the_program_sets(verifier: Verifier) -> None:
    for limit in (640, 0, 4300):
        code = f"import sys, math\nsys.set_int_max_str_digits({limit})\ndef f(x):\n    return math.factorial(x)\n"
        assert one(verifier, code, args=(2000,), want=math.factorial(2000)).outcome == Outcome.PASSED
        assert one(verifier, code, args=(300,), want=math.factorial(300)).outcome == Outcome.PASSED


def test_an_expected_integer_may_be_written_in_decimal(verifier: Verifier) -> None:
    decimal = "1" + "0" * 5000
    power = Candidate("power", "def f(x):\n    return 10 ** x\n", "f", (Case(args="[5000]", expected=decimal),))
    same = Candidate("same", "def f(x):\n    return x\n", "f", (Case(args=f"[{decimal}]", expected=decimal),))
    assert {v.outcome for v in verifier.verify([power, same])} == {Outcome.PASSED}


def test_an_empty_completion_is_a_verdict(verifier: Verifier) -> None:
    (verdict,) = verify_samples({"p": PROBLEM}, [sample("empty", "")], verifier, None)
    assert verdict.outcome == Outcome.MISSING_FUNCTION


@pytest.mark.parametrize(
    ("text", "want", "passes"),
    [
        ("42", 42, True),
        ("42.0", 42, False),
        ("True", 1, False),
        (" yes ", "yes", True),
        ("'yes'", "yes", True),
        ("[1, 2]", [1, 2], True),
        ("__import__('os').abort()", 1, False),
        ("(" * 500, 1, False),
    ],
)
def test_direct_answers_are_compared_in_type_and_value(text: str, want: object, passes: bool) -> None:
    problem = PROBLEM.model_copy(update={"kind": "answer", "expected_output": encode(want)})
    assert (answer_verdict(problem, sample("a", "", text)).outcome == Outcome.PASSED) is passes


ROW = {"candidate_id": "a", "code": RIGHT, "entry_point": "f", "cases": [{"args": [1], "expected": 2}]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"candidate_id": None}, "candidate_id"),
        ({"code": None}, "either code or completion"),
        ({"cases": []}, "cases .*at least one"),
        ({"cases": [{"args": 1, "expected": 2}]}, "args of type int"),
        ({"cases": [{"args": [1]}]}, "case 0"),
        ({"timeout_s": -1}, "timeout_s"),
        ({"memory_mb": 1.5}, "memory_mb"),
        ({"nonsense": 1}, "unknown column 'nonsense'"),
        ({"entry_point": 3}, "entry_point"),
    ],
)
def test_a_row_that_is_not_well_formed_is_named_before_anything_runs(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + json.dumps(ROW | {"candidate_id": "b"} | change) + "\n")
    with pytest.raises(DataError, match=f"row 2 .*{says}"):
        check_candidates(path)


def test_the_command_reads_jsonl_and_parquet_and_writes_both(tmp_path: Path) -> None:
    import polars as pl

    import axiom.cli.verify  # noqa: F401  (registers the command)

    source = tmp_path / "rows.jsonl"
    fenced = {**ROW, "candidate_id": "b", "completion": f"Here:\n```python\n{RIGHT}```"}
    del fenced["code"]
    source.write_text(json.dumps(ROW) + "\n" + json.dumps(fenced) + "\n")
    pl.DataFrame([ROW, {**ROW, "candidate_id": "b", "code": "def f(x): pass"}]).write_parquet(tmp_path / "rows.parquet")
    assert len(list(read_candidates(source))) == 2
    for name, outcomes in {"rows.jsonl": ["passed", "passed"], "rows.parquet": ["passed", "wrong_answer"]}.items():
        for out in ("out.jsonl", "out.parquet"):
            done = CliRunner().invoke(
                app, ["verify", str(tmp_path / name), "--out", str(tmp_path / out), "--workers", "1"]
            )
            assert done.exit_code == 0, done.output
            table = pl.read_ndjson(tmp_path / out) if out.endswith("jsonl") else pl.read_parquet(tmp_path / out)
            assert table.columns == ["candidate_id", "outcome", "cases_passed", "cases_total", "wall_ms", "detail"]
            assert table["outcome"].to_list() == outcomes


@pytest.mark.parametrize("spare", range(0, 40, 3))
def test_it_works_however_many_files_the_parent_has_open(spare: int) -> None:
    """A template's descriptors have low numbers of their own, which its parent's may already be."""
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(spare)]
    try:
        with Verifier(SandboxConfig(workers=1)) as verifier:
            verdicts = [verdict.outcome for verdict in verifier.verify(candidate(str(n)) for n in range(12))]
    finally:
        for descriptor in held:
            os.close(descriptor)
    assert verdicts == [Outcome.PASSED] * 12


def test_an_answer_is_written_alike_whatever_limit_of_recursion_the_program_chose(verifier: Verifier) -> None:
    nest = (
        "import sys\nsys.setrecursionlimit({limit})\ndef f(x):\n    v = x\n    for _ in range({depth}):\n"
        "        v = [v]\n    return v\n"
    )
    deep: object = 1
    for _ in range(60):
        deep = [deep]
    assert {one(verifier, nest.format(limit=n, depth=60), want=deep).outcome for n in (30, 1000, 10**6)} == {"passed"}
    ends = {one(verifier, nest.format(limit=n, depth=50_000), want=deep).outcome for n in (30, 1000, 10**6)}
    assert ends == {"wrong_answer"}
