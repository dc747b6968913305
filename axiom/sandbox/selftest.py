"""What a fresh template must show before it is trusted, and what it must go on showing.

Every probe is a candidate like any other and runs in a confined child. A probe that is not stopped means that a layer
does not hold.
"""

import marshal
from dataclasses import dataclass

from axiom.errors import ConfigError, SandboxError
from axiom.records import Outcome
from axiom.sandbox.host import Program, Template
from axiom.sandbox.judge import judge

_MEMORY = 256 << 20


@dataclass(frozen=True, slots=True)
class Probe:
    """A program, the answer that it must give to `f(3)`, and the outcome it must have."""

    name: str
    code: str
    outcome: Outcome
    layers: tuple[str, ...] = ()

    def program(self) -> Program:
        """As the pool runs it."""
        return Program(self.code, "f", (marshal.dumps((3,)),), 5.0, 30.0, _MEMORY, 1 << 16)


_SECCOMP = ("seccomp",)
_CALL = """
import sys
def f(x):
    frame = sys._getframe()
    while 'kernel' not in frame.f_globals:
        frame = frame.f_back
    frame.f_globals['kernel']({})
"""
"""Climbs to the template's own frame, as an attacker would, and makes a system call from there."""
_IMPORTS = """
import colorsys, graphlib, heapq, json, math, re, shlex, string, textwrap
def f(x):
    found = [
        colorsys.rgb_to_hsv(0.5, 0.25, 0.25), list(graphlib.TopologicalSorter({2: [1]}).static_order()),
        heapq.nsmallest(2, [3, 1, 2]), json.loads(json.dumps({"a": [1.5]})), math.isqrt(99),
        re.sub("(a)(b)", "\\\\2\\\\1", "ab"), shlex.split("a 'b c'"), string.capwords("a b"), textwrap.wrap("a b", 1),
    ]
    wanted = [(0.0, 0.5, 0.5), [1, 2], [1, 2], {"a": [1.5]}, 9, "ba", ["a", "b c"], "A B", ["a", "b"]]
    return x + (found == wanted)
"""
CANARIES = (
    Probe("a right program passes", "def f(x):\n    return x + 1\n", Outcome.PASSED),
    Probe("the standard library is as it was", _IMPORTS, Outcome.PASSED),
    Probe("a wrong program fails", "def f(x):\n    return x + 2\n", Outcome.WRONG_ANSWER),
)
PROBES = (
    Probe("read /etc/passwd", "def f(x):\n    return open('/etc/passwd').read()\n", Outcome.RUNTIME_ERROR),
    Probe("open a socket", _CALL.format("'socket', 2, 1"), Outcome.FORBIDDEN, _SECCOMP),
    Probe("connect", _CALL.format("'connect', 3, 0, 0"), Outcome.FORBIDDEN, _SECCOMP),
    Probe("fork", "import os\ndef f(x):\n    os.fork()\n", Outcome.FORBIDDEN, _SECCOMP),
    Probe("write a file", "def f(x):\n    open('/tmp/axiom', 'w')\n", Outcome.FORBIDDEN, _SECCOMP),
    Probe("signal the parent", "import os\ndef f(x):\n    os.kill(os.getppid(), 0)\n", Outcome.FORBIDDEN, _SECCOMP),
)
EXPECTED = (b"4",)
ADDITIONAL = ("namespaces", "empty_root")
"""Layers that are put on where they can be had; an ordinary user in a container cannot have them."""


def missing(layers: dict[str, tuple[bool, str]], without: tuple[str, ...]) -> list[tuple[str, str]]:
    """(layer, reason) of each mandatory layer that neither holds nor is named in `without`.

    An empty root stands in for Landlock on a kernel that has none: either leaves a child no file to open.
    """
    rooted = layers["empty_root"][0]
    return [
        (name, reason)
        for name, (holds, reason) in layers.items()
        if not holds and name not in (*without, *ADDITIONAL) and not (name == "landlock" and rooted)
    ]


def self_test(template: Template, without: tuple[str, ...]) -> None:
    """Run canaries and probes on `template`.

    Raises SandboxError naming the first layer that does not hold and that `without` does not name, ConfigError when
    `without` names no layer.
    """
    if unknown := sorted(set(without) - template.layers.keys()):
        raise ConfigError(
            f"sandbox.without names {unknown[0]!r}, which is no layer; layers: {', '.join(template.layers)}"
        )
    for name, reason in missing(template.layers, without):
        raise SandboxError(
            f"the sandbox layer {name} does not hold here ({reason}); run `axiom doctor`, or go without it by "
            f"setting sandbox.without to [{name!r}]"
        )
    for probe in (*CANARIES, *PROBES):
        if set(probe.layers) & set(without):
            continue
        found = judge(template.run_now(probe.program()), EXPECTED)
        if found.outcome != probe.outcome:
            raise SandboxError(
                f"the sandbox failed its self-test '{probe.name}': {found.outcome} instead of {probe.outcome} "
                f"({found.detail}); run `axiom doctor`"
            )
