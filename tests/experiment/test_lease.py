"""One writer of an experiment in an object store, against a real S3 server: a lease that ends, a token that fences."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import s3fs

from axiom.config import load_config
from axiom.errors import ConfigError, LockedError
from axiom.experiment import Experiment, lease
from axiom.experiment.lease import Held, Lease, newest
from axiom.experiment.lock import Holder
from axiom.folders import Folder
from tests.object_store import BUCKET, address_name, environment, files, proxied, rclone

pytestmark = pytest.mark.slow

ELSEWHERE = Lease(
    Holder(4321, "far.example.org", "2026-01-01 00:00:00 UTC", 7), datetime.now(UTC), "abc", "another kernel"
)


@pytest.fixture(scope="module")
def server(moto_url) -> str:
    return moto_url


@pytest.fixture(autouse=True)
def here(server, monkeypatch) -> Iterator[None]:
    for name, value in environment(server).items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    yield
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def experiment(request) -> Experiment:
    return Experiment(f"s3://{BUCKET}/{address_name(request)}", load_config(None, ["name=one"]))


def leave(experiment: Experiment, found: Lease, seconds: float = 3600) -> None:
    """A lease that somebody took and that ends in so many seconds."""
    left = replace(found, until=datetime.now(UTC) + timedelta(seconds=seconds))
    experiment.folder.join(".lease").write_bytes("0000000005", left.to_json())


def test_the_second_writer_is_refused_with_the_holder_and_the_end(experiment):
    other = Experiment(experiment.root, experiment.config)
    with experiment.locked():
        assert other.is_locked()
        with pytest.raises(LockedError) as said, other.locked():
            pass
    until = r"its lease ends at \d\d:\d\d:\d\d UTC unless it renews it"
    assert re.fullmatch(
        rf"experiment 'one' is being written by process {os.getpid()} on \S+ since .* UTC; {until}; wait for it, or "
        rf"end it and `\S*axiom resume one --root {experiment.root}`",
        str(said.value),
    )
    assert not other.is_locked()
    with other.locked():
        assert experiment.is_locked()


def test_of_many_at_once_one_writes(experiment):
    writing, most, done = [0], [0], []
    lock = threading.Lock()

    def write() -> None:
        try:
            with Experiment(experiment.root, experiment.config).locked():
                with lock:
                    writing[0] += 1
                    most[0] = max(most[0], writing[0])
                time.sleep(0.2)
                with lock:
                    writing[0] -= 1
                    done.append(True)
        except LockedError:
            pass

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert done


def taken_at_last(experiment: Experiment) -> int:
    """Hold the lease as soon as that is possible; its number."""
    for _ in range(400):
        try:
            with experiment.locked():
                return newest(experiment.folder.join(".lease"))[0]
        except LockedError:
            time.sleep(0.05)
    raise AssertionError("it never ended")


def test_a_holder_elsewhere_is_believed_until_its_lease_ends_by_the_store_s_clock(experiment):
    """Who only looks goes by the clock of this machine; who takes the lease does not."""
    leave(experiment, ELSEWHERE, seconds=-3600)
    assert not experiment.is_locked(), "that machine's clock is behind by an hour"
    with pytest.raises(LockedError, match=r"process 4321 on far\.example\.org since"), experiment.locked():
        pass
    leave(experiment, replace(ELSEWHERE, seconds=1), seconds=3600)
    assert experiment.is_locked(), "and now ahead"
    assert taken_at_last(experiment) == 6


def test_a_holder_that_died_on_this_machine_is_not_waited_for(experiment):
    with experiment.locked():
        _, ours = newest(experiment.folder.join(".lease"))
    assert ours.machine
    leave(experiment, replace(ours, holder=replace(ours.holder, started=ours.holder.started - 1)))
    assert not experiment.is_locked(), "its number is another process's now"
    leave(experiment, replace(ours, machine=""))
    assert experiment.is_locked(), "who does not say where it runs is believed"


def test_a_lease_is_renewed_and_the_last_file_stays(experiment, monkeypatch):
    monkeypatch.setenv("AXIOM_LEASE_SECONDS", "1")
    place = experiment.folder.join(".lease")
    with experiment.locked():
        first = newest(place)
        for _ in range(200):
            if newest(place)[0] > first[0] + 1:
                break
            time.sleep(0.05)
        number, last = newest(place)
        assert number > first[0] + 1
        assert last.until > first[1].until
    assert len(place.names()) == 1
    assert newest(place)[1].returned
    with experiment.locked():
        assert newest(place)[0] > number, "numbers never return"


def test_one_that_was_overtaken_writes_no_more(experiment):
    """Also where its own next number is free again, since the other has removed old files."""
    held = Held(Folder(experiment.folder.url), "it", "wait")
    held.take()
    held.check()
    leave(experiment, ELSEWHERE)
    with pytest.raises(
        LockedError, match=r"it was taken over by process 4321 on far.* did not renew its lease of 60 s"
    ):
        held.check()
    held.give_back()
    number, last = newest(experiment.folder.join(".lease"))
    assert (number, last.mark) == (5, "abc"), "it leaves the other's lease alone"


def test_a_lease_that_ends_while_the_store_answers_is_renewed_before_anything_is_sent(experiment, server, monkeypatch):
    monkeypatch.setenv("AXIOM_LEASE_SECONDS", "1.5")
    with proxied(server) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        s3fs.S3FileSystem.clear_instance_cache()
        held = Held(Folder(experiment.folder.url), "it", "wait")
        held.take()
        held._ended.set()  # so that nothing else renews it
        held._thread.join()
        number = newest(experiment.folder.join(".lease"))[0]
        proxy.slow_seconds = 1.5
        slow = iter(["slow"])
        proxy.fault = lambda asked: next(slow, None) if "prefix" in asked.path else None
        held._renewed = time.monotonic()
        held.check()
        assert newest(experiment.folder.join(".lease"))[0] > number
        held.give_back()


def test_a_renewal_whose_answer_was_lost_is_its_own(experiment):
    held = Held(Folder(experiment.folder.url), "it", "wait")
    held.take()
    place = experiment.folder.join(".lease")
    _, ours = newest(place)
    place.write_bytes("0000000002", ours.to_json())
    held.check()
    held.give_back()
    assert newest(place)[0] == 3


PAUSED = """
import os, sys, time
from axiom.config import load_config
from axiom.experiment import Experiment
experiment = Experiment(sys.argv[1], load_config(None, ["name=one"]))
try:
    with experiment.locked():
        experiment.folder.write_bytes("before", b"1")
        experiment.folder.uploads.flush()
        print("holding", flush=True)
        sys.stdin.readline()
        experiment.folder.write_bytes("after", b"1")
        experiment.folder.uploads.flush()
