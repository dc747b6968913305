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
from axiom.training.lora import adapted_model, save_adapter
from axiom.training.loss import weighted_cross_entropy

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
    adapted = adapted_model(model, config, previous, seed)
    try:
        encoded = encode(examples, load_tokenizer(model), config.max_length)
        trainer = _Trainer(adapted, config, longest=max((len(e.tokens) for e in encoded), default=0))
        size = config.batch_size * config.gradient_accumulation
        steps: list[LossStep] = []
        for batch in optimizer_steps(encoded, size, config.epochs, seed, iteration):
            steps.append(trainer.step(batch, iteration, first_step + len(steps)))
            if on_step is not None:
                on_step(steps[-1])
        save_adapter(adapted, model, out)
        return steps
    finally:
        adapted.unload()


class _Trainer:
    def __init__(self, adapted: Any, config: TrainingConfig, longest: int) -> None:
        self.adapted, self.config = adapted, config
        self.model = adapted.get_base_model()
        self.head = self.model.get_output_embeddings().weight
        self.parameters = [p for p in adapted.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.budget = pass_tokens(self.model)
        if longest > self.budget:
            log.warning("an example has %d tokens, memory holds %d: activations are recomputed", longest, self.budget)
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        else:
            self.model.gradient_checkpointing_disable()

    def step(self, batch: Sequence[Encoded], iteration: int, number: int) -> LossStep:
        """One optimizer step over `batch`."""
        loss = self._accumulate(batch)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.config.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return LossStep(
            iteration=iteration, step=number, loss=loss, learning_rate=self.config.learning_rate, examples=len(batch),
            loss_tokens=sum(example.loss_tokens for example in batch),
            tokens=sum(len(example.tokens) for example in batch), grad_norm=float(norm),
        )  # fmt: skip

    def _accumulate(self, batch: Sequence[Encoded]) -> float:
        """Gradients of the batch's mean loss; halves the passes and starts over when memory runs out."""
        total_weight = sum(example.weight * example.loss_tokens for example in batch)
        while True:
            try:
                return sum(self._backward(pack, total_weight) for pack in packs(batch, self.budget, self.model.device))
            except torch.OutOfMemoryError:
                self.optimizer.zero_grad(set_to_none=True)
                if self.budget // 2 < SMALLEST_PASS_TOKENS or len(batch) == 1:
                    raise OutOfMemoryError(
                        f"one example of {max(len(e.tokens) for e in batch)} tokens does not fit into memory; "
                        f"lower training.max_length"
                    ) from None
            self.budget //= 2
            torch.cuda.empty_cache()

    def _backward(self, pack: Pack, total_weight: float) -> float:
        hidden_TD = self.model.get_decoder()(
            input_ids=pack.ids_T[None], position_ids=pack.positions_T[None], use_cache=False, segments=pack.segments
        ).last_hidden_state[0]  # fmt: skip
        loss = weighted_cross_entropy(
            hidden_TD[pack.sources_N], self.head, pack.targets_N, pack.weights_N / total_weight
        )
        loss.backward()
        return float(loss.detach())


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
