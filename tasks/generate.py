"""Config to problems, with the proof that no two splits share one."""

import sys

from axiom.experiment import VERSIONS
from axiom.learners import make_problems
from axiom.problems import prove_disjoint
from axiom.problems.audit import audit_rates, below_usual
from axiom.records import Problem
from axiom.runtime import Runtime
from axiom.store import Handle, Writer
from tasks.stage import stage_task


@stage_task("generate")
def generate(run: Runtime, *, iteration: int = 0) -> Handle:
    """`problems/<split>.parquet`, `proof.json`, and in `audit.json` the share of planted wrong programs they reject."""

    def work(out: Writer) -> None:
        run.prepare()  # engines start in processes of their own, meanwhile
        splits = make_problems(run.config)
        out.json("proof", prove_disjoint(splits))
        rates = audit_rates(splits)
        out.json("audit", rates)
        for sentence in below_usual(rates):
            print(sentence, file=sys.stderr, flush=True)
        for split, problems in splits.items():
            out.table(split, problems, Problem)

    settings = run.experiment.settings("seed", "problems", "modular") | {"kind": run.config.model.kind}
    return run.experiment.stages.run(
        "problems", "problems", settings=settings,
        version=VERSIONS["problems"], inputs={}, work=work,
    )  # fmt: skip
