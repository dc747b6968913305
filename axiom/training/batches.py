"""Examples to packed token sequences: optimizer steps, and the passes each is cut into."""
# ruff: noqa: TID253  (imported only by the training loop, which is itself imported lazily)

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
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
        """What they weigh together, whatever the sign: a negative weight lowers their probability."""
        return abs(self.weight) * self.loss_tokens


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

    def sequences(self) -> Iterator["Pack"]:
        """Each sequence as a pack of its own, with its share of the weights."""
        ends = torch.tensor(self.lengths).cumsum(0).tolist()
        for length, end in zip(self.lengths, ends, strict=True):
            start = end - length
            mine = (self.sources_N >= start) & (self.sources_N < end)
            yield Pack(
                self.ids_T[start:end],
                self.positions_T[start:end],
                self.sources_N[mine] - start,
                self.targets_N[mine],
                self.weights_N[mine],
                torch.tensor([0, length], dtype=torch.int32),
                (length,),
            )


def encoded(examples: Sequence[Example], tokenizer: Any) -> list[Encoded]:
    """Examples as tokens, each with the token that ends it.

    The prompt has the tokens that sampling gives it, and the target those that it has behind that prompt: a tokenizer
    that begins each text with a space of its own puts none between them. Text of a special token in the target stays
    text.
    """
    prompts = tokenizer([e.prompt for e in examples], add_special_tokens=False)["input_ids"] if examples else []
    targets = continuations([(e.prompt, e.target) for e in examples], tokenizer)
    ends = [tokenizer.eos_token_id if example.end is None else example.end for example in examples]
    return [
        Encoded([*prompt, *target, end], len(prompt), example.weight)
        for example, prompt, target, end in zip(examples, prompts, targets, ends, strict=True)
    ]


def loss_tokens(examples: Sequence[Example], tokenizer: Any, max_length: int) -> list[int]:
    """Tokens of each example that have a loss in one pass; 0 for one that `max_length` leaves out."""
    return [row.loss_tokens if len(row.tokens) <= max_length else 0 for row in encoded(examples, tokenizer)]


def encode(examples: Sequence[Example], tokenizer: Any, max_length: int) -> list[Encoded]:
    """The same without those longer than `max_length`. Raises ConfigError when none is left."""
    rows = encoded(examples, tokenizer)
    kept = [example for example in rows if len(example.tokens) <= max_length]
    if rows and not kept:
        shortest = min(len(example.tokens) for example in rows)
        raise ConfigError(
            f"training.max_length = {max_length} leaves out every example, the shortest has {shortest} tokens; raise it"
        )
    return kept


ANCHOR_CHARACTERS = 32
"""Text before a target that is tokenised with it."""


def continuations(pairs: Sequence[tuple[str, str]], tokenizer: Any) -> list[list[int]]:
    """Tokens of each text behind its prompt, from (prompt, text) pairs.

    The end of the prompt and the text are tokenised together. Where a token would reach across the boundary, which
    sampling cannot draw, the text is tokenised behind a bracket instead.
    """
    if not pairs:
        return []
    special = sorted(tokenizer.get_added_vocab(), key=len, reverse=True)
    anchors = []
    for prompt, _ in pairs:
        cut = max((prompt.rfind(token) + len(token) for token in special if token in prompt), default=0)
        anchors.append(prompt[max(cut, len(prompt) - ANCHOR_CHARACTERS) :])

    def tokens(texts: list[str]) -> list[list[int]]:
        ids: list[list[int]] = tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return ids

    found: list[list[int]] = []
    for anchor, (_, text) in zip(anchors, pairs, strict=True):
        for begin in (anchor, ")"):
            first, joint = tokens([begin, begin + text]) if begin else ([], tokens([text])[0])
            if joint[: len(first)] == first:
                break
        found.append(joint[len(first) :])
    return found


def optimizer_steps(
    examples: Sequence[Encoded], size: int, epochs: int, seed: int, iteration: int, steps: int | None = None
) -> Iterator[list[Encoded]]:
    """Batches of `size` examples, in an order of its own in each epoch; the last of an epoch may be smaller.

    With `steps` an epoch has so many batches instead, or as many as there are examples, of sizes that differ by one.
    """
    for epoch in range(epochs):
        order = list(examples)
        stream(seed, "order", iteration, epoch).shuffle(order)
        for start, end in pairwise(_bounds(len(order), size, steps)):
            yield order[start:end]


def _bounds(count: int, size: int, steps: int | None) -> list[int]:
    """Where the batches of `count` examples begin, and where the last one ends."""
    if steps is None:
        return [*range(0, count, size), count]
    batches = min(steps, count)
    return [count * batch // batches for batch in range(batches + 1)] if batches else [0]


def steps_in_all(count: int, size: int, epochs: int, steps: int | None = None) -> int:
    """Batches that `optimizer_steps` makes of `count` examples."""
    return epochs * (len(_bounds(count, size, steps)) - 1)


def packs(batch: Sequence[Encoded], budget: int) -> list[Pack]:
    """The batch in as few passes of about `budget` tokens as first-fit finds; a longer example passes alone."""
    total = total_weight(batch)
    return [pack(content, total) for content in bins(batch, budget)]


def total_weight(batch: Sequence[Encoded]) -> float:
    """What the loss of a step is divided by."""
    return sum(example.loss_weight for example in batch)


def bins(batch: Sequence[Encoded], budget: int) -> list[list[Encoded]]:
    """The examples of each of the passes that `packs` makes."""
    found: list[list[Encoded]] = []
    for example in sorted(batch, key=lambda item: -len(item.tokens)):
        for content in found:
            if sum(len(item.tokens) for item in content) + len(example.tokens) <= budget:
                content.append(example)
                break
        else:
            found.append([example])
    return found


def shares(batch: Sequence[Encoded], parts: int) -> list[list[Encoded]]:
    """The batch in `parts`: the longest example first, each to the part that has the fewest tokens so far."""
    found: list[list[Encoded]] = [[] for _ in range(parts)]
    tokens = [0] * parts
    for example in sorted(batch, key=lambda item: -len(item.tokens)):
        least = tokens.index(min(tokens))
        found[least].append(example)
        tokens[least] += len(example.tokens)
    return found


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
        torch.tensor(ids),
        torch.tensor(positions),
        torch.tensor(sources),
        torch.tensor(targets),
        torch.tensor(weights),
        torch.tensor(offsets, dtype=torch.int32),
        tuple(len(example.tokens) for example in content),
    )
