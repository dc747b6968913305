"""A signal ends a process also where a library loses what its handler raises, or waits for ever on the way out."""

import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow
START = r"""
import asyncio, atexit, signal, socket, sys, threading, time, weakref
import typer
import axiom.ending
from axiom.cli.workflow import interruptible
axiom.ending.AGAIN_SECONDS, axiom.ending.LAST_SECONDS = {}, {}

class Busy:  # the thread that hears of a signal is late
    def __init__(self, heard): self.heard = heard
    def __enter__(self): return self
    def __exit__(self, *error): self.heard.close()
    def recv(self, size):
        got = self.heard.recv(size)
        time.sleep(1)
        return got

def late(pair=socket.socketpair):
    heard, told = pair()
    return Busy(heard), told

socket.socketpair = late

def lost():
    try:
        time.sleep(60)
    except BaseException:
        pass

def converted():
    try:
        time.sleep(60)
    except BaseException:
        raise ValueError("made of it")

class Asked(BaseException):  # like Prefect's, which asyncio does not pass on as it does KeyboardInterrupt
    def __init__(self, number): self.signal = number

def raises(number, frame):
    raise Asked(number)

def unlike():
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, raises)

def in_a_callback():
    class Held: pass
    held = Held()
    reference = weakref.ref(held, lambda _: time.sleep(60))
    del held
    time.sleep(60)

def in_a_loop():
    socket.socketpair = late.__defaults__[0]
    loop = asyncio.new_event_loop()
    loop.call_soon(time.sleep, 60)
    loop.run_forever()

def in_a_library():  # it drops what comes up within its first second
    exec(
        "import time\nend = time.monotonic() + 1\n"
        "while time.monotonic() < end:\n"
        "    try: time.sleep(0.01)\n    except BaseException: print('lost')",
        dict(__name__="library"),
    )
    time.sleep(60)

class Late:
    def __del__(self, thread=threading.Thread):
        thread(target=print).start()

def run():
    with interruptible("the same command"):
        print("begun", flush=True)
        {}

try:
    run()
    print("concluded")
except typer.Exit as left:
    sys.exit(left.exit_code)
"""
WAYS = {
    "its exception is lost once": "lost(); time.sleep(60)",
    "its exception is lost again and again": "while True: lost()",
    "its exception is lost at the end": "lost(); time.sleep(0.1)",
    "something waits on the way out": "atexit.register(time.sleep, 60); time.sleep(60)",
    "a library begins a thread as Python ends": "typer.late = Late(); time.sleep(60)",
    "it is not lost": "time.sleep(60)",
    "another error is made of it": "converted()",
}
LAST_WORDS = "interrupted; what is finished is kept, and the same command goes on from there\n"
NEVER = 60.0
SEEN = {
    "in a weak reference's callback": "in_a_callback()",
    "in a weak reference's callback, as another": "unlike(); in_a_callback()",
    "in an event loop": "unlike(); in_a_loop()",
    "within a library": "in_a_library()",
    "within what handles it": "axiom.ending.SOON_SECONDS = 1e-4; in_a_library()",
}


def ended(code: str, number: int, again: float = 0.3, last: float = 2.0) -> tuple[int, str, str]:
    """Status, output and errors of a process that runs `code` and gets a signal, with its times in seconds."""
    command = [sys.executable, "-c", START.replace("{}, {}", f"{again}, {last}").replace("{}", code)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(0.1)
    process.send_signal(number)
    out, errors = process.communicate(timeout=20)
    return process.returncode, out, errors


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_process_and_says_how_to_go_on(way, number, status):
    assert ended(WAYS[way], number) == (status, "", LAST_WORDS)


@pytest.mark.parametrize("place", SEEN)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_that_is_seen_to_be_lost_comes_again_at_once_and_without_a_traceback(place, number, status):
    assert ended(SEEN[place], number, NEVER, NEVER) == (status, "", LAST_WORDS)


def test_a_signal_does_not_wait_for_a_library_for_ever():
    endless = "exec('import time\\nwhile True: time.sleep(0.01)', dict(__name__='library'))"
    assert ended(endless, signal.SIGTERM, NEVER, NEVER) == (143, "", LAST_WORDS)
