"""Verdicts of the evaluation to accuracies."""

from axiom.evaluation import evaluate
from axiom.experiment import VERSIONS, iteration_folder
from axiom.experiment.running import Runtime
from axiom.records import Evaluation, Sample, Verdict
from axiom.store import Handle, Writer
from axiom.tasks.stage import light_stage


@light_stage("evaluate")
def evaluate_policy(run: Runtime, problems: Handle, samples: Handle, verdicts: Handle, *, iteration: int) -> Handle:
    """`evaluation.parquet`: one row a problem of every split."""
    stages = run.experiment.stages

    def work(out: Writer) -> None:
        rows = evaluate(
            run.experiment.problems_by_id.values(),
            stages.rows(samples.folder, "eval_samples", Sample),
            stages.rows(verdicts.folder, "eval_verdicts", Verdict),
        )
        out.table("evaluation", rows, Evaluation)

    inputs = {"problems": problems, "samples": samples, "verdicts": verdicts}
    return stages.run(
        "evaluation",
        iteration_folder(iteration),
        settings=None,
        version=VERSIONS["evaluation"],
        inputs=inputs,
        work=work,
    )
