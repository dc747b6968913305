"""Every hostile program has its only acceptable outcome, leaves nothing behind and spoils nobody else's verdict."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from axiom.config import SandboxConfig
from axiom.records import Case, Outcome
from axiom.verification import Candidate, Verifier
from tests.sandbox.attacks import GROUPS

pytestmark = pytest.mark.alone

CANARY = Path("/tmp/axiom_canary")
NEXT = Candidate("next", "def f(x):\n    return x + 1\n", "f", (Case(args="[1]", expected="2"),))
NEXT_WRONG = Candidate("next wrong", "def f(x):\n    return x\n", "f", (Case(args="[1]", expected="2"),))


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    slow_and_rich = Candidate(
        "r", "import datetime, time\ndef f(x):\n    time.sleep(0.2)\n    return x + 1\n", "f", NEXT.cases
    )
    with Verifier(SandboxConfig(workers=2, wall_factor=3)) as verifier:
        list(verifier.verify([slow_and_rich] * 8))  # both kinds of template are up from here on
        yield verifier


@pytest.fixture
def nothing_left(verifier: Verifier) -> Iterator[None]:
    """No file made, no metadata changed, no descriptor or process more than before."""
    CANARY.write_text("untouched")
    list(verifier.verify([NEXT] * 4))
    before = surroundings()
    yield
    after = surroundings()
    CANARY.unlink()
    assert after == before


def surroundings() -> dict[str, object]:
    names = {folder: sorted(os.listdir(folder)) for folder in ("/tmp", "/dev/shm", "/", os.getcwd())}
    stat = CANARY.stat()
    return {
        "files": {folder: [name for name in names[folder] if "axiom_" in name] for folder in names},
        "canary": (CANARY.read_text(), stat.st_mode, stat.st_uid, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_nlink),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "grandchildren": grandchildren(os.getpid()),
    }


def grandchildren(pid: int) -> list[str]:
    """Descendants of this process's children: after a batch no template has a child."""
    return [line for child in children(pid) for line in children(int(child))]


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_the_suite_is_as_large_as_promised() -> None:
    hostile = {name: attacks for name, attacks in GROUPS.items() if name != "odd_valid"}
    titles = [(attack.group, attack.title) for attacks in GROUPS.values() for attack in attacks]
    assert len(hostile) >= 10
    assert sum(map(len, hostile.values())) >= 150
    assert len(GROUPS["odd_valid"]) >= 30
    assert len(set(titles)) == len(titles)
    assert all(attack.outcome != Outcome.PASSED for attacks in hostile.values() for attack in attacks)


@pytest.mark.parametrize("group", GROUPS)
def test_each_has_its_only_acceptable_outcome(group: str, verifier: Verifier, nothing_left: None) -> None:
    stream = [row for attack in GROUPS[group] for row in (attack.candidate, NEXT, NEXT_WRONG)]
    verdicts = list(verifier.verify(stream))
    found = {verdict.candidate_id: verdict for verdict in verdicts}
    wanted = {attack.candidate.candidate_id: attack.outcome for attack in GROUPS[group]}
    wrong = {name: found[name] for name in wanted if found[name].outcome != wanted[name]}
    assert not wrong
    assert len(verdicts) == len(stream)
    assert all(v.outcome == Outcome.PASSED for v in verdicts if v.candidate_id == "next")
    assert all(v.outcome == Outcome.WRONG_ANSWER for v in verdicts if v.candidate_id == "next wrong")


GIANT = {
    "a hundred thousand minus signs": ("y = " + "-" * 100_000 + "1", Outcome.SYNTAX_ERROR),
    "ten thousand parentheses": ("y = " + "(" * 10_000 + ")" * 10_000, Outcome.SYNTAX_ERROR),
    "a hundred thousand open brackets": ("y = " + "[" * 100_000, Outcome.SYNTAX_ERROR),
    "a hundred thousand attributes": ("y = f" + ".a" * 100_000, Outcome.SYNTAX_ERROR),
    "twenty thousand lambdas": ("y = " + "lambda:" * 20_000 + "1", Outcome.SYNTAX_ERROR),
    "twenty thousand branches": ("if 0: pass\n" + "elif 0: pass\n" * 20_000, Outcome.SYNTAX_ERROR),
    "a null byte": ("a\0b", Outcome.SYNTAX_ERROR),
    "a lone surrogate": ("y = '\ud800'", Outcome.SYNTAX_ERROR),
    "an int literal beyond the limit": ("y = " + "1" * 5000, Outcome.SYNTAX_ERROR),
    "a constant too large to fold": ("y = 'a' * 10**10", Outcome.MEMORY_LIMIT),
    "a million lines": ("x = 1\n" * 1_000_000, Outcome.MEMORY_LIMIT),
    "five megabytes of comment": ("#" + "a" * 5_000_000, Outcome.PASSED),
    "a hundred and fifty parentheses": ("y = " + "(" * 150 + "1" + ")" * 150, Outcome.PASSED),
    "a hundred thousand keys": ("y = {" + ",".join(f"{i}: {i}" for i in range(100_000)) + "}", Outcome.PASSED),
    "carriage returns alone": ("\r\r\f", Outcome.PASSED),
}


@pytest.mark.parametrize("name", GIANT)
def test_giant_and_deep_sources(name: str, verifier: Verifier, nothing_left: None) -> None:
    source, outcome = GIANT[name]
    program = Candidate(name, f"{source}\n{NEXT.code}", "f", NEXT.cases, timeout_s=5.0, memory_mb=256)
    assert [verdict.outcome for verdict in verifier.verify([program])] == [outcome]
