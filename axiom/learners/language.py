"""What learns: a language model or the small network of modular arithmetic, behind one interface.

A learner owns the prompt, the sampler and the trainer, so that the stages are the same for both.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from axiom.config import ExperimentConfig
from axiom.errors import ConfigError, EngineError
from axiom.models import (
    Policy,
    bytes_to_train,
    load_tokenizer,
    resolve_device,
    resolve_dtype,
    resolve_model,
    weight_bytes,
)
from axiom.models.ways import OWN
from axiom.records import Gold, LossStep, Problem
from axiom.sampling import Sampler, Trace, choose_engine, mismatch
from axiom.sampling.mismatch import Mismatch
from axiom.selection.arms import ARMS
from axiom.training import SCORING_BYTES, Example, Round, Setup
from axiom.training.trainer import open_trainer, processes


class Learner(Protocol):
    """A model that can be sampled and trained. Opened once and kept for the whole experiment."""

    description: str
    """What was chosen and why, one sentence to say aloud."""

    @property
    def sampler(self) -> Sampler:
        """The engine, kept for the whole experiment."""

    def prompt(self, problem: Problem) -> str:
        """The text the model completes: one function for sampling, training and evaluation."""

    @property
    def stop(self) -> tuple[str, ...]:
        """Texts that end a completion, beside the end of turn."""

    def example(self, problem: Problem, gold: Gold) -> Example:
        """A row of gold as the trainer takes it, with the prompt of sampling."""

    def train(self, examples: Sequence[Example], this: Round) -> list[LossStep]:
        """Train the policy that `this` round starts from on `examples` and write the new adapter's files."""

    def mismatch(self, policy: Policy, traces: Sequence[Trace]) -> Mismatch | None:
        """How far the engine that drew `traces` is from `policy`; None where there is nothing to compare.

        Raises EngineError when other weights than the policy's are in force in the engine.
        """

    def loss_tokens(self, examples: Sequence[Example]) -> list[int]:
        """Tokens of each example that have a loss in one pass; 0 for one that is too long to be trained."""

    def logprobs(self, examples: Sequence[Example], policy: Policy) -> list[float]:
        """What the trainer's model with `policy` in force gives each target and its end, at temperature 1.

        nan where the trained text is not what was drawn, or is too long.
        """

    def divergences(self, answers: Sequence[Example], policy: Policy, base: Policy) -> list[np.ndarray]:
        """KL(policy || base) of the next token in nats, before each token of each answer and after its last.

        It is summed over all tokens that could follow. None of an answer whose prompt is too long to be trained.
        """

    def under(self, config: ExperimentConfig) -> "Learner":
        """The same learner, engine included, that trains as `config` says."""

    def close(self) -> None:
        """Free the engine and the memory."""


SCORED_TOGETHER = 8
"""Texts that the trainer's model scores in one pass."""


def _split(scores_T: np.ndarray, traces: Sequence[Trace]) -> list[np.ndarray]:
    """Scores of the drawn tokens, trace after trace, by trace."""
    return np.split(scores_T, np.cumsum([len(trace.tokens) for trace in traces])[:-1])


