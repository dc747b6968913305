"""Samples to verdicts: those that fell while the samples were drawn, or all of them now."""

from axiom.experiment.running import Runtime
from axiom.progress import Meter
from axiom.records import Outcome, Purpose, Sample, Verdict
from axiom.store import Handle, Writer
from axiom.tasks.stage import stage_task
from axiom.verification.streaming import VerificationStream


@stage_task("verify")
def verify(
    run: Runtime, problems: Handle, samples: Handle, purpose: Purpose, stream: VerificationStream, *, iteration: int
) -> Handle:
    """`verdicts.parquet`, or `eval_verdicts.parquet` for the purpose `eval`; `stream` has those that are done."""
    experiment = run.experiment
    prefix = "" if purpose == "train" else "eval_"

    def work(out: Writer) -> None:
        rows = experiment.stages.read(samples.folder, f"{prefix}samples", Sample)
        problem_of = {row.sample_id: row.problem_id for row in rows}
        meter = Meter(
            iteration, f"verify {purpose}", len(rows), "programs", solved=0, problems=len(set(problem_of.values()))
        )
        solved, found = set(), {}
        early = stream.verdicts()
        for verdict in run.judge(rows, purpose) if early is None else early:
            found[verdict.sample_id] = verdict
            if verdict.outcome is Outcome.PASSED and verdict.audit_passed is not False:
                solved.add(problem_of[verdict.sample_id])
            meter.solved = len(solved)
            meter.step()
        out.table(f"{prefix}verdicts", [found[row.sample_id] for row in rows], Verdict)
        out.info.update(tier=run.verifier.tier, solved=len(solved), ahead=early is not None)

    inputs = {"problems": problems, "samples": samples}
    return experiment.stage(f"{prefix}verdicts", iteration, work, inputs, experiment.settings("sandbox"))
