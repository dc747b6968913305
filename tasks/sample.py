"""Problems and a policy to samples."""

from typing import Any

from axiom.experiment import VERSIONS, iteration_folder
from axiom.experiment.running import Runtime
from axiom.progress import Meter
from axiom.records import History, Purpose, Sample
from axiom.sampling import Trace
from axiom.sampling.mismatch import TRACED
from axiom.sampling.requests import in_order, requests, to_sample
from axiom.sampling.thinking import draw
from axiom.selection.allocation import allocate
from axiom.selection.arms import ARMS
from axiom.selection.history import begin
from axiom.store import Handle, Writer
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
    *,
    iteration: int,
) -> Handle:
    """`samples.parquet`, or `eval_samples.parquet` for the purpose `eval`; `stream` begins to verify them.

    `history` is what was known before the round, by which an allocation of the draws goes.
    """
    experiment, arm = run.experiment, ARMS[run.config.arm]
    draws = arm.draws(run.config, iteration) if purpose == "train" else run.config.evaluation.samples_per_problem
    policy = policy if purpose == "eval" or arm.policy == "current" else None
    allocated = purpose == "train" and draws > 0 and run.config.sampling.allocation != "uniform"
    identity = _identity(run, problems, policy, purpose, draws, iteration, history if allocated else None, allocated)

    def work(out: Writer) -> None:
        chosen = experiment.problems["train"] if purpose == "train" else list(experiment.problems_by_id.values())
        plan = _allocated(run, history, iteration) if allocated else draws
        asked = {
            r.request_id: r
            for r in requests(chosen, run.learner.prompt, run.config, purpose, iteration, plan, run.learner.stop)
        }
        weights = run.policy(policy)
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
        mismatch = run.learner.mismatch(weights, traces)  # while the sandbox is still at the last samples
        out.table(identity["stage"], in_order(rows, chosen), Sample)
        out.info.update(tokens=meter.tokens, engine=run.learner.sampler.name, policy=weights.version)
        out.info.update(mismatch=vars(mismatch) if mismatch else None)

    with run.fresh_engine_on_failure():
        return experiment.stages.run(**identity, work=work)


def evaluation_drawn(run: Runtime, problems: Handle, policy: Handle, iteration: int) -> bool:
    """Whether the evaluation's samples of this policy are there, so that nothing needs its files."""
    draws = run.config.evaluation.samples_per_problem
    return run.experiment.stages.find(**_identity(run, problems, policy, "eval", draws, iteration)) is not None


def _allocated(run: Runtime, history: Handle | None, iteration: int) -> dict[str, int]:
    """How often each training problem is drawn in the round."""
    rows = run.experiment.stages.read(history.folder, "history", History) if history else []
    known = rows or begin(run.experiment.problems["train"])
    return allocate(known, run.config.sampling, run.config.seed, iteration)


def _identity(
    run: Runtime,
    problems: Handle,
    policy: Handle | None,
    purpose: Purpose,
    draws: int,
    iteration: int,
    history: Handle | None = None,
    allocated: bool = False,
) -> dict[str, Any]:
    """What the samples depend on. An allocation counts only where it decides something."""
    settings = run.experiment.settings("seed", "model", "prompts", "sampling", "evaluation")
    sampling = dict(settings["sampling"])
    allocation = {name: sampling.pop(name) for name in ("allocation", "min_draws")}
    settings |= {"sampling": sampling, "purpose": purpose, "draws": draws}
    known = {"policy": policy, "history": history}
    return {
        "stage": "samples" if purpose == "train" else "eval_samples",
        "folder": iteration_folder(iteration),
        "settings": settings | (allocation if allocated else {}),
        "version": VERSIONS["samples"],
        "inputs": {"problems": problems, **{name: handle for name, handle in known.items() if handle}},
    }
