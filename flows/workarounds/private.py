"""The private server of a run: it outlives Ctrl-C, and not the run.

A terminal's Ctrl-C reaches the run and a server that Prefect starts for it: the run would spend minutes on telling a
dead server how it ended. And a run that is killed would leave its server behind. A server that Prefect starts loads
this as a plug-in. The command line starts its own by `python private.py DESCRIPTOR PID`, before the run has imported
anything: it listens on the socket DESCRIPTOR and ends with the process PID.
"""

import gc
import os
import signal
import socket
import sys
import threading
import time

PARENT_SECONDS = 1.0
"""How often the server looks whether its run lives."""
LAST_SECONDS = 10.0
"""From the end of the run to that of a server which does not end by itself: it would keep the database locked."""


def leave_the_terminal() -> None:
    """Keep signals to the run's process group from this process, and end it when the run has ended."""
    if os.getpid() != os.getsid(0):
        os.setsid()
    follow(os.getppid())


def follow(parent: int) -> None:
    """End this process when its parent has ended."""
    threading.Thread(target=_follow, args=(parent,), name="follow-run", daemon=True).start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LAST_SECONDS)
    os._exit(1)


def serve(listening: socket.socket) -> None:
    """Answer on `listening` as the server does that Prefect starts for a run."""
    gc.disable()  # an import makes no garbage, and to look for some takes a quarter of its time
    import uvicorn
    from prefect.plugins import load_prefect_collections
    from prefect.server.api.server import create_app

    load_prefect_collections()
    app = create_app(ephemeral=True, final=True)
    gc.freeze()
    gc.enable()
    uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on")).run([listening])


if __name__ == "__main__":
    follow(int(sys.argv[2]))
    serve(socket.socket(fileno=int(sys.argv[1])))
elif os.environ.get("PREFECT__SERVER_EPHEMERAL") == "1":
    leave_the_terminal()
