"""Problems and a policy to samples."""

from typing import Any

from axiom.experiment import VERSIONS, iteration_folder
from axiom.experiment.running import Runtime
from axiom.progress import Meter, doing
from axiom.records import History, Purpose, Sample
from axiom.sampling import Trace
from axiom.sampling.mismatch import TRACED
from axiom.sampling.requests import in_order, requests, to_sample
from axiom.sampling.thinking import draw
from axiom.selection.allocation import allocate
from axiom.selection.arm import every_round
from axiom.selection.arms import ARMS
from axiom.selection.curriculum import Course, plan_of
from axiom.selection.foothold import hinted_share, with_hints
from axiom.selection.history import begin
from axiom.store import Handle, Writer, hash_json
from axiom.tasks.stage import stage_task
from axiom.verification.streaming import VerificationStream


@stage_task("sample")
def sample(
    run: Runtime,
    problems: Handle,
    policy: Handle | None,
    purpose: Purpose,
    stream: VerificationStream,
    history: Handle | None = None,
    course: Course | None = None,
    *,
    iteration: int,
) -> Handle:
    """`samples.parquet`, or `eval_samples.parquet` for the purpose `eval`; `stream` begins to verify them.

    `history` is what was known before the round, by which an allocation of the draws goes, and `course` the level in
    force, whose problems share the round's draws.
    """
    experiment, arm = run.experiment, ARMS[run.config.arm]
    draws = arm.draws(run.config, iteration) if purpose == "train" else run.config.evaluation.samples_per_problem
    policy = policy if purpose == "eval" or arm.policy == "current" else None
    drawing = purpose == "train" and arm.draws is every_round
    course = course if drawing else None
    allocated = drawing and run.config.sampling.allocation != "uniform"
    identity = _identity(run, problems, policy, purpose, draws, iteration)
    identity["settings"] |= _planning(run, allocated, course)
    if allocated and history:
        identity["inputs"]["history"] = history

    def work(out: Writer) -> None:
        chosen = experiment.problems["train"] if purpose == "train" else list(experiment.problems_by_id.values())
        shown = with_hints(chosen, run.config, iteration) if purpose == "train" else chosen
        plan = _plan(run, history, course, iteration) if allocated or course else draws
        asked = {
            r.request_id: r
            for r in requests(shown, run.learner.prompt, run.config, purpose, iteration, plan, run.learner.stop)
        }
        weights = run.policy(policy)
        doing(f"putting the policy in force in {run.learner.sampler.name}")
        run.learner.sampler.use(weights)
        meter = Meter(iteration, f"sample {purpose}", sum(r.n for r in asked.values()), "completions")
        rows: list[Sample] = []
        traces: list[Trace] = []
        with stream.sampling() as drawn:
            thinking = run.config.sampling.thinking_tokens
            for completion in draw(run.learner.sampler, list(asked.values()), thinking, TRACED):
                request = asked[completion.request_id]
                problem = experiment.problems_by_id[completion.request_id.rpartition(":")[0]]
                rows.append(to_sample(completion, request, problem, iteration, purpose, weights.version))
                drawn(rows[-1])
                traces += completion.traces
                meter.step(tokens=completion.token_count)
        doing("comparing the engine with the trainer's model")
        mismatch = run.learner.mismatch(weights, traces)  # while the sandbox is still at the last samples
        out.table(identity["stage"], in_order(rows, chosen), Sample)
        out.info.update(tokens=meter.tokens, engine=run.learner.sampler.name, policy=weights.version)
        out.info.update(mismatch=vars(mismatch) if mismatch else None)

    with run.fresh_engine_on_failure():
        return experiment.stages.run(**identity, work=work)


def evaluation_drawn(run: Runtime, problems: Handle, policy: Handle, iteration: int) -> Handle | None:
    """The evaluation's samples of this policy, if they are there."""
    draws = run.config.evaluation.samples_per_problem
    return run.experiment.stages.find(**_identity(run, problems, policy, "eval", draws, iteration))


def _plan(run: Runtime, history: Handle | None, course: Course | None, iteration: int) -> dict[str, int]:
    """How often each training problem is drawn in the round."""
    train, config = run.experiment.problems["train"], run.config.sampling
    rows = run.experiment.stages.read(history.folder, "history", History) if history else begin(train)
    active = [row for row in rows if course is None or row.problem_id in course.problems]
    total = config.samples_per_problem * len(train)
    return plan_of(allocate(active, config, run.config.seed, iteration, total), train)


def _planning(run: Runtime, allocated: bool, course: Course | None) -> dict[str, Any]:
    """Settings that decide who is drawn, where they decide anything."""
    sampling, curriculum = run.config.sampling, run.config.curriculum
    by = {"allocation": sampling.allocation, "min_draws": sampling.min_draws} if allocated else {}
    level = (
        {"level": course.level, "levels": curriculum.levels, "keep_easier": curriculum.keep_easier} if course else {}
    )
    joins = {"active": hash_json(sorted(course.problems))} if course and curriculum.joins else {}
    return by | level | joins


def _identity(
    run: Runtime, problems: Handle, policy: Handle | None, purpose: Purpose, draws: int, iteration: int
) -> dict[str, Any]:
    settings = run.experiment.settings("seed", "model", "prompts", "sampling", "evaluation")
    planning = ("allocation", "min_draws")
    settings["sampling"] = {name: value for name, value in settings["sampling"].items() if name not in planning}
    if purpose == "train" and hinted_share(run.config.foothold, iteration):
        settings |= run.experiment.settings("foothold")
    return {
        "stage": "samples" if purpose == "train" else "eval_samples",
        "folder": iteration_folder(iteration),
        "settings": {**settings, "purpose": purpose, "draws": draws},
        "version": VERSIONS["samples"],
        "inputs": {"problems": problems, **({"policy": policy} if policy else {})},
    }
