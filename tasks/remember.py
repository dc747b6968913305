"""A round's samples and verdicts to what is known of each training problem."""

from axiom.experiment.running import Runtime
from axiom.records import Evaluation, History, Sample, Verdict
from axiom.selection.curriculum import Course
from axiom.selection.history import after_evaluation, after_round, begin
from axiom.store import Handle, Writer
from axiom.tasks.stage import light_stage


@light_stage("remember")
def remember(
    run: Runtime,
    problems: Handle,
    samples: Handle,
    verdicts: Handle,
    before: Handle | None,
    evaluated: Handle | None,
    course: Course | None = None,
    *,
    iteration: int,
) -> Handle:
    """`history.parquet`: one row a training problem, from the one `before`.

    `evaluated` is the evaluation of the iteration before, which that one could not know yet, and `course` the level in
    force.
    """
    stages = run.experiment.stages

    def work(out: Writer) -> None:
        rows = stages.read(before.folder, "history", History) if before else begin(run.experiment.problems["train"])
        if evaluated:
            rows = after_evaluation(rows, stages.read(evaluated.folder, "evaluation", Evaluation), iteration - 1)
        drawn, judged = (
            stages.rows(samples.folder, "samples", Sample),
            stages.rows(verdicts.folder, "verdicts", Verdict),
        )
        rows = after_round(rows, drawn, judged, iteration)
        out.table("history", [row.model_copy(update=level) for row in rows], History)
        out.info.update(level)

    level = course.columns() if course else {}
    known = {"history": before, "evaluation": evaluated}
    inputs = {"problems": problems, "samples": samples, "verdicts": verdicts, **known}
    return run.experiment.stage("history", iteration, work, inputs, level or None)
