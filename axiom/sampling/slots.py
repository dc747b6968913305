"""A key-value cache with one slot per sequence, written in place.

The cache that grows by concatenation copies itself at every token. Here each slot has its room from the start, rows
join and leave between steps, and the rows in use are always the first `active` ones.
Axes: S slots, P prompts, G key heads, T positions, D head size.
"""
# ruff: noqa: TID253  (imported only by the transformers sampler, which is itself imported lazily)

from typing import Any

import torch
from transformers import Cache


class PromptCache(Cache):
    """Collects the keys and values of prompts that share a prefix whose cache is already known."""

    def __init__(self, layers: int, prefix: "PromptCache | None" = None) -> None:
        self.keys: list[torch.Tensor] = [torch.empty(0)] * layers
        self.values: list[torch.Tensor] = [torch.empty(0)] * layers
        self.prefix = prefix
        self.layers = []

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Prepend the prefix to the new `PGTD` states and keep both."""
        if self.prefix is not None:
            before = (self.prefix.keys[layer_idx], self.prefix.values[layer_idx])
            expanded = [tensor.expand(key_states.shape[0], -1, -1, -1) for tensor in before]
            key_states = torch.cat([expanded[0], key_states], dim=2)
            value_states = torch.cat([expanded[1], value_states], dim=2)
        self.keys[layer_idx], self.values[layer_idx] = key_states, value_states
        return key_states, value_states


class SlotCache(Cache):
    """Keys and values `SGTD` of every layer; decoding appends one position to each active slot."""

    def __init__(self, layers: int, slots: int, room: int) -> None:
        self.keys: list[torch.Tensor] = [torch.empty(0)] * layers
        self.values: list[torch.Tensor] = [torch.empty(0)] * layers
        self.slots, self.room = slots, room
        self.rows = torch.empty(0, dtype=torch.long)
        self.positions = torch.empty(0, dtype=torch.long)
        self.span = 0
        self.layers = []

    def begin_step(self, positions: torch.Tensor, span: int) -> None:
        """The next update writes slot `i` at `positions[i]`; attention then sees the first `span` positions."""
        self.rows = torch.arange(len(positions), device=positions.device)
        self.positions, self.span = positions, span

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write one position of each active slot; return the active part of the cache."""
        keys, values = self.keys[layer_idx], self.values[layer_idx]
        keys[self.rows, :, self.positions] = key_states[:, :, 0]
        values[self.rows, :, self.positions] = value_states[:, :, 0]
        active = len(self.rows)
        return keys[:active, :, : self.span], values[:active, :, : self.span]

    def fill(self, prompts: PromptCache, source: list[int], slots: list[int]) -> None:
        """Copy prompt `source[i]` into slot `slots[i]`, for every layer."""
        pick, place = torch.tensor(source), torch.tensor(slots)
        for layer, (new_keys, new_values) in enumerate(zip(prompts.keys, prompts.values, strict=True)):
            if self.keys[layer].numel() == 0:
                self.keys[layer], self.values[layer] = (
                    new.new_zeros(self.slots, new.shape[1], self.room, new.shape[3]) for new in (new_keys, new_values)
                )
            length = new_keys.shape[2]
            self.keys[layer][place, :, :length] = new_keys[pick]
            self.values[layer][place, :, :length] = new_values[pick]

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of slot `source` over slot `target`."""
        for tensor in (*self.keys, *self.values):
            tensor[target, :, :length] = tensor[source, :, :length]
