"""Gold to the buffer that later rounds replay from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from axiom.experiment.running import Runtime
from axiom.records import Gold, History
from axiom.selection.checks import goes_by_history
from axiom.selection.replay import remembered
from axiom.store import Handle, Writer
from axiom.tasks.stage import light_stage


@dataclass(frozen=True)
class Old:
    """The old gold of a run: a buffer, and gold stages that are not in it yet, the oldest first.

    There are such where a fork begins to replay what the shared iterations found.
    """

    buffer: Handle | None = None
    gold: Sequence[Handle] = ()

    @property
    def inputs(self) -> dict[str, Handle]:
        """The stages, as the inputs of one that reads them."""
        known = {"buffer": self.buffer} if self.buffer else {}
        return known | {f"gold-{handle.folder}": handle for handle in self.gold}

    def rows(self, run: Runtime, history: Sequence[History]) -> list[Gold]:
        """What may be replayed, the newest first."""
        stages = run.experiment.stages
        rows = stages.read(self.buffer.folder, "buffer", Gold) if self.buffer else []
        for handle in self.gold:
            number, gold = int(PurePosixPath(handle.folder).name), stages.read(handle.folder, "gold", Gold)
            known = run.experiment.problems_by_id
            rows = remembered(rows, gold, run.config.replay, run.config.seed, number, known, history)
        return rows


@light_stage("keep")
def keep_gold(run: Runtime, history: Handle, old: Old, *, iteration: int) -> Handle:
    """`buffer.parquet`: what of `old`, this round's gold included, later rounds may replay."""
    stages, goes_by = run.experiment.stages, goes_by_history(run.config)

    def work(out: Writer) -> None:
        known = stages.read(history.folder, "history", History) if goes_by else []
        out.table("buffer", old.rows(run, known), Gold)

    inputs = old.inputs | ({"history": history} if goes_by else {})
    return run.experiment.stage("buffer", iteration, work, inputs, run.experiment.settings("replay", "seed"))
