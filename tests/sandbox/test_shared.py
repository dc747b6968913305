"""What a candidate shares with its template, with other templates and with the parent; each is attacked.

The walk looks from two sides: the kernel's account of every process that outlives a candidate (`/proc`), and what a
program inside can see of its own process. Both must read the same before and after each attack, on the attacked
template, on one beside it and on a fresh one.
"""

import marshal
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from axiom.sandbox.host import Program, Template
from axiom.sandbox.inside.libc import numbers
from axiom.sandbox.inside.lockdown import LAYERS
from axiom.sandbox.inside.syscalls import ALLOWED, CHECKED, FATAL, TEMPLATE_ONLY
from axiom.sandbox.inside.template import PARENT
from axiom.sandbox.judge import judge
from axiom.sandbox.selftest import CANARIES, EXPECTED
from tests.sandbox.attacks import GROUPS, HERE, Attack
from tests.tables import every

REACH = (HERE / "shared.txt").read_text().split("#> ")[0]
WITNESS = (
    REACH
    + """
import builtins, colorsys, gc, graphlib, heapq, json, math, os, re, signal, string, textwrap
def f(x):
    old, limits = Buffer(bytes(16)), []
    for kind in range(16):
        kernel("prlimit64", 0, kind, 0, old.address)
        limits.append(bytes(old.bytes).hex())
    files = [[tried("fcntl", fd, 3), tried("fcntl", fd, 1), tried("lseek", fd, 0, 1)] for fd in range(6)]
    signals = [str(signal.getsignal(number)) for number in range(1, 65)]
    packed = Buffer.at(start, len(block))
    return [
        [hash(bytes(packed[part : part + (1 << 16)])) for part in range(0, len(packed), 1 << 16)],
        limits, files, signals,
        sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())), [signal.getitimer(kind) for kind in range(3)],
        sorted(os.sched_getaffinity(0)), [f"{n:07}" for n in (os.getppid(), os.getpgrp(), os.getsid(0))],
        [os.getuid(), os.getgroups()],
        sorted(sys.modules), sorted(vars(builtins)), sorted(name for name in vars(json)), sys.path, len(sys.meta_path),
        sys.getrecursionlimit(), sys.getswitchinterval(), sys.get_int_max_str_digits(), str(sys.gettrace()),
        gc.isenabled(), gc.get_freeze_count() > 1000, [number + 0 for number in range(-5, 257)],
        colorsys.rgb_to_hsv(0.5, 0.25, 0.25), list(graphlib.TopologicalSorter({2: [1]}).static_order()),
        heapq.nsmallest(2, [3, 1, 2]), json.dumps({"a": [1.5]}), math.isqrt(99), re.findall("a+", "aaba"),
        string.capwords("a b"), textwrap.wrap("a b", 1), len([1, 2]), str(print),
    ]
"""
)


def answer(template: Template, code: str) -> bytes:
    return template.run_now(Program(code, "f", (marshal.dumps((1,)),), 5.0, 30.0, 256 << 20, 1 << 20)).answer


def looked(template: Template) -> bytes:
    """What the witness sees, with the number of its template, of any length, in words."""
    return answer(template, WITNESS).replace(f"{template.process.pid:07}".encode(), b"TEMPLAT")


def attacked(template: Template, attack: Attack) -> str:
    arguments = tuple(marshal.dumps((x,)) for x in (0, 1))
    run = template.run_now(Program(attack.code, "f", arguments, 2.0, 6.0, 64 << 20, 1 << 16))
    return judge(run, (b"1", b"2")).outcome


def account(pid: int, files: bool = True) -> dict[str, object]:
    """What the kernel holds for a process besides its private memory."""
    process = Path(f"/proc/{pid}")
    stat = process.joinpath("stat").read_text().rsplit(")", 1)[1].split()
    lasting = re.compile(r"Umask|Uid|Gid|Groups|Sig[BIC]|Cap|NoNew|Seccomp|Cpus_allowed_list|Mems_allowed_list|NS|THP")
    found: dict[str, object] = {
        "parent, group, session, terminal": stat[1:6],
        "priority, nice, timer": [*stat[15:17], stat[18]],
        "exit signal, real-time priority, policy": (stat[35], *stat[37:39]),
        "status": [line for line in process.joinpath("status").read_text().splitlines() if lasting.match(line)],
        "spaces": {name: os.readlink(process / "ns" / name) for name in os.listdir(process / "ns")},
        "places": [os.readlink(process / name) for name in ("cwd", "root", "exe")],
        "shared mappings": shared_mappings(process.joinpath("maps").read_text()),
        "cores": sorted(os.sched_getaffinity(pid)),
    }
    for name in ("limits", "oom_score_adj", "coredump_filter", "loginuid", "personality", "cmdline", "comm", "cgroup"):
        found[name] = process.joinpath(name).read_bytes()
    if files:
        found["threads"] = os.listdir(process / "task")
        found["environment"] = process.joinpath("environ").read_bytes()
        found["files"] = {
            name: (os.readlink(process / "fd" / name), process.joinpath("fdinfo", name).read_text())
            for name in os.listdir(process / "fd")
        }
    return found


def shared_mappings(maps: str) -> list[str]:
    return [line for line in maps.splitlines() if line.split()[1].endswith("s")]


