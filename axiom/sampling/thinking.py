"""Reasoning with a budget of its own: it is sampled first, ended where the budget ends it, and the answer follows."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from axiom.sampling import Completion, Request, Sampler
from axiom.seeds import derive

END = "</think>"
"""What ends the reasoning of a model that reasons before it answers."""


def draw(sampler: Sampler, requests: Sequence[Request], thinking_tokens: int, traced: int = 0) -> Iterator[Completion]:
    """Completions as they finish, each with at most `thinking_tokens` tokens before `</think>`; 0 sets no limit.

    Reasoning that reaches the limit is ended with `</think>` there, and the answer of at most `max_new_tokens` tokens
    is drawn after it. A completion that ends within the limit without any `</think>` is an answer without reasoning.
    Greedy requests stay greedy in both parts. `traced` is that of `Sampler.sample`, in each part.
    """
    if thinking_tokens == 0:
        yield from sampler.sample(requests, traced)
        return
    asked = {request.request_id: request for request in requests}
    reasoned: dict[str, Completion] = {}
    answers = []
    reasoning = [replace(r, max_new_tokens=thinking_tokens, stop=(END,)) for r in requests]
    for part in sampler.sample(reasoning, traced):
        if part.finish_reason == "stop" and part.stop is None:
            yield part
            continue
        request, key = asked[part.request_id], f"{part.request_id}#{part.index}"
        reasoned[key] = replace(part, text=f"{part.text.rstrip()}\n{END}\n\n", thinking_tokens=part.token_count)
        seed = derive(request.seed, "answer", part.index) % 2**31
        prompt = request.prompt + reasoned[key].text
        answers.append(replace(request, request_id=key, prompt=prompt, n=1, seed=seed))
    for answer in sampler.sample(answers, traced):
        part = reasoned[answer.request_id]
        logprob = None if part.logprob is None or answer.logprob is None else part.logprob + answer.logprob
        yield replace(
            part,
            text=part.text + answer.text,
            token_count=part.token_count + answer.token_count,
            logprob=logprob,
            finish_reason=answer.finish_reason,
            stop=answer.stop,
            traces=part.traces + answer.traces,
        )
