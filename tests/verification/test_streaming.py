"""Verdicts that fall while samples are still drawn: the same ones, and nothing left running when sampling fails."""

import threading
import time
from collections.abc import Iterable, Iterator

import pytest

from axiom.config import SandboxConfig
from axiom.errors import SandboxError
from axiom.records import Sample, Verdict
from axiom.verification import Candidate, Verifier, verify_samples
from axiom.verification.streaming import VerificationStream
from tests.verification.test_verification import PROBLEM, RIGHT, candidate, sample


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    with Verifier(SandboxConfig(workers=2)) as verifier:
        yield verifier


SAMPLES = [
    sample("right", RIGHT),
    sample("again", RIGHT),
    sample("wrong", "def f(x):\n    return 0\n"),
    sample("loop", "def f(x):\n    while True: pass\n"),
]


def test_a_source_that_has_none_yet_does_not_hold_verdicts_back(verifier: Verifier) -> None:
    seen: list[str] = []

    def source() -> Iterator[Candidate | None]:
        yield candidate("first")
        deadline = time.monotonic() + 10
        while not seen and time.monotonic() < deadline:
            time.sleep(0.005)
            yield None
        yield candidate("second" if seen else "late")

    for verdict in verifier.verify(source()):
        seen.append(verdict.candidate_id)
    assert seen == ["first", "second"]


def test_verdicts_ahead_are_those_of_the_stage(verifier: Verifier) -> None:
    def judge(samples: Iterable[Sample | None]) -> Iterator[Verdict]:
        return verify_samples({"p": PROBLEM}, samples, verifier, None)

    with VerificationStream(judge) as stream:
        with stream.sampling() as put:
            for item in SAMPLES:
                put(item)
                time.sleep(0.05)
        outcome = {verdict.sample_id: verdict.outcome for verdict in stream.verdicts()}
        assert stream.verdicts() is None, "a stage that is tried again judges by itself"
    assert outcome == {verdict.sample_id: verdict.outcome for verdict in judge(iter(SAMPLES))}
    assert set(outcome) == {item.sample_id for item in SAMPLES}


def test_sampling_that_fails_takes_the_thread_with_it(verifier: Verifier) -> None:
    before = threading.active_count()

    def failing() -> None:
        stream = VerificationStream(lambda samples: verify_samples({"p": PROBLEM}, samples, verifier, None))
        with stream.sampling() as put:
            put(SAMPLES[0])
            raise RuntimeError("the engine died")

    with pytest.raises(RuntimeError, match="engine"):
        failing()
    assert threading.active_count() == before
    assert [verdict.candidate_id for verdict in verifier.verify([candidate("next")])] == ["next"]


def test_a_sandbox_that_fails_is_heard_of_where_the_verdicts_are_due() -> None:
    def judge(samples: Iterable[Sample | None]) -> Iterator[Verdict]:
        raise SandboxError("no sandbox")
        yield

    with VerificationStream(judge) as stream:
        with stream.sampling() as put:
            put(SAMPLES[0])
        with pytest.raises(SandboxError, match="no sandbox"):
            stream.verdicts()


def test_work_that_is_given_up_leaves_the_sandbox_to_the_next(verifier: Verifier) -> None:
    def judge(samples: Iterable[Sample | None]) -> Iterator[Verdict]:
        return verify_samples({"p": PROBLEM}, samples, verifier, None)

    before = threading.active_count()
    with VerificationStream(judge) as stream:
        with stream.sampling() as put:
            for number in range(200):
                put(sample(str(number), f"{RIGHT}# {number}\n"))
        with stream.sampling() as put:  # as when the stage fails after its sampling and is run again
            assert threading.active_count() == before + 1
            put(SAMPLES[0])
        assert [verdict.sample_id for verdict in stream.verdicts()] == ["right"]
        with stream.sampling() as put:
            put(SAMPLES[0])
    assert threading.active_count() == before, "nobody collected the last"
