"""A signal ends a process also where a library loses what its handler raises, or waits for ever on the way out."""

import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow
START = """
import atexit, socket, sys, threading, time
import typer
import axiom.ending
from axiom.cli.workflow import interruptible
axiom.ending.AGAIN_SECONDS, axiom.ending.LAST_SECONDS = 0.3, 2.0

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
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_process_and_says_how_to_go_on(way, number, status):
    command = [sys.executable, "-c", START.format(WAYS[way])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(0.1)
    process.send_signal(number)
    out, errors = process.communicate(timeout=20)
    assert (process.returncode, out) == (status, "")
    assert errors == "interrupted; what is finished is kept, and the same command goes on from there\n"
