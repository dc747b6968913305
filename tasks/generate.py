"""Config to problems, with the proof that no two splits share one."""

from axiom.errors import DataError
from axiom.experiment import VERSIONS
from axiom.experiment.running import Runtime
from axiom.learners import make_problems
from axiom.problems import prove_disjoint
from axiom.problems.cases.audit import audit_rates, below_usual
from axiom.progress import Progress, doing, report
from axiom.records import Problem
from axiom.store import Handle, Writer
from axiom.tasks.stage import stage_task


@stage_task("generate")
def generate(run: Runtime, *, iteration: int = 0) -> Handle:
    """`problems/<split>.parquet`, `proof.json`, and in `audit.json` the share of planted wrong programs they reject."""
    if run.experiment.inherited:
        return _taken_over(run)

    def work(out: Writer) -> None:
        run.prepare()  # engines start in processes of their own, meanwhile
        doing("making the problems")
        splits = make_problems(run.config)
        doing("proving that no two splits share a problem")
        out.json("proof", prove_disjoint(splits))
        doing("trying wrong programs on the hidden cases")
        rates = audit_rates(splits)
        out.json("audit", rates)
        for sentence in below_usual(rates):
            report(Progress(iteration, "warning", 1, 1, "", note=sentence))
        for split, problems in splits.items():
            out.table(split, problems, Problem)

    settings = run.experiment.settings("seed", "problems", "modular") | {"kind": run.config.model.kind}
    return run.experiment.stages.run(
        "problems",
        "problems",
        settings=settings,
        version=VERSIONS["problems"],
        inputs={},
        work=work,
    )


def _taken_over(run: Runtime) -> Handle:
    """A fork's problems: those that the shared iterations were made with, whatever this code would make today."""
    stages = run.experiment.stages
    manifest = stages.manifest("problems", "problems")
    done = stages.done("problems", "problems", manifest.key, need_files=True) if manifest else None
    if done is None:
        raise DataError("the problems were taken over from another experiment and are damaged; fork again")
    return done