class LanguageLearner:
    """A causal language model with LoRA adapters."""

    def __init__(self, config: ExperimentConfig) -> None:
        from axiom.learners.checks import proofs
        from axiom.sampling import open_sampler
        from axiom.sampling.prompts import make_template

        self._config, self._trainer = config, open_trainer(config.model, config.training)
        self._before = Policy("base", None)
        self._tokenizer = load_tokenizer(config.model)
        self._template = make_template(config.prompts, self._tokenizer)
        self.stop = config.sampling.stop or self._template.stops
        found = [proof.checked() for proof in proofs(config)]
        self._setup = Setup(config.model, config.training, found[0].path or OWN)
        way = found[-1].way or "recompute"
        self.sampler, engine = open_sampler(config.model, config.sampling, self._template.turn_end, way)
        self.description = f"{engine}\n{self._template.description}"
        self.description += "".join(f"\n{note}" for proof in found for note in proof.without)
        if config.training.mode == "merge" and config.iterations > 1:
            self.description += (
                f"; training.mode = 'merge' adds {config.training.lora_r} to the adapter's rank in each iteration, up "
                f"to {last_rank(config)} after {config.iterations}; the last takes {config.iterations} times the "
                "disk of the first"
            )

    def prompt(self, problem: Problem) -> str:
        """The template's text up to where the model goes on."""
        return self._template.render(problem)

    def example(self, problem: Problem, gold: Gold) -> Example:
        """The program in the template's form, or the model's own completion where `training.target` or the arm asks."""
        whole = self._config.training.target == "completion" or ARMS[self._config.arm].as_drawn
        own = gold.completion if whole else ""
        target = own or self._template.completion(problem, gold.target)
        return Example(self.prompt(problem), target, gold.weight, self._template.turn_end)

    def train(self, examples: Sequence[Example], this: Round) -> list[LossStep]:
        """LoRA fine-tuning, once the engine has left it the memory it needs."""
        model, config = self._config.model, self._config.training
        parts = processes(model, config) if config.fsdp else 1
        asleep = self.sampler.make_room(bytes_to_train(resolve_model(model.path), parts))
        try:
            return self._trainer.train(examples, this, self._setup)
        finally:
            if asleep:
                self._trainer.release()  # the engine wakes to the memory that it had

    def mismatch(self, policy: Policy, traces: Sequence[Trace]) -> Mismatch | None:
        """Beside the trainer's model; it is that of `train`, loaded where it is not there yet."""
        if not traces:
            return None
        with self._beside_the_engine():
            found = self._compared(policy, traces)
        self._before = policy
        return found

    @contextmanager
    def _beside_the_engine(self) -> Iterator[None]:
        """Room for the trainer's model while the block scores with it."""
        needed = weight_bytes(resolve_model(self._config.model.path)) + SCORING_BYTES
        asleep = not self._trainer.loaded and self.sampler.make_room(needed)
        try:
            yield
        finally:
            if asleep:
                self._trainer.release()

    def _compared(self, policy: Policy, traces: Sequence[Trace]) -> Mismatch | None:
        """Other policies are scored only where the mismatch is more than rounding, and less than it takes to tell."""
        dtype = str(resolve_dtype(self._config.model)).removeprefix("torch.")
        right = self._score(policy, traces)
        engine = mismatch.logprobs(traces)
        if np.isnan(right).all():
            return None
        found = mismatch.measure(engine, right)
        if found.mean <= mismatch.ROUNDING[dtype]:
            return found
        named = {"the base model": Policy("base", None), "the policy before it": self._before}
        others = {
            name: self._score(other, traces)
            for name, other in named.items()
            if other.adapter != policy.adapter and (other.adapter is None or other.adapter.exists())
        }
        why = mismatch.wrong(engine, right, others, dtype)
        if why is not None and not self._config.training.fsdp:
            # In bfloat16 a merged update that is small beside the weights is rounded away in part.
            why = mismatch.wrong(engine, self._score(policy, traces, merged=True), others, dtype)
        if why is not None:
            raise EngineError(
                f"the engine {self.sampler.name} does not answer with policy {policy.version!r}: over {found.tokens} "
                f"drawn tokens its log-probabilities are {found.mean:.2g} nats from the trainer's, {why}; run it "
                f"again, and set sampling.engine to the other engine if that does not help"
            )
        return found

    def _score(self, policy: Policy, traces: Sequence[Trace], merged: bool = False) -> np.ndarray:
        return self._trainer.score(traces, policy, self._setup, merged)

    def loss_tokens(self, examples: Sequence[Example]) -> list[int]:
        """Those of the target and its end."""
        from axiom.training.batches import loss_tokens

        return loss_tokens(examples, self._tokenizer, self._config.training.max_length)

    def logprobs(self, examples: Sequence[Example], policy: Policy) -> list[float]:
        """A few texts at a time. A text that a stop text ended was drawn with more behind it."""
        from axiom.training.batches import encoded

        if self.stop or not examples:
            return [math.nan] * len(examples)
        rows = encoded(examples, self._tokenizer)
        traces = [Trace(tuple(row.tokens[: row.start]), tuple(row.tokens[row.start :]), ()) for row in rows]
        batches = [traces[start : start + SCORED_TOGETHER] for start in range(0, len(traces), SCORED_TOGETHER)]
        with self._beside_the_engine():
            parts = [part for batch in batches for part in _split(self._score(policy, batch), batch)]
        return [float(part.sum()) for part in parts]

    def divergences(self, answers: Sequence[Example], policy: Policy, base: Policy) -> list[np.ndarray]:
        """By the trainer's model, a few texts at a time."""
        from axiom.training.batches import encoded

        texts = encoded(answers, self._tokenizer)
        with self._beside_the_engine():
            return self._trainer.divergences(texts, policy, base, self._setup)

    def under(self, config: ExperimentConfig) -> "LanguageLearner":
        """The same model and engine, trained as `config` says."""
        from axiom.learners.proof import train_path

        other = copy.copy(self)
        other._config = config
        other._setup = Setup(config.model, config.training, train_path(config.model, config.training))
        other._trainer = open_trainer(config.model, config.training, self._trainer)
        return other

    def close(self) -> None:
        """End the sampler and its processes, and free the trainer's model."""
        self.sampler.close()
        self._trainer.release()


