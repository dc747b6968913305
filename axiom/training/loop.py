"""The training loop: packed passes, one optimizer step for every batch, a smaller pass when memory runs out."""
# ruff: noqa: TID253  (imported lazily by axiom.training)

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from axiom.config import ModelConfig, TrainingConfig
from axiom.errors import OutOfMemoryError
from axiom.models import Policy, load_tokenizer
from axiom.records import LossStep
from axiom.training import Example
from axiom.training.batches import Encoded, Pack, encode, optimizer_steps, packs
from axiom.training.lora import Trainable, prepare, save_adapter
from axiom.training.passes import run_pass, to_device

log = logging.getLogger("axiom.training")

CPU_PASS_TOKENS = 1024
"""Tokens in one pass on a CPU: enough for its matrix units, and about a gigabyte for a model of 135M."""
MOST_PASS_TOKENS = 32768
SMALLEST_PASS_TOKENS = 32


def run(
    examples: Sequence[Example], *, model: ModelConfig, config: TrainingConfig, previous: Policy, out: Path, seed: int,
    iteration: int, first_step: int, on_step: Callable[[LossStep], None] | None,
) -> list[LossStep]:  # fmt: skip
    """See `axiom.training.train`."""
    trainable = prepare(model, config, previous, seed)
    encoded = encode(examples, load_tokenizer(model), config.max_length)
    trainer = _Trainer(trainable, config, longest=max((len(e.tokens) for e in encoded), default=0))
    size = config.batch_size * config.gradient_accumulation
    steps: list[LossStep] = []
    for batch in optimizer_steps(encoded, size, config.epochs, seed, iteration):
        steps.append(trainer.step(batch, iteration, first_step + len(steps)))
        if on_step is not None:
            on_step(steps[-1])
    save_adapter(trainable, model, out, previous.adapter if config.mode == "merge" else None)
    return steps


class _Trainer:
    def __init__(self, trainable: Trainable, config: TrainingConfig, longest: int) -> None:
        self.trainable, self.config = trainable, config
        self.model, self.graphed = trainable.model, trainable.graphed
        self.optimizer = torch.optim.AdamW(
            trainable.parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.budget = pass_tokens(self.model)
        if longest > self.budget:
            log.warning("an example has %d tokens, memory holds %d: activations are recomputed", longest, self.budget)
            self.graphed = None  # recomputing draws on state that a graph cannot capture
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        else:
            self.model.gradient_checkpointing_disable()

    def step(self, batch: Sequence[Encoded], iteration: int, number: int) -> LossStep:
        """One optimizer step over `batch`."""
        loss = self._accumulate(batch)
        norm = torch.nn.utils.clip_grad_norm_(self.trainable.parameters, self.config.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=False)  # captured passes add to these very tensors
        return LossStep(
            iteration=iteration, step=number, loss=loss, learning_rate=self.config.learning_rate, examples=len(batch),
            loss_tokens=sum(example.loss_tokens for example in batch),
            tokens=sum(len(example.tokens) for example in batch), grad_norm=float(norm),
        )  # fmt: skip

    def _accumulate(self, batch: Sequence[Encoded]) -> float:
        """Gradients of the batch's mean loss; halves the passes and starts over when memory runs out."""
        while True:
            try:
                return float(sum(self._pass(pack) for pack in packs(batch, self.budget)))
            except torch.OutOfMemoryError:
                self.optimizer.zero_grad(set_to_none=False)
                if self.budget // 2 < SMALLEST_PASS_TOKENS or len(batch) == 1:
                    raise OutOfMemoryError(
                        f"one example of {max(len(e.tokens) for e in batch)} tokens does not fit into memory; "
                        f"lower training.max_length"
                    ) from None
            self.budget //= 2
            log.warning("out of memory: going on with %d tokens in a pass", self.budget)
            torch.cuda.empty_cache()

    def _pass(self, pack: Pack) -> torch.Tensor:
        return (
            self.graphed(pack) if self.graphed is not None else run_pass(self.model, to_device(pack, self.model.device))
        )


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