def machine() -> dict[str, object]:
    """What a process may leave in the kernel under the sandbox's user, and names anywhere."""
    tables = [f"/proc/sysvipc/{name}" for name in ("shm", "sem", "msg")] + ["/proc/key-users", "/proc/locks"]
    return {
        "tables": {name: re.findall(r".*\b61184\b.*", Path(name).read_text()) for name in tables},
        "abstract sockets": re.findall(r"@\S*axiom\S*", Path("/proc/net/unix").read_text()),
        "host": os.uname().nodename,
    }


@pytest.fixture(scope="module")
def templates() -> Iterator[list[Template]]:
    """The attacked one, one beside it, and a rich one."""
    started = [Template(), Template(), Template(rich=True)]
    yield started
    for template in started:
        template.close()


def seen(templates: list[Template]) -> list[object]:
    inside = [looked(template) for template in templates]
    outside = [account(template.process.pid) for template in templates]
    return [inside, outside, account(os.getpid(), files=False), machine()]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="the kernel shows these processes to root alone")
@pytest.mark.parametrize("kind", ["lean", "rich"])
def test_no_attack_changes_what_outlives_it(templates: list[Template], kind: str) -> None:
    before = seen(templates)
    assert all(b"V" in found[7:8] for found in before[0])
    for attack in GROUPS["shared"]:
        assert attacked(templates[2 if kind == "rich" else 0], attack) == attack.outcome, attack.title
        assert seen(templates) == before, attack.title
    fresh = Template()
    try:
        assert looked(fresh) == before[0][0]
        assert [judge(fresh.run_now(c.program()), EXPECTED).outcome for c in CANARIES] == [c.outcome for c in CANARIES]
    finally:
        fresh.close()


def test_a_child_shares_no_memory_with_its_template_and_leaves_no_flags_on_its_files() -> None:
    """The flags of a `/dev/null` that one child changed are not those of the next one's."""
    template = Template(sorted(LAYERS), rich=True)
    try:
        maps = answer(template, "def f(x):\n    return open('/proc/self/maps').read()\n").decode(errors="replace")
        assert "library" in maps
        assert not shared_mappings(maps.replace("\\n", "\n").partition('"')[2].rstrip('D"\0\1'))
        flags = "import fcntl\ndef f(x):\n    old = [fcntl.fcntl(fd, 3) for fd in range(3)]\n"
        change = "    for fd in range(3): fcntl.fcntl(fd, 4, 0o6000)\n    return old\n"
        first = answer(template, flags + change)
        assert b"[" in first
        assert answer(template, flags + change) == first
    finally:
        template.close()


def test_the_packed_library_is_sealed() -> None:
    import fcntl

    from axiom.sandbox.host import _library

    assert fcntl.fcntl(_library(), fcntl.F_GET_SEALS) == 0b1111
    with pytest.raises(PermissionError):
        os.pwrite(_library(), b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(_library(), 0)


def test_every_call_of_the_kernel_that_is_not_listed_fails(templates: list[Template]) -> None:
    """An allow-list: what no table names gives EPERM, tried by number on a running child."""
    listed = set(numbers(ALLOWED, CHECKED, TEMPLATE_ONLY, FATAL).values())
    listed |= {335, 336}  # uretprobe and uprobe, which x86-64 kernels answer before any filter: SIGILL without a probe
    code = (
        REACH
        + f"""
def f(x):
    allowed = []
    for number in sorted(set(range(600)) - {listed!r}):
        try:
            kernel.raw(number, kernel("getppid"), start, 8, 0, 0, 0)
            allowed.append(number)
        except OSError as error:
            if error.errno != 1:
                allowed.append(number)
    return allowed
"""
    )
    run = templates[0].run_now(Program(code, "f", (marshal.dumps((1,)),), 5.0, 30.0, 256 << 20, 1 << 16))
    assert judge(run, (b"[]",)).outcome == "passed", judge(run, (b"[]",))


@every("name", sorted(numbers(FATAL)))
def test_every_fatal_call_of_the_kernel_ends_the_process(templates: list[Template], name: str) -> None:
    code = REACH + f'def f(x):\n    kernel("{name}", kernel("getppid"), start, 0, 0, 0, 0)\n'
    run = templates[0].run_now(Program(code, "f", (marshal.dumps((1,)),), 5.0, 30.0, 256 << 20, 1 << 16))
    assert judge(run, (b"1",)).outcome == "forbidden"


def test_a_child_that_answers_too_much_is_ended_by_the_parent_and_not_by_its_limits(templates: list[Template]) -> None:
    flood = "import os\ndef f(x):\n    while True: os.write(3, b'V' * 100_000)\n"
    run = templates[0].run_now(Program(flood, "f", (marshal.dumps((1,)),), 20.0, 20.0, 256 << 20, 1 << 16))
    assert run.overflowed
    assert run.ended_by == PARENT


def test_a_template_shows_its_memory_to_no_process_of_its_own_user(templates: list[Template]) -> None:
    """The kernel gives what belongs to a process that may not be dumped to root, whoever the process is."""
    for template in templates:
        folder = Path("/proc", str(template.process.pid))
        user = int(re.search(r"Uid:\s+(\d+)", (folder / "status").read_text())[1])
        assert user != 0
        assert (folder / "mem").stat().st_uid != user


def test_when_memory_runs_out_a_candidate_goes_before_its_parent(templates: list[Template]) -> None:
    assert {account(template.process.pid)["oom_score_adj"] for template in templates} == {b"1000\n"}
