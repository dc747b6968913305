"""The processes that train one adapter together: each computes its share of a step's gradient, and all take the step.

The gradient of all factors is one vector, so what a step sends is one sum. The moments of the optimizer and the adapter
are the same everywhere. With `sharded` weights each process keeps a part of every layer of the frozen base model, and
gathers a layer when it computes with it.
"""
# ruff: noqa: TID253  (imported only by the training loop, which is itself imported lazily)

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers.modeling_layers import GradientCheckpointingLayer

from axiom.training.batches import Encoded, Pack, bins, pack, packs, shares, total_weight


@dataclass(frozen=True)
class Group:
    """Process `rank` of `size`, which accelerate has joined; alone there is nothing to join."""

    rank: int = 0
    size: int = 1
    sharded: bool = False

    def sum(self, found: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, in every one of them."""
        if self.size == 1:
            return found
        from accelerate.utils import reduce

        return reduce(found, "sum")

    def least(self, number: int, device: torch.device) -> int:
        """The smallest of what the processes give, where all must do alike."""
        if not self.sharded:
            return number
        found = torch.tensor(number, device=device)
        torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MIN)
        return int(found)

    def passes(self, batch: Sequence[Encoded], budget: int) -> list[Pack]:
        """What passes through the model here in a step over `batch`; the weights are shares of the whole batch's.

        Processes that gather each other's weights take as many passes each; those that are missing have no weight.
        """
        if self.size == 1:
            return packs(batch, budget)
        total, parts = total_weight(batch), shares(batch, self.size)
        mine = bins(parts[self.rank], budget)
        if self.sharded:
            shortest = replace(min(batch, key=lambda example: len(example.tokens)), weight=0.0)
            mine += [[shortest]] * (max(len(bins(part, budget)) for part in parts) - len(mine))
        return [pack(content, total) for content in mine]


ALONE = Group()


def shard(adapted: Any, device: str) -> None:
    """Put a model that is in host memory on `device`, of the matrices of its layers this process's part alone.

    Embeddings, norms and the adapter's factors are whole everywhere.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    decoder = adapted.get_base_model().get_decoder()
    layers = [layer for layer in decoder.modules() if isinstance(layer, GradientCheckpointingLayer)]
    split = {
        weight for layer in layers for weight in layer.parameters() if weight.ndim > 1 and not weight.requires_grad
    }
    whole = set(adapted.parameters()) - split
    for weight in whole:
        weight.data = weight.data.to(device)
    mesh = init_device_mesh(device, (torch.distributed.get_world_size(),))
    for layer in (*layers, decoder):
        fully_shard(layer, mesh=mesh, ignored_params=whole)
