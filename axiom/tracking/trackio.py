"""trackio: a database on this machine, in the folder of TRACKIO_DIR; `trackio show` opens it.

`uri` names a Space, or the address of a server with its write token.
"""

import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from axiom.tracking import Ending, Subject

NEEDS = "trackio"


class Open:
    """A run of the project. Its name is the run's, with a number if that is taken; a resumed one goes on with it."""

    def __init__(self, subject: Subject) -> None:
        import trackio
        from trackio.sqlite_storage import SQLiteStorage

        there = [] if subject.uri else SQLiteStorage.get_runs(subject.project)
        self._name = str(subject.known.get("name") or _free(subject.name, there))
        with redirect_stdout(io.StringIO()):  # it prints how to open it
            self._run = trackio.init(
                project=subject.project,
                name=self._name,
                config=dict(subject.config) | ({"forked_from": subject.parent} if subject.parent else {}),
                resume="allow" if subject.known else "never",
                auto_log_gpu=False,
                auto_log_cpu=False,
                embed=False,
                **{"server_url" if subject.uri.startswith("http") else "space_id": subject.uri or None},
            )
        self.last = subject.last
        if not subject.uri:  # what was logged last is written a moment later, and a killed run may not have noted it
            newest = SQLiteStorage.get_max_step_for_run(subject.project, self._name)
            self.last = -1 if newest is None else newest

    def note(self) -> dict[str, Any]:
        """The run's name here."""
        return {"name": self._name}

    def scalars(self, iteration: int, values: Mapping[str, float]) -> None:
        """Figures with the iteration as the step."""
        self._run.log(dict(values), step=iteration)

    def samples(self, iteration: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """A table for each iteration."""
        import pandas
        import trackio

        if rows:
            self._run.log({"samples": trackio.Table(dataframe=pandas.DataFrame(list(rows)))}, step=iteration)

    def finish(self, report: Path | None, ending: Ending) -> None:
        """The report as an artifact, and the run's end."""
        with redirect_stdout(io.StringIO()):
            if report is not None:
                self._run.log_artifact(report, name=f"{self._name}-report", type="report")
            self._run.finish()


def _free(name: str, there: Sequence[str]) -> str:
    """`name`, or with the first number that makes it one that is not there."""
    return next(one for one in (name, *(f"{name}-{n}" for n in range(2, len(there) + 3))) if one not in there)
