"""A process beside a run that tells the server when the run's own was killed; the standard library alone, 10 MB.

A worker that is stopped kills its runs and says nothing of them, and neither does a machine that runs out of memory.
"""

import json
import os
import select
import sys
import time
import urllib.request
from datetime import UTC, datetime
from typing import Any

WORKER_SECONDS = 5.0
"""For the worker to tell first, if it lives: told twice, a run that someone retries meanwhile would crash again."""
PATIENCE_SECONDS = 60.0
"""For a server that is away."""
MESSAGE = "Its process was killed, with its worker or alone. Retry continues from the first stage not done."


def main() -> None:
    """Read from standard input which process to watch and which runs are its own; wait; tell."""
    told = json.loads(sys.stdin.readline())
    select.select([os.pidfd_open(told["pid"])], [], [])
    died = datetime.now(UTC)
    time.sleep(WORKER_SECONDS)
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        try:
            tell(told["url"], told["headers"], told["runs"], died)
            return
        except OSError:  # the server is away, or too busy to answer
            time.sleep(1.0)


def tell(url: str, headers: dict[str, str], runs: list[str], died: datetime) -> None:
    """Mark crashed what of the runs, and of their subflows, has been running since before their process died."""
    for key in ("id", "parent_flow_run_id"):
        running = {key: {"any_": runs}, "state": {"type": {"any_": ["RUNNING"]}}}
        for run in _post(f"{url}/flow_runs/filter", headers, {"flow_runs": running}):
            if datetime.fromisoformat(run["state"]["timestamp"]) > died:
                continue  # a retry is at work
            state = {"type": "CRASHED", "name": "Crashed", "message": MESSAGE}
            _post(f"{url}/flow_runs/{run['id']}/set_state", headers, {"state": state, "force": False})


def _post(url: str, headers: dict[str, str], body: dict[str, Any]) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read())


if __name__ == "__main__":
    main()
