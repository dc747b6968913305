"""Verdicts of the evaluation to accuracies, and what is measured beside them."""

from typing import Any

from axiom.evaluation import evaluate
from axiom.evaluation.distance import distances, held
from axiom.evaluation.diversity import diversity, programs, to_run
from axiom.experiment import VERSIONS, iteration_folder
from axiom.experiment.running import Runtime
from axiom.progress import doing
from axiom.records import Distance, Diversity, Evaluation, Sample, Verdict
from axiom.rows import where
from axiom.selection import accepted
from axiom.store import Handle, Writer
from axiom.tasks.stage import light_stage
from axiom.training import Example
from axiom.verification.behaviour import behaviour


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
    return run.experiment.stage("evaluation", iteration, work, inputs)


@light_stage("distance")
def measure_distance(
    run: Runtime, problems: Handle, samples: Handle, policy: Handle | None, *, iteration: int
) -> Handle:
    """`distance.parquet`: how far the policy is from the base model on its greedy answers to some validation problems.

    `samples` are those of the evaluation.
    """
    experiment, config = run.experiment, run.config

    def work(out: Writer) -> None:
        some = {
            problem.problem_id: problem for problem in held(experiment.problems, config.diagnostics.distance_problems)
        }
        answers = {
            sample.problem_id: sample.completion
            for sample in where(experiment.stages.rows(samples.folder, "eval_samples", Sample), "problem_id", some)
            if sample.temperature == 0
        }
        asked = [problem for key, problem in some.items() if key in answers]
        doing("comparing the policy with the base model")
        given = [Example(run.learner.prompt(problem), answers[problem.problem_id], 1.0) for problem in asked]
        nats = run.learner.divergences(given, run.policy(policy), run.policy(None)) if given else []
        out.table("distance", distances(asked, nats), Distance)

    with run.fresh_engine_on_failure():
        return experiment.stages.run(**_distance(run, problems, samples, policy, iteration), work=work)


def distance_measured(run: Runtime, problems: Handle, samples: Handle, policy: Handle, iteration: int) -> bool:
    """Whether this policy's distance is there, so that nothing needs its files."""
    return run.experiment.stages.find(**_distance(run, problems, samples, policy, iteration)) is not None


def _distance(run: Runtime, problems: Handle, samples: Handle, policy: Handle | None, iteration: int) -> dict[str, Any]:
    config = run.config
    looked_at = {"problems": config.diagnostics.distance_problems, "max_length": config.training.max_length}
    return {
        "stage": "distance",
        "folder": iteration_folder(iteration),
        "settings": run.experiment.settings("seed", "model", "modular", "prompts") | looked_at,
        "version": VERSIONS["distance"],
        "inputs": {"problems": problems, "samples": samples, **({"policy": policy} if policy else {})},
    }


@light_stage("diversity")
def count_diversity(run: Runtime, problems: Handle, samples: Handle, verdicts: Handle, *, iteration: int) -> Handle:
    """`diversity.parquet`: how many different programs the round's accepted samples are, for each problem solved."""
    experiment, most = run.experiment, run.config.diagnostics.behaviour_programs
    known = experiment.problems_by_id

    def work(out: Writer) -> None:
        right = accepted(
            experiment.stages.rows(samples.folder, "samples", Sample),
            experiment.stages.rows(verdicts.folder, "verdicts", Verdict),
        )
        found = programs(right, (key for key, problem in known.items() if problem.kind == "answer"))
        chosen = to_run(found, most, run.config.seed)
        if chosen:
            doing(f"running {len(chosen)} correct programs on further inputs")
        returned = behaviour(known, chosen, run.verifier) if chosen else {}
        out.table("diversity", diversity(found, returned), Diversity)
        out.info.update(run=len(chosen), programs=sum(map(len, found.values())))

    inputs = {"problems": problems, "samples": samples, "verdicts": verdicts}
    settings = experiment.settings("seed", "sandbox") | {"programs": most}
    return experiment.stage("diversity", iteration, work, inputs, settings)