except Exception as error:
    print(type(error).__name__, error, flush=True)
"""


@pytest.mark.parametrize("end", [signal.SIGSTOP, pytest.param(signal.SIGKILL, marks=pytest.mark.long)])
def test_a_holder_that_is_stopped_or_killed_loses_its_lease(experiment, end):
    """And one that is continued after another took over writes nothing."""
    process = subprocess.Popen(
        [sys.executable, "-c", PAUSED, experiment.root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"AXIOM_LEASE_SECONDS": "3", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout.readline() == "holding\n"
    os.kill(process.pid, end)
    if end == signal.SIGKILL:
        process.wait()
    taken_at_last(experiment)
    with experiment.locked():
        experiment.folder.write_bytes("mine", b"1")
        experiment.folder.uploads.flush()
        if end == signal.SIGSTOP:
            os.kill(process.pid, signal.SIGCONT)
            said, _ = process.communicate("go on\n")
            assert re.fullmatch(r"LockedError experiment 'one' was taken over by process \d+ on .*no more\n", said)
    assert experiment.folder.names() == [".lease", "before", "mine"]


def test_nothing_is_left_of_an_experiment_that_was_deleted(experiment):
    with experiment.locked():
        Folder(experiment.folder.url).remove_all()
    assert Folder(experiment.root).names() == []


@pytest.mark.parametrize("text", ["0", "1e9", "nan", "soon"])
def test_a_lease_of_no_length_is_refused(text, monkeypatch, experiment):
    monkeypatch.setenv("AXIOM_LEASE_SECONDS", text)
    with pytest.raises(ConfigError, match=r"AXIOM_LEASE_SECONDS = .* must be a number of seconds"), experiment.locked():
        pass


def test_a_damaged_lease_does_not_lock_for_ever(experiment):
    whole = json.loads(ELSEWHERE.to_json())
    damaged = [
        {"until": "2099-01-01T00:00:00"},
        {"until": "soon"},
        {"seconds": "soon"},
        {"seconds": 1e300},
        {"holder": None},
        {"holder": {"process": []}},
        {"mark": []},
    ]
    for text in ["{", "[]", *(json.dumps(whole | change) for change in damaged)]:
        experiment.folder.join(".lease").write_bytes("0000000005", text.encode())
        assert not experiment.is_locked(), text
        with experiment.locked():
            assert newest(experiment.folder.join(".lease"))[0] == 6, text
        experiment.folder.join(".lease").remove_all()


def test_a_lease_of_a_later_version_is_believed(experiment):
    more = json.loads(replace(ELSEWHERE, until=datetime.now(UTC) + timedelta(hours=1)).to_json()) | {"room": 7}
    experiment.folder.join(".lease").write_bytes("0000000005", json.dumps(more).encode())
    assert experiment.is_locked()


def test_a_listing_that_lags_refuses_nobody(experiment, monkeypatch):
    """Not even the one whose file it does not show yet."""
    monkeypatch.setattr(lease, "_numbers", lambda place, real=lease._numbers: real(place)[:-1])
    held = Held(Folder(experiment.folder.url), "it", "wait")
    held.take()
    assert Folder(experiment.folder.url).join(".lease").exists("0000000001")
    held.give_back()


@pytest.mark.slow
def test_a_store_without_conditional_writes_is_warned_of(tmp_path, monkeypatch, capsys, experiment):
    with experiment.locked():
        pass
    assert capsys.readouterr().err == ""
    with rclone(tmp_path) as address:
        files(address).mkdir(BUCKET)
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        s3fs.S3FileSystem.clear_instance_cache()
        first = Experiment(experiment.root, experiment.config)
        with first.locked():
            assert "overwrites a file where it is asked to make a new one (If-None-Match)" in capsys.readouterr().err
            with pytest.raises(LockedError), Experiment(experiment.root, experiment.config).locked():
                pass
        assert lease.holder(first.folder) is None
