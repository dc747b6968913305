"""The training loop: packed passes, one optimizer step for every batch, a smaller pass when memory runs out."""
# ruff: noqa: TID253  (imported where it trains)

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from axiom.config import ModelConfig, TrainingConfig
from axiom.errors import OutOfMemoryError
from axiom.models import load_tokenizer, own_random
from axiom.models.ways import OWN, TrainPath
from axiom.records import LossStep
from axiom.seeds import derive
from axiom.training import Example, Kept, Round
from axiom.training.batches import Encoded, Pack, encode, optimizer_steps, steps_in_all
from axiom.training.group import ALONE, Group
from axiom.training.lora import Trainable, prepare, save_adapter
from axiom.training.optimizer import Optimizer
from axiom.training.passes import recompute, run_pass, to_device
from axiom.training.schedule import factor

log = logging.getLogger("axiom.training")

CPU_PASS_TOKENS = 1024
"""Tokens in one pass on a CPU: enough for its matrix units, and about a gigabyte for a model of 135M."""
MOST_PASS_TOKENS = 32768
SMALLEST_PASS_TOKENS = 32


def train(
    examples: Sequence[Example],
    this: Round,
    model: ModelConfig,
    config: TrainingConfig,
    kept: Kept | None = None,
    path: TrainPath = OWN,
    group: Group = ALONE,
) -> list[LossStep]:
    """Train an adapter on `examples` and write it into the directory of `this` round; one LossStep for each step.

    The prompt has no loss; the end-of-turn token does. `kept` is the caller's and spares the next call loading. `path`
    is what a probe has shown for this model (`axiom.learners.proof.prove`); without one the model's own code runs,
    which is slower. In a `group` every process is given the same, and the first one writes.
    Raises ConfigError when nothing fits into `config.max_length` or the previous policy belongs to another base model,
    and OutOfMemoryError when not even one example fits into memory.
    """
    kept = kept or Kept()
    previous, seed = this.previous, this.seed
    trainable = prepare(model, config, previous, seed, path, kept, group.sharded)
    encoded = encode(examples, _tokenizer(model, kept), config.max_length)
    trainer = _Trainer(trainable, config, max((len(e.tokens) for e in encoded), default=0), group)
    if config.optimizer == "kept" and config.mode == "continue" and previous.adapter is not None:
        trainer.optimizer.go_on(previous.adapter)
    size = config.examples_per_step
    total = steps_in_all(len(encoded), size, config.epochs, this.steps)
    batches = optimizer_steps(encoded, size, config.epochs, seed, this.iteration, this.steps)
    mine = () if group.size == 1 else (group.rank,)  # what each drops is its own
    taken = (
        trainer.step(
            batch, config.learning_rate * factor(config, number, total), derive(seed, "dropout", number, *mine)
        )
        for number, batch in enumerate(batches)
    )
    records: list[LossStep] = []
    with own_random():
        for step in _one_behind(taken):
            records.append(step.record(this.iteration, this.first_step + len(records) + 1))
            this.on_step(records[-1])
    if group.rank > 0:
        return records
    save_adapter(trainable, model, this.out, previous.adapter if config.mode == "merge" else None)
    if config.optimizer == "kept" and config.mode == "continue":
        trainer.optimizer.save(this.out)
    return records


def _tokenizer(model: ModelConfig, kept: Kept) -> Any:
    """Kept beside the model: loading one takes a third of a second."""
    key = "tokenizer", model
    if key not in kept.held:
        kept.held[key] = load_tokenizer(model)
    return kept.held[key]


@dataclass(frozen=True)
class _Step:
    """An optimizer step that a GPU may still be at; `found_2` is its loss and the norm of its gradient."""

    batch: Sequence[Encoded]
    learning_rate: float
    found_2: torch.Tensor

    def record(self, iteration: int, number: int) -> LossStep:
        """Waits for the step's end."""
        loss, norm = self.found_2.tolist()
        return LossStep(
            iteration=iteration,
            step=number,
            loss=loss,
            learning_rate=self.learning_rate,
            examples=len(self.batch),
            loss_tokens=sum(example.loss_tokens for example in self.batch),
            tokens=sum(len(example.tokens) for example in self.batch),
            grad_norm=norm,
        )


