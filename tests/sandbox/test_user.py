"""The same verdicts for an ordinary user, with and without user namespaces, as for root."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from axiom.config import SandboxConfig
from axiom.verification import Verifier
from tests.sandbox.attacks import GROUPS

ROOT = Path(__file__).parents[2]
CHOSEN = [
    attack
    for group in ("odd_valid", "processes", "writes", "secrets", "network", "privilege")
    for attack in GROUPS[group]
]
AS_USER = """
import json, os, sys
from axiom.sandbox.inside import seccomp
from axiom.sandbox.inside.libc import Buffer, machine, numbers
from axiom.sandbox.inside.lockdown import _install, kernel
from axiom.sandbox.inside.syscalls import FATAL
from axiom.config import SandboxConfig
from axiom.verification import Verifier
from tests.sandbox.attacks import GROUPS

def reachable(paths):
    "Bind what lies below a private folder such as /root to its own place, in mounts of this process alone."
    private = {str(p) for path in paths for p in path.parents if not p.stat().st_mode & 1}
    if not private:
        return
    os.chdir("/")
    kernel("unshare", 0x20000)
    open_paths = {path: os.open(path, os.O_PATH) for path in paths}
    text = [Buffer(t.encode() + b"\\0") for t in ("none", "/", "tmpfs")]
    kernel("mount", text[0].address, text[1].address, 0, 0x44000, 0)
    for folder in private:
        place = Buffer(folder.encode() + b"\\0")
        kernel("mount", text[2].address, place.address, text[2].address, 0, 0)
        os.chmod(folder, 0o755)
    for path, fd in open_paths.items():
        if private & {str(p) for p in path.parents}:
            os.makedirs(path, exist_ok=True)
            source, place = Buffer(f"/proc/self/fd/{fd}\\0".encode()), Buffer(f"{path}\\0".encode())
            kernel("mount", source.address, place.address, 0, 0x1000, 0)

from pathlib import Path
if os.geteuid() == 0:
    reachable({Path(p).resolve() for p in (sys.base_prefix, sys.prefix, sys.argv[2])})
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
if sys.argv[1]:
    kernel("prctl", 38, 1)
    rules = [(numbers(FATAL)[name], [seccomp._end(seccomp.errno(1))]) for name in sys.argv[1].split(",")]
    _install(seccomp._program(machine(), rules, seccomp.ALLOW))
wanted = set(json.load(sys.stdin))
attacks = [a for group in GROUPS.values() for a in group if a.candidate.candidate_id in wanted]
with Verifier(SandboxConfig(workers=2, wall_factor=3)) as verifier:
    found = {v.candidate_id: v.outcome for v in verifier.verify(a.candidate for a in attacks)}
    print(json.dumps({"uid": os.getuid(), "tier": verifier.tier, "found": found}))
"""


def as_user(denied: str) -> dict[str, object]:
    result = subprocess.run(
        [sys.executable, "-c", AS_USER, denied, str(ROOT)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        input=json.dumps([attack.candidate.candidate_id for attack in CHOSEN]),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert result.returncode == 0, result.stderr[-2000:]
    found: dict[str, object] = json.loads(result.stdout)
    return found


@pytest.fixture(scope="module")
def wanted() -> dict[str, str]:
    return {attack.candidate.candidate_id: attack.outcome.value for attack in CHOSEN}


@pytest.mark.slow
def test_root_and_user_and_a_container_without_user_namespaces_agree(wanted: dict[str, str]) -> None:
    with Verifier(SandboxConfig(workers=2, wall_factor=3)) as verifier:
        here = {v.candidate_id: v.outcome.value for v in verifier.verify(attack.candidate for attack in CHOSEN)}
    user, contained = as_user(""), as_user("unshare,chroot,setns,mount")
    assert here == wanted
    assert user["found"] == wanted
    assert contained["found"] == wanted
    assert user["uid"] != 0
    assert "namespaces" not in str(contained["tier"])
