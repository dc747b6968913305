"""Each isolation layer alone: what it stops succeeds with every layer out and fails with only this one in."""

import json
import marshal
import os
import subprocess
import sys
from pathlib import Path

import pytest

from axiom.errors import ConfigError, SandboxError
from axiom.sandbox.host import Program, Run, Template
from axiom.sandbox.inside.lockdown import LAYERS
from axiom.sandbox.inside.seccomp import child_filter, template_filter
from axiom.sandbox.judge import judge
from axiom.sandbox.selftest import self_test

SYSTEM_CALL = """
import sys
frame = sys._getframe()
while 'kernel' not in frame.f_globals:
    frame = frame.f_back
kernel = frame.f_globals['kernel']
"""
OPEN = "def f(x):\n    return open('/etc/passwd').read(0)\n"
NETWORK = os.readlink("/proc/self/ns/net")
PROBES = {
    "landlock": ([], OPEN, '""'),
    "empty_root": ([], OPEN, '""'),
    "seccomp": (
        [],
        "import os\ndef f(x):\n    pid = os.fork()\n    if pid == 0:\n        os._exit(0)\n"
        "    return os.waitpid(pid, 0)[1]\n",
        "0",
    ),
    "rlimits": ([], "def f(x):\n    return len(bytearray(1 << 30)) >> 30\n", "1"),
    "identity": ([], "import os\ndef f(x):\n    return os.getuid() == 0 and os.chroot('/')\n", "null"),
    "no_new_privs": ([], SYSTEM_CALL + "def f(x):\n    return kernel('prctl', 39)\n", "0"),
    "namespaces": ([], f"import os\ndef f(x):\n    return os.readlink('/proc/self/ns/net') == {NETWORK!r}\n", "true"),
}


def run(code: str, without: set[str]) -> Run:
    template = Template(sorted(without))
    try:
        return template.run_now(Program(code, "f", (marshal.dumps((1,)),), 5.0, 20.0, 256 << 20, 1 << 16))
    finally:
        template.close()


def succeeds(run: Run, value: str) -> bool:
    return judge(run, (value.encode(),)).outcome == "passed"


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_alone_stops_what_all_layers_out_allow(layer: str) -> None:
    if os.geteuid() != 0 and layer in {"empty_root", "identity", "namespaces"}:
        pytest.skip("needs root: tests/sandbox/test_user.py covers the ordinary user")
    _, code, value = PROBES[layer]
    needed = {"landlock": {"no_new_privs"}, "seccomp": {"no_new_privs"}}.get(layer, set())
    assert succeeds(run(code, set(LAYERS)), value), "the probe itself does not work, so it proves nothing"
    assert not succeeds(run(code, set(LAYERS) - {layer} - needed), value)


def test_every_layer_has_a_probe() -> None:
    assert PROBES.keys() == LAYERS.keys()


def test_a_child_inherits_its_channel_and_nothing_else() -> None:
    code = "import os\ndef f(x):\n    return sorted(int(fd) for fd in os.listdir('/proc/self/fd'))\n"
    assert succeeds(run(code, set(LAYERS)), "[0,1,2,3,4]")  # 4 is the listing itself


def test_stdio_leads_nowhere() -> None:
    code = "import os\ndef f(x):\n    return [os.readlink(f'/proc/self/fd/{fd}') for fd in range(3)]\n"
    assert succeeds(run(code, set(LAYERS)), '["/dev/null","/dev/null","/dev/null"]')


def test_an_unknown_architecture_is_refused_by_name() -> None:
    code = (
        "import os, types\nuname = os.uname()\n"
        "os.uname = lambda: types.SimpleNamespace(machine='riscv64')\n"
        "from axiom.sandbox.inside.libc import machine\nmachine()\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert "no system call table for riscv64; known: x86_64, aarch64" in result.stderr


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_both_tables_assemble_into_programs_the_kernel_would_take(machine: str) -> None:
    for program in (template_filter(machine), child_filter(machine, 1)):
        assert len(program) % 8 == 0
        assert len(program) // 8 <= 4096  # BPF_MAXINSNS
        assert program[-8:-6] == b"\x06\x00"  # it ends by returning an answer


DENY = """
import json, sys
from axiom.sandbox.inside import seccomp
from axiom.sandbox.inside.libc import machine, numbers
from axiom.sandbox.inside.lockdown import _install, kernel
from axiom.sandbox.inside.syscalls import FATAL
denied = numbers(FATAL)
rules = [(denied[name], [seccomp._end(seccomp.errno(38))]) for name in sys.argv[1].split(",")]
kernel("prctl", 38, 1)
_install(seccomp._program(machine(), rules, seccomp.ALLOW))
from axiom.config import SandboxConfig
from axiom.config import SandboxConfig
from axiom.errors import ConfigError, SandboxError
from axiom.verification import Verifier
try:
    with Verifier(SandboxConfig(workers=1, without=json.loads(sys.argv[2]))) as verifier:
        print(verifier.tier)
except SandboxError as error:
    print("refused:", error)
"""


def on_a_machine_that_lacks(calls: str, without: tuple[str, ...] = ()) -> str:
    """What a Verifier does in a process whose kernel answers ENOSYS to `calls`."""
    command = [sys.executable, "-c", DENY, calls, json.dumps(without)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True)
    return result.stdout.strip()


def test_without_landlock_an_empty_root_takes_its_place_and_the_tier_says_so() -> None:
    assert "landlock" not in on_a_machine_that_lacks("landlock_create_ruleset").split("+")


@pytest.mark.slow
def test_without_landlock_and_empty_root_it_refuses_until_told() -> None:
    lacking = "landlock_create_ruleset,chroot"
    said = on_a_machine_that_lacks(lacking)
    assert said.startswith("refused:")
    assert "landlock" in said
    assert "sandbox.without" in said
    assert on_a_machine_that_lacks(lacking, ("landlock",)).split("+")[-1] == "seccomp"


def test_without_namespaces_it_runs() -> None:
    tier = on_a_machine_that_lacks("unshare").split("+")
    assert "namespaces" not in tier
    assert {"landlock", "seccomp", "identity", "rlimits", "no_new_privs"} <= set(tier)


def test_root_of_a_user_namespace_with_one_id_is_an_ordinary_user() -> None:
    code = (
        "from axiom.config import SandboxConfig\nfrom axiom.verification import Verifier\n"
        "with Verifier(SandboxConfig(workers=1)) as verifier:\n"
        "    print(verifier.templates[0].layers['identity'][1])\n"
    )
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    if "unshare failed" in result.stderr:
        pytest.skip("this machine allows no user namespaces")
    assert "maps nobody else" in result.stdout, result.stderr


def test_a_layer_that_does_not_exist_cannot_be_left_out() -> None:
    template = Template(("landlok",))
    try:
        with pytest.raises(ConfigError, match="'landlok', which is no layer; layers: namespaces"):
            self_test(template, ("landlok",))
    finally:
        template.close()


def test_without_seccomp_it_refuses() -> None:
    template = Template(("seccomp",))
    try:
        with pytest.raises(SandboxError, match="seccomp does not hold"):
            self_test(template, ())
    finally:
        template.close()
