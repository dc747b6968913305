"""Verified samples to gold."""

from collections.abc import Sequence

from axiom.experiment import VERSIONS, iteration_folder
from axiom.records import Gold, Sample, Verdict
from axiom.runtime import Runtime
from axiom.selection import accepted, select, with_replay
from axiom.store import Handle, Writer
from tasks.stage import stage_task


@stage_task("select")
def select_gold(
    run: Runtime, samples: Handle, verdicts: Handle, earlier: Sequence[Handle], *, iteration: int
) -> Handle:
    """`gold.parquet`. `earlier` are the gold stages of the iterations to replay, newest first."""
    stages = run.experiment.stages

    def work(out: Writer) -> None:
        rows = stages.read(samples.folder, "samples", Sample)
        judged = stages.read(verdicts.folder, "verdicts", Verdict)
        fresh = select(accepted(rows, judged), run.config.selection)
        replayed = [stages.read(handle.folder, "gold", Gold) for handle in earlier]
        replayed = [[row for row in gold if row.reason != "replayed"] for gold in replayed]
        out.table("gold", with_replay(fresh, replayed, run.config.selection), Gold)
        out.info.update(fresh=len(fresh), problems=len({row.problem_id for row in fresh}))

    inputs = {"samples": samples, "verdicts": verdicts}
    return stages.run(
        "gold", iteration_folder(iteration), settings=run.experiment.settings("selection", "arm", "seed"),
        version=VERSIONS["gold"], inputs=inputs | {f"gold-{handle.folder}": handle for handle in earlier}, work=work,
    )  # fmt: skip
