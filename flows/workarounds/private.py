"""The private server of a run outlives Ctrl-C, and not the run; the server loads this as a plug-in.

Prefect starts a server of its own for a run that is given none. A terminal's Ctrl-C reaches both: without this, the
run would spend minutes on telling a dead server how it ended. And a run that is killed would leave its server behind.
"""

import os
import signal
import threading
import time

PARENT_SECONDS = 1.0
"""How often the server looks whether its run lives."""


def leave_the_terminal() -> None:
    """Keep signals to the run's process group from this process, and end it when the run has ended."""
    parent = os.getppid()
    if os.getpid() != os.getsid(0):
        os.setsid()
    threading.Thread(target=_follow, args=(parent,), name="follow-run", daemon=True).start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


if os.environ.get("PREFECT__SERVER_EPHEMERAL") == "1":
    leave_the_terminal()
