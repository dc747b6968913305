"""Examples to packed token sequences: optimizer steps, and the passes each is cut into."""
# ruff: noqa: TID253  (imported only by the training loop, which is itself imported lazily)

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from axiom.errors import ConfigError
from axiom.seeds import stream
from axiom.training import Example


@dataclass(frozen=True)
class Encoded:
    """Tokens of one example; the loss covers those from `start` on."""

    tokens: list[int]
    start: int
    weight: float

    @property
    def loss_tokens(self) -> int:
        """Tokens that have a loss."""
        return len(self.tokens) - self.start

    @property
    def loss_weight(self) -> float:
        """What they weigh together."""
        return self.weight * self.loss_tokens


@dataclass(frozen=True)
class Pack:
    """Sequences end to end. T tokens in all, N of them predicted, S sequences.

    `ids_T` and `positions_T` go in; the model's output at `sources_N` predicts `targets_N` with `weights_N`.
    `offsets_S` says where each sequence begins and the last ends.
    """

    ids_T: torch.Tensor
    positions_T: torch.Tensor
    sources_N: torch.Tensor
    targets_N: torch.Tensor
    weights_N: torch.Tensor
    offsets_S: torch.Tensor
    lengths: tuple[int, ...]


def encode(examples: Sequence[Example], tokenizer: Any, max_length: int) -> list[Encoded]:
    """Examples as tokens with the end-of-turn token at their end; those longer than `max_length` are left out."""
    prompts = tokenizer([e.prompt for e in examples], add_special_tokens=False)["input_ids"] if examples else []
    targets = tokenizer([e.target for e in examples], add_special_tokens=False)["input_ids"] if examples else []
    end = tokenizer.eos_token_id
    encoded = [
        Encoded([*prompt, *target, end], len(prompt), example.weight)
        for example, prompt, target in zip(examples, prompts, targets, strict=True)
    ]
    kept = [example for example in encoded if len(example.tokens) <= max_length]
    if encoded and not kept:
        shortest = min(len(example.tokens) for example in encoded)
        raise ConfigError(
            f"training.max_length = {max_length} leaves out every example, the shortest has {shortest} tokens; raise it"
        )
    return kept


def optimizer_steps(
    examples: Sequence[Encoded], size: int, epochs: int, seed: int, iteration: int
) -> Iterator[list[Encoded]]:
    """Batches of `size` examples, in an order of its own in each epoch; the last of an epoch may be smaller."""
    for epoch in range(epochs):
        order = list(examples)
        stream(seed, "order", iteration, epoch).shuffle(order)
        for start in range(0, len(order), size):
            yield order[start : start + size]


def packs(batch: Sequence[Encoded], budget: int) -> list[Pack]:
    """The batch in as few passes of about `budget` tokens as first-fit finds; a longer example passes alone."""
    bins: list[list[Encoded]] = []
    for example in sorted(batch, key=lambda item: -len(item.tokens)):
        for content in bins:
            if sum(len(item.tokens) for item in content) + len(example.tokens) <= budget:
                content.append(example)
                break
        else:
            bins.append([example])
    total = sum(example.loss_weight for example in batch)
    return [pack(content, total) for content in bins]


def pack(content: Sequence[Encoded], total_weight: float) -> Pack:
    """The examples end to end, as tensors of host memory; weights are shares of `total_weight`."""
    ids: list[int] = []
    positions: list[int] = []
    sources: list[int] = []
    targets: list[int] = []
    weights: list[float] = []
    offsets = [0]
    for example in content:
        begin, end = offsets[-1], offsets[-1] + len(example.tokens)
        sources += range(begin + example.start - 1, end - 1)
        targets += example.tokens[example.start :]
        weights += [example.weight / total_weight] * example.loss_tokens
        ids += example.tokens
        positions += range(len(example.tokens))
        offsets.append(end)
    return Pack(
        torch.tensor(ids), torch.tensor(positions), torch.tensor(sources), torch.tensor(targets), torch.tensor(weights),
        torch.tensor(offsets, dtype=torch.int32), tuple(len(example.tokens) for example in content),
    )  # fmt: skip