def open_learner(config: ExperimentConfig) -> Learner:
    """The learner that `config.model.kind` names."""
    if config.model.kind == "modular":
        from axiom.learners.modular import ModularLearner

        return ModularLearner(config)
    return LanguageLearner(config)


def make_problems(config: ExperimentConfig) -> dict[str, list[Problem]]:
    """Every split's problems, for the learner that `config.model.kind` names."""
    if config.model.kind == "modular":
        from axiom.learners.modular import make_modular_problems

        return make_modular_problems(config)
    from axiom.problems import check_families, generate_splits

    check_families(config.problems)
    return generate_splits(config.problems, config.seed)


def training_problems(config: ExperimentConfig) -> int:
    """How many training problems a run has. Raises ConfigError when the modular network's splits cannot be made."""
    if config.model.kind == "modular":
        from axiom.learners.modular import split_sizes

        return split_sizes(config.modular)[0] * len(config.families)
    return config.problems.train_size


def check(config: ExperimentConfig) -> None:
    """Raise ConfigError before anything is written when the learner cannot be had or cannot do what is asked."""
    from axiom.problems import check_families

    check_families(config.problems)
    if config.model.kind == "language":
        from axiom.learners.checks import check_model

        resolve_device(config.model)
        check_engine(config)
        check_model(config)
    else:
        from axiom.learners.modular import check_modular

        check_modular(config)


def check_engine(config: ExperimentConfig) -> None:
    """Raise ConfigError for what the engine that is named cannot do. Reads no model."""
    if config.model.kind == "language":
        _check_merged_rank(config)
        _check_logprobs(config)
        _check_gpus(config)


def _check_logprobs(config: ExperimentConfig) -> None:
    """Refuse an arm that corrects for the sampler where the sampler does not say how probable its draws were."""
    unknown = not config.sampling.vllm.logprobs and choose_engine(config.model, config.sampling)[0] == "vllm"
    if ARMS[config.arm].as_drawn and unknown:
        raise ConfigError(
            f"arm {config.arm!r} corrects for the sampler's log-probabilities, which vLLM does not record with "
            f"sampling.vllm.logprobs = false; set it to true, or sampling.engine = 'transformers'"
        )


def _check_gpus(config: ExperimentConfig) -> None:
    """Refuse more GPUs than there are or can be used, and weights in parts that could not be exchanged."""
    processes(config.model, config.training)
    vllm = config.sampling.vllm
    if choose_engine(config.model, config.sampling)[0] != "vllm":
        return
    from axiom.sampling.vllm_plan import gpu_groups

    gpu_groups(config.model, config.sampling)
    if vllm.tensor_parallel > 1 and vllm.weights == "merged":
        raise ConfigError(
            f"sampling.vllm.weights = 'merged' cannot be put in force in the parts of sampling.vllm.tensor_parallel = "
            f"{vllm.tensor_parallel} GPUs; set sampling.vllm.weights = 'adapter' or sampling.vllm.tensor_parallel = 1"
        )


def _check_merged_rank(config: ExperimentConfig) -> None:
    """Refuse a run whose merged adapters would outgrow the engine that samples through them."""
    rank, limit = last_rank(config), config.sampling.vllm.max_lora_rank
    if config.training.mode != "merge" or rank <= limit or choose_engine(config.model, config.sampling)[0] != "vllm":
        return
    from axiom.sampling.vllm import weights_in_force

    if weights_in_force(config.model, config.sampling) == "adapter":
        raise ConfigError(
            f"training.mode = 'merge' ends at rank {rank}, training.lora_r = {config.training.lora_r} for each of "
            f"{config.iterations} iterations, and the engine takes {limit}; set sampling.vllm.weights = 'merged' or "
            f"training.mode = 'continue'"
        )


def last_rank(config: ExperimentConfig) -> int:
    """Rank of the last iteration's adapter."""
    return config.training.lora_r * (max(1, config.iterations) if config.training.mode == "merge" else 1)
