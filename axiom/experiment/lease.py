"""One writer at a time in an object store: a lease that ends by itself unless its holder renews it.

    <experiment>/.lease/0000000007      who holds it and until when, as JSON

Each file follows the one before: to take the lease, to renew it and to give it back is to make the file of the next
number, which a store makes for one process only (`If-None-Match: *`). The highest number decides. It is a fencing token
as well: a holder that was stopped or cut off so long that another took over finds a higher number than its own before
it writes the next file, and writes no more. The last file stays when the lease is given back, so numbers never return.

The store must list at once what was written, as those of Amazon, Google and Microsoft do.
Whether a lease has ended is told by the store's clock, which dates the files: the clocks of two machines may differ.
"""

import os
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from axiom.errors import AxiomError, ConfigError, DataError, LockedError
from axiom.experiment.lock import Holder, this_process
from axiom.folders import Folder

PLACE = ".lease"
CLOCK = "clock"
"""A file beside the leases that is written only to be dated."""
SECONDS = 60.0
"""How long a lease lasts; it is renewed after a third of that. AXIOM_LEASE_SECONDS sets another."""
SHORTEST, LONGEST = 1, 3600


@dataclass(frozen=True)
class Lease:
    """One file. `until` is UTC by the holder's clock and for people, `mark` is random and tells holders apart.

    `machine` names the running kernel and its process numbers, empty where they have no name.
    """

    holder: Holder
    until: AwareDatetime
    mark: str
    machine: str
    seconds: Annotated[float, Field(ge=SHORTEST, le=LONGEST)] = SECONDS
    returned: bool = False

    @classmethod
    def read(cls, data: bytes) -> "Lease | None":
        """The lease in a file, None if it is damaged."""
        try:
            return _lease().validate_json(data)
        except ValidationError:
            return None

    def to_json(self) -> bytes:
        """As a file holds it."""
        return _lease().dump_json(self)

    def given_up(self) -> bool:
        """Whether its holder gave it back, or died on this machine."""
        return self.returned or (self.machine != "" and self.machine == _machine() and not self.holder.runs())

    def holds(self) -> bool:
        """Whether its holder may still write, as far as this machine's clock tells."""
        return not self.given_up() and datetime.now(UTC) <= self.until

    def __str__(self) -> str:
        return f"{self.holder}; its lease ends at {self.until.astimezone(UTC):%H:%M:%S} UTC unless it renews it"


@cache
def _lease() -> TypeAdapter[Lease]:
    return TypeAdapter(Lease)


