"""One pass forward and backward over a pack, and the same as a CUDA graph.

A batch of the default eight examples is some 2,000 tokens: a GPU computes it faster than Python can launch its
thousands of kernels. So on a GPU a pass is captured once for each size and replayed.
"""
# ruff: noqa: TID253  (imported only by the training loop, which is itself imported lazily)

from dataclasses import fields, replace
from typing import Any

import torch

from axiom.attention import Segments
from axiom.training.batches import Pack
from axiom.training.loss import weighted_cross_entropy
from axiom.training.lowrank import Factors

LEAST_TOKENS = 512
"""The smallest captured pass."""
WARM_UPS = 1
"""Passes before a capture, so that libraries have set themselves up."""
TOKENS_OF_A_SEQUENCE = 64
"""Packs of longer sequences than this on average differ in nothing but T and N."""


def run_pass(model: Any, factors: Factors, pack: Pack) -> torch.Tensor:
    """Add the gradient of the pack's weighted loss to that of the factors; returns that loss."""
    factors.before_pass()
    on_gpu = pack.ids_T.is_cuda
    segments = Segments(pack.lengths, pack.offsets_S if on_gpu else None, len(pack.ids_T))
    hidden_TD = model.get_decoder()(
        input_ids=pack.ids_T[None], position_ids=pack.positions_T[None], use_cache=False, segments=segments
    ).last_hidden_state[0]
    head_VD = model.get_output_embeddings().weight
    chosen_ND = hidden_TD.index_select(0, pack.sources_N)
    loss = weighted_cross_entropy(chosen_ND, head_VD, pack.targets_N, pack.weights_N)
    loss.backward()
    factors.after_pass()
    return loss.detach()


class GraphedPasses:
    """Passes over one model, captured for each size they come in. The graphs share their memory."""

    def __init__(self, model: Any, factors: Factors) -> None:
        self.model, self.factors = model, factors
        self.graphs: dict[tuple[int, ...], tuple[torch.cuda.CUDAGraph, Pack, torch.Tensor]] = {}
        self.memory: Any = None

    def __call__(self, pack: Pack) -> torch.Tensor:
        """As `run_pass`, of a pack in host memory."""
        padded = pad(pack)
        shape = tuple(len(getattr(padded, field.name)) for field in fields(padded)[:-1])
        if shape not in self.graphs:
            self.graphs[shape] = self._capture(padded)
        graph, static, loss = self.graphs[shape]
        for field in fields(padded)[:-1]:
            getattr(static, field.name).copy_(getattr(padded, field.name))
        graph.replay()
        return loss.clone()

    def _capture(self, padded: Pack) -> tuple[torch.cuda.CUDAGraph, Pack, torch.Tensor]:
        kept_P = self.factors.gradient_P.clone()
        static = to_device(padded, self.model.device)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                run_pass(self.model, self.factors, static)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.memory):
            loss = run_pass(self.model, self.factors, static)
        self.memory = graph.pool()
        self.factors.gradient_P.copy_(kept_P)
        return graph, static, loss


def pad(pack: Pack) -> Pack:
    """The pack with a sequence of padding at its end, in few sizes that recur, since each costs seconds to capture.

    T is a rung of the ladder, N is T or T halved once or more, S a multiple of 8 that depends on T where it can. The
    sequences that fill S up are empty. Padding predicts nothing.
    """
    length = rung(len(pack.ids_T) + 1)
    count = length
    while count // 2 >= max(len(pack.sources_N), 1):
        count //= 2
    sequences = -(-max(len(pack.lengths) + 1, length // TOKENS_OF_A_SEQUENCE) // 8) * 8
    extra_T, extra_N = length - len(pack.ids_T), count - len(pack.sources_N)
    grow = torch.nn.functional.pad
    offsets_S = grow(pack.offsets_S, (0, sequences + 1 - len(pack.offsets_S)), value=length)
    return Pack(
        grow(pack.ids_T, (0, extra_T)), torch.cat([pack.positions_T, torch.arange(extra_T)]),
        grow(pack.sources_N, (0, extra_N)), grow(pack.targets_N, (0, extra_N)), grow(pack.weights_N, (0, extra_N)),
        offsets_S, (*pack.lengths, extra_T),
    )  # fmt: skip


def rung(tokens: int) -> int:
    """The smallest of 512, 768, 1024, 1536, 2048, ... that holds `tokens`."""
    size = LEAST_TOKENS
    while size < tokens:
        size *= 2
    return size * 3 // 4 if size > LEAST_TOKENS and size * 3 // 4 >= tokens else size


def to_device(pack: Pack, device: torch.device) -> Pack:
    """The pack with its tensors on `device`."""
    tensors = {field.name: getattr(pack, field.name).to(device) for field in fields(pack)[:-1]}
    return replace(pack, **tensors)
