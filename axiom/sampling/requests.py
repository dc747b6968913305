"""Problems to sampling requests, and completions to samples: the names, seeds and purposes of both."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from axiom.config import ExperimentConfig
from axiom.records import Problem, Purpose, Sample
from axiom.sampling import Completion, Request
from axiom.sampling.prompts import read_program
from axiom.seeds import derive

GREEDY_INDEX = -1
"""Index of the greedy completion of a problem; drawn samples count from 0."""


def requests(
    problems: Iterable[Problem],
    prompt: Callable[[Problem], str],
    config: ExperimentConfig,
    purpose: Purpose,
    iteration: int,
    draws: int | Mapping[str, int],
    stop: tuple[str, ...] = (),
) -> list[Request]:
    """`draws` of each problem at the config's temperature, and to evaluate the greedy one besides.

    `draws` is one number for all, or one for each problem by its id.
    """
    sampling = config.sampling
    made = []
    for problem in problems:
        text = prompt(problem)
        drawn = draws if isinstance(draws, int) else draws[problem.problem_id]
        for n, temperature in ((drawn, sampling.temperature), (int(purpose == "eval"), 0.0)):
            if n:
                made.append(
                    Request(
                        request_id=f"{problem.problem_id}:{'greedy' if temperature == 0 else 'draw'}",
                        prompt=text,
                        n=n,
                        temperature=temperature,
                        top_p=sampling.top_p,
                        max_new_tokens=sampling.max_new_tokens,
                        seed=derive(config.seed, "sample", purpose, iteration, problem.problem_id) % 2**31,
                        stop=stop,
                    )
                )
    return made


def to_sample(
    completion: Completion, request: Request, problem: Problem, iteration: int, purpose: Purpose, policy_version: str
) -> Sample:
    """The row of one completion; the code is extracted here and nowhere else."""
    index = GREEDY_INDEX if request.temperature == 0 else completion.index
    return Sample(
        sample_id=f"{iteration}:{purpose}:{problem.problem_id}:{index}",
        problem_id=problem.problem_id,
        iteration=iteration,
        purpose=purpose,
        index=index,
        completion=completion.text,
        code=read_program(request.prompt, completion.text, problem),
        token_count=completion.token_count,
        logprob=completion.logprob,
        finish_reason=completion.finish_reason,
        seed=request.seed,
        temperature=request.temperature,
        policy_version=policy_version,
        thinking_tokens=completion.thinking_tokens,
    )


def in_order(samples: Iterable[Sample], problems: Sequence[Problem]) -> list[Sample]:
    """Samples in the order of the problems and their index: completions stream in any order, tables do not."""
    place = {problem.problem_id: number for number, problem in enumerate(problems)}
    return sorted(samples, key=lambda sample: (place[sample.problem_id], sample.index))