def _one_behind(steps: Iterator[_Step]) -> Iterator[_Step]:
    """The steps, each once the next has begun, so that a GPU does not wait for its record to be made."""
    before = next(steps, None)
    for step in steps:
        assert before is not None
        yield before
        before = step
    if before is not None:
        yield before


class _Trainer:
    def __init__(self, trainable: Trainable, config: TrainingConfig, longest: int, group: Group) -> None:
        self.config, self.group = config, group
        self.model, self.factors, self.graphed = trainable.model, trainable.factors, trainable.graphed
        self.path = trainable.path
        self.optimizer = Optimizer(trainable.factors.values_P, config)
        self.budget = group.least(pass_tokens(self.model), self.model.device)
        if group.sharded and not self.path.packed:
            self.budget = 1  # each sequence goes through the model by itself, in every process as many
        if longest > self.budget > 1:
            log.warning("an example has %d tokens, memory holds %d: activations are recomputed", longest, self.budget)
            self.graphed = None  # recomputing draws on state that a graph cannot capture
            recompute(self.model, True)
        else:
            recompute(self.model, False)

    def step(self, batch: Sequence[Encoded], learning_rate: float, dropout_seed: int) -> _Step:
        """One optimizer step over `batch`; what dropout draws follows from `dropout_seed` alone."""
        loss = self.group.sum(self._accumulate(batch, dropout_seed))
        if self.group.size > 1:
            self.factors.gradient_P.copy_(self.group.sum(self.factors.gradient_P))
        norm = torch.nn.utils.clip_grad_norm_([self.factors.values_P], self.config.max_grad_norm)
        self.optimizer.step(learning_rate)
        self.optimizer.zero_gradient()
        return _Step(batch, learning_rate, torch.stack([loss, norm]))

    def _accumulate(self, batch: Sequence[Encoded], dropout_seed: int) -> torch.Tensor:
        """Gradients of the batch's mean loss; halves the passes and starts over when memory runs out."""
        while True:
            torch.manual_seed(dropout_seed)
            try:
                losses = [self._pass(pack) for pack in self.group.passes(batch, self.budget)]
                return torch.stack(losses or [torch.zeros((), device=self.model.device)]).sum()
            except torch.OutOfMemoryError:
                self.optimizer.zero_gradient()
                if self.group.sharded:  # the others would wait for this one's part of a pass
                    raise OutOfMemoryError(
                        f"a pass of {self.budget} tokens does not fit beside this process's part of the weights; "
                        f"raise training.data_parallel or lower training.max_length"
                    ) from None
                if self.budget // 2 < SMALLEST_PASS_TOKENS or len(batch) == 1:
                    raise OutOfMemoryError(
                        f"one example of {max(len(e.tokens) for e in batch)} tokens does not fit into memory; "
                        f"lower training.max_length"
                    ) from None
            self.budget //= 2
            log.warning("out of memory: continuing with %d tokens in a pass", self.budget)
            torch.cuda.empty_cache()

    def _pass(self, pack: Pack) -> torch.Tensor:
        if self.graphed is not None:
            return self.graphed(pack)
        return run_pass(self.model, self.factors, to_device(pack, self.model.device), self.path)


def pass_tokens(model: Any) -> int:
    """Tokens in one pass: on a CPU a fixed number, on a GPU what half of its free memory holds.

    A layer keeps about 40 hidden-size and 8 intermediate-size vectors of each token for the backward pass.
    """
    if model.device.type == "cpu":
        return CPU_PASS_TOKENS
    settings = model.config
    width = 40 * settings.hidden_size + 8 * settings.intermediate_size
    per_token = settings.num_hidden_layers * width * model.dtype.itemsize
    free = torch.cuda.mem_get_info(model.device)[0] + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return max(SMALLEST_PASS_TOKENS, min(MOST_PASS_TOKENS, free // 2 // per_token))