class Held:
    """The lease of one experiment in our hands, renewed by a thread."""

    def __init__(self, folder: Folder, what: str, next_step: str) -> None:
        self._folder, self._what, self._next_step = folder.join(PLACE), what, next_step
        self._seconds, self._mark, self._number = seconds(), secrets.token_hex(8), 0
        self._us, self._renewed = this_process(), time.monotonic()
        self._busy, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name="axiom-lease", daemon=True)
        self._lost: str | None = None

    def take(self) -> None:
        """Take the lease and begin to renew it.

        Raises LockedError that names the holder and when its lease ends, if there is one.
        """
        while True:
            number, last = newest(self._folder)
            try:
                taken = last is not None and self._goes_on(number, last)
            except DataError:  # it was followed by another and removed
                continue
            if taken:
                raise LockedError(f"{self._what} is being written by {last}; {self._next_step}")
            if self._make(number + 1):
                break
        if self._folder.write_new(_name(self._number), self._record() + b"\n"):  # over what we have just made
            print(
                f"{self._folder.url} is in a store that overwrites a file where it is asked to make a new one "
                f"(If-None-Match), so two runs of one experiment that start in the same second are not kept apart",
                file=sys.stderr,
                flush=True,
            )
        self._thread.start()

    def check(self) -> None:
        """Raise LockedError if another process has taken the lease over; asks the store."""
        with self._busy:
            self._look()  # which may take long itself
            while self._lost is None and time.monotonic() - self._renewed > self._seconds * 2 / 3:
                self._renew()
            if self._lost is not None:
                raise LockedError(
                    f"{self._what} was taken over by {self._lost} while this process was stopped or cut off and did "
                    f"not renew its lease of {self._seconds:g} s; this process writes no more"
                )

    def give_back(self) -> None:
        """End the lease, so that the next run need not wait for it to run out."""
        self._ended.set()
        self._thread.join()
        with suppress(AxiomError):
            if self._lost is None and self._number in _numbers(self._folder):  # else the experiment was deleted
                self._make(self._number + 1, returned=True)

    def _goes_on(self, number: int, last: Lease) -> bool:
        """Whether a lease has not ended by the store's clock, which counts in whole seconds."""
        if last.given_up():
            return False
        self._folder.write_bytes(CLOCK, b"")
        age = self._folder.modified(CLOCK) - self._folder.modified(_name(number))
        return age.total_seconds() <= last.seconds + 1

    def _keep(self) -> None:
        pause = self._seconds / 3
        while not self._ended.wait(pause):
            pause = self._seconds / 12  # of a second try, should the first fail
            with suppress(AxiomError), self._busy:
                if self._lost is None:
                    self._renew()
                pause = self._seconds / 3

    def _renew(self) -> None:
        if not self._make(self._number + 1):
            self._look()

    def _look(self) -> None:
        """Find out whether the last file is ours, also where we never heard that it was made."""
        number, last = newest(self._folder)
        if last is not None and last.mark == self._mark:
            self._number = number
        else:
            self._lost = str(last.holder) if last else "another process"

    def _make(self, number: int, returned: bool = False) -> bool:
        """Make the file of this number, the last one; whether we did."""
        started = time.monotonic()
        if not self._folder.write_new(_name(number), self._record(returned)):
            return False
        numbers = [old for old in _numbers(self._folder) if old != number]
        if max(numbers, default=0) > number:  # a number that was gone again, since others have been here meanwhile
            return False
        self._number, self._renewed = number, started
        for old in numbers:
            with suppress(AxiomError):
                self._folder.remove(_name(old))
        return True

    def _record(self, returned: bool = False) -> bytes:
        until = datetime.now(UTC) + timedelta(seconds=self._seconds)
        return Lease(self._us, until, self._mark, _machine(), self._seconds, returned).to_json()


@contextmanager
def held(folder: Folder, what: str, next_step: str) -> Iterator[Held]:
    """Hold the lease of an experiment's folder. Raises LockedError if another process does."""
    lease = Held(folder, what, next_step)
    lease.take()
    try:
        yield lease
    finally:
        lease.give_back()


def holder(folder: Folder) -> Holder | None:
    """Who may write in the folder now; None if nobody does."""
    _, last = newest(folder.join(PLACE))
    return last.holder if last is not None and last.holds() else None


def newest(place: Folder) -> tuple[int, Lease | None]:
    """The last lease and its number; 0 and None if there has been none."""
    while numbers := _numbers(place):
        with suppress(DataError):  # it was followed by another and removed
            return numbers[-1], Lease.read(place.read_bytes(_name(numbers[-1])))
    return 0, None


def seconds() -> float:
    """How long a lease lasts. Raises ConfigError for a setting that is no number of seconds."""
    text = os.environ.get("AXIOM_LEASE_SECONDS", str(SECONDS))
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not SHORTEST <= found <= LONGEST:
        raise ConfigError(
            f"AXIOM_LEASE_SECONDS = {text!r} must be a number of seconds within {SHORTEST}..{LONGEST}; {SECONDS:g} is "
            f"usual"
        )
    return found


def _numbers(place: Folder) -> list[int]:
    return sorted(int(name) for name in place.names() if name.isdecimal())


def _name(number: int) -> str:
    return f"{number:010d}"


def _machine() -> str:
    """The running kernel and the numbering of its processes that we are in; empty where the system does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
