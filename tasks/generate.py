"""Config to problems, with the proof that no two splits share one."""

from axiom.experiment import VERSIONS
from axiom.learners import make_problems
from axiom.problems import prove_disjoint
from axiom.problems.audit import audit_rates
from axiom.records import Problem
from axiom.runtime import Runtime
from axiom.store import Handle, Writer
from tasks.stage import stage_task


@stage_task("generate")
def generate(run: Runtime, *, iteration: int = 0) -> Handle:
    """`problems/<split>.parquet`, `problems/proof.json` and the cheats that hidden cases reject in `audit.json`."""

    def work(out: Writer) -> None:
        run.prepare()  # engines start in processes of their own, meanwhile
        splits = make_problems(run.config)
        out.json("proof", prove_disjoint(splits))
        out.json("audit", audit_rates(run.config.problems.families) if run.config.model.kind == "language" else [])
        for split, problems in splits.items():
            out.table(split, problems, Problem)

    settings = run.experiment.settings("seed", "problems", "modular") | {"kind": run.config.model.kind}
    return run.experiment.stages.run(
        "problems", "problems", settings=settings,
        version=VERSIONS["problems"], inputs={}, work=work,
    )  # fmt: skip
