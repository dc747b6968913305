"""Draw completions from the policy: one protocol, two engines.

    Request (prompt, n, temperature, ...) ─► Sampler ─► Completion, in the order they finish

`transformers` needs nothing more than the library itself and is quick enough for small models on a CPU; `vllm` is
an engine in a process of its own. Importing this module loads neither.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from axiom.config import ModelConfig, SamplingConfig
from axiom.models import Policy
from axiom.models.ways import Way


@dataclass(frozen=True)
class Request:
    """`n` completions of one prompt. `temperature` 0 is greedy; `seed` names the streams of all `n`."""

    request_id: str
    prompt: str
    n: int
    temperature: float
    top_p: float
    max_new_tokens: int
    seed: int
    stop: tuple[str, ...] = ()
    """Texts that end a completion; they are not part of it."""


@dataclass(frozen=True)
class Trace:
    """Tokens that an engine drew behind a prompt, and the log-probability that it gave each, at temperature 1."""

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]


def spread(count: int, chosen: int) -> set[int]:
    """`chosen` places among `count`, evenly spaced; all of them where there are no more."""
    return {count * place // chosen for place in range(chosen)} if chosen < count else set(range(count))


@dataclass(frozen=True)
class Completion:
    """One finished completion, without its end-of-turn token.

    `token_count` counts that token; `logprob` sums over the same tokens, in nats, at temperature 1.
    """

    request_id: str
    index: int
    text: str
    token_count: int
    logprob: float | None
    finish_reason: Literal["stop", "length"]
    stop: str | None = None
    """The stop text that ended it; None where a token or the length did."""
    thinking_tokens: int = 0
    """Of its tokens those of the reasoning, where that had a budget of its own."""
    traces: tuple[Trace, ...] = ()
    """What the engine drew, token by token, for some of the completions; two traces where reasoning had a budget."""


def stopped_at(text: str, stop: tuple[str, ...]) -> tuple[int, str] | None:
    """Place and text of the first of the `stop` texts in `text`; None if it holds none."""
    return min(((text.find(one), one) for one in stop if one in text), default=None)


class Sampler(Protocol):
    """An engine that lives as long as the experiment."""

    name: str

    def use(self, policy: Policy) -> None:
        """Answer with these weights from now on. Raises ConfigError for an adapter of another base model."""

    def sample(self, requests: Sequence[Request], traced: int = 0) -> Iterator[Completion]:
        """Completions as they finish; `request_id` and `index` say which. Raises EngineError when the engine dies.

        About `traced` of them, from each process that draws, come with a trace.
        """

    def make_room(self, bytes_needed: int) -> bool:
        """Leave `bytes_needed` of GPU memory to the trainer, where there is a GPU.

        Returns whether the engine gave memory up for it; then `use` takes it back. An engine in this process
        gives none: its weights stay, and its cache lives only while it samples.
        """
        return False

    def close(self) -> None:
        """Give back memory and processes; the sampler cannot be used afterwards."""


def open_sampler(
    model: ModelConfig, sampling: SamplingConfig, turn_end: int | None = None, way: Way = "recompute"
) -> tuple[Sampler, str]:
    """The sampler that `sampling.engine` asks for, and one sentence on what was chosen and why.

    `turn_end` is the token by which the prompts' template ends a turn: it stops a completion beside those that the
    model's settings name. `way` is how transformers may decode this model.
    """
    engine, why = choose_engine(model, sampling)
    if engine == "vllm":
        from axiom.sampling.vllm import VLLMSampler

        sampler = VLLMSampler(model, sampling, turn_end)
        return sampler, f"{why}: {sampler.plan}"
    from axiom.sampling.transformers import TransformersSampler

    return TransformersSampler(model, sampling, way, turn_end), why


def choose_engine(model: ModelConfig, sampling: SamplingConfig) -> tuple[Literal["transformers", "vllm"], str]:
    """The engine's name and, in a sentence, the reason for it."""
    if sampling.engine != "auto":
        return sampling.engine, f"sampling with {sampling.engine}, as sampling.engine is set"
    if model.device == "cpu":
        return "transformers", "sampling with transformers, because model.device is cpu"
    from axiom.sampling.availability import vllm_obstacle

    obstacle = vllm_obstacle()
    if obstacle is not None:
        return "transformers", f"sampling with transformers, because {obstacle}"
    return "vllm", "sampling with vllm, which is installed and has a GPU"
