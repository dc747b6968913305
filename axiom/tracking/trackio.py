"""trackio: a database on this machine, in the folder of TRACKIO_DIR; `trackio show` opens it. `uri` names a Space."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from axiom.tracking import Subject


class Open:
    """A run of the project; its name is the run's, and a resumed one goes on with it."""

    def __init__(self, subject: Subject) -> None:
        import trackio

        self.last = subject.last
        self._run = trackio.init(
            project=subject.project,
            name=subject.name,
            config=dict(subject.config) | ({"forked_from": subject.parent} if subject.parent else {}),
            resume="allow" if subject.known else "never",
            space_id=subject.uri or None,
            auto_log_gpu=False,
            auto_log_cpu=False,
            embed=False,
        )

    def note(self) -> dict[str, Any]:
        """That there is one."""
        return {"begun": True}

    def scalars(self, iteration: int, values: Mapping[str, float]) -> None:
        """Figures with the iteration as the step."""
        self._run.log(dict(values), step=iteration)

    def samples(self, iteration: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """A table for each iteration."""
        import pandas
        import trackio

        if rows:
            self._run.log({"samples": trackio.Table(dataframe=pandas.DataFrame(list(rows)))}, step=iteration)

    def finish(self, report: Path | None) -> None:
        """The run's end; a report stays where it is."""
        self._run.finish()
