"""One pass forward and backward over a pack, and the same as a CUDA graph.

A batch of the default eight examples is some 2,000 tokens: a GPU computes it faster than Python can launch its
thousands of kernels. So on a GPU a pass is captured once for each size and replayed.
"""
# ruff: noqa: TID253  (imported only by the training loop, which is itself imported lazily)

from collections.abc import Iterator
from dataclasses import fields, replace
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from axiom.models.attention import Segments, layout, reset_rotary
from axiom.models.ways import QUICK, TrainPath
from axiom.training.batches import Pack
from axiom.training.loss import logprobs, weighted_cross_entropy
from axiom.training.lowrank import Factors

LEAST_TOKENS = 512
"""The smallest captured pass."""
WARM_UPS = 1
"""Passes before a capture, so that libraries have set themselves up."""
TOKENS_OF_A_SEQUENCE = 64
"""Packs of longer sequences than this on average differ in nothing but T and N."""


def run_pass(model: Any, factors: Factors, pack: Pack, path: TrainPath = QUICK, captured: bool = False) -> torch.Tensor:
    """Add the gradient of the pack's weighted loss to that of the factors; returns that loss.

    Without `path.packed` the sequences of the pack go through the model one after another.
    """
    factors.before_pass()
    total = pack.weights_N.new_zeros(())
    for part, positions_T in _parts(model, pack, path, captured):
        loss = _loss(model, part, path.own_head, positions_T)
        loss.backward()
        total += loss.detach()
    factors.after_pass()
    return total


def evaluate(model: Any, pack: Pack, path: TrainPath) -> float:
    """The weighted loss of a pass, without a gradient."""
    with torch.no_grad():
        return sum(float(_loss(model, part, path.own_head, at_T)) for part, at_T in _parts(model, pack, path))


def scores(model: Any, pack: Pack, path: TrainPath) -> torch.Tensor:
    """Log-probabilities `N` of the targets of a pack, computed as a pass of training computes them."""
    with torch.no_grad():
        return torch.cat([_scores(model, part, path.own_head, at_T) for part, at_T in _parts(model, pack, path)])


def logits(model: Any, pack: Pack, path: TrainPath) -> torch.Tensor:
    """Logits `NV` at the positions that predict the targets of a pack, in float32."""
    with torch.no_grad():
        chosen = torch.cat([_chosen(model, part, path.own_head, at_T) for part, at_T in _parts(model, pack, path)])
        return chosen if path.own_head else (chosen @ model.get_output_embeddings().weight.T).float()


def _parts(
    model: Any, pack: Pack, path: TrainPath, captured: bool = False
) -> Iterator[tuple[Pack, torch.Tensor | None]]:
    """What goes through the model at once: the pack with its positions, or each of its sequences alone."""
    if not path.packed:
        for alone in pack.sequences():
            reset_rotary(model)
            yield alone, None
        return
    offsets_S = pack.offsets_S if pack.ids_T.is_cuda else None
    longest = len(pack.ids_T) if captured else max(path.longest, *pack.lengths)
    with layout(Segments(None if captured else pack.lengths, offsets_S, longest)):
        yield pack, pack.positions_T


def _chosen(model: Any, pack: Pack, own_head: bool, positions_T: torch.Tensor | None) -> torch.Tensor:
    """Logits `NV` of the model's own head, or the hidden states `ND` before it.

    A pack needs positions, and a mask of ones, which keeps transformers from looking for the sequences itself; a
    sequence alone is what a model expects without being told.
    """
    given: dict[str, Any] = {"input_ids": pack.ids_T[None], "use_cache": False}
    if positions_T is not None:
        given |= {"position_ids": positions_T[None], "attention_mask": torch.ones_like(pack.ids_T[None])}
    if own_head:
        return model(**given).logits[0].index_select(0, pack.sources_N).float()
    return model.get_decoder()(**given).last_hidden_state[0].index_select(0, pack.sources_N)


def _loss(model: Any, pack: Pack, own_head: bool, positions_T: torch.Tensor | None) -> torch.Tensor:
    """The weighted loss of a pass."""
    chosen = _chosen(model, pack, own_head, positions_T)
    if own_head:
        losses_N = torch.nn.functional.cross_entropy(chosen, pack.targets_N, reduction="none")
        return (losses_N * pack.weights_N).sum()
    return weighted_cross_entropy(chosen, model.get_output_embeddings().weight, pack.targets_N, pack.weights_N)


def _scores(model: Any, pack: Pack, own_head: bool, positions_T: torch.Tensor | None) -> torch.Tensor:
    """Log-probabilities `N` of the targets."""
    chosen = _chosen(model, pack, own_head, positions_T)
    if own_head:
        return chosen.log_softmax(-1).gather(1, pack.targets_N[:, None])[:, 0]
    return logprobs(chosen, model.get_output_embeddings().weight, pack.targets_N)


def recompute(model: Any, on: bool) -> None:
    """Keep no activations inside a layer, and compute them again on the way back.

    Transformers does so in training mode only, in which a model's own dropout acts as well.
    """
    for layer in model.modules():
        if isinstance(layer, GradientCheckpointingLayer):
            layer.__dict__.pop("forward", None)
            if on:
                setattr(layer, "forward", partial(checkpoint, layer.forward, use_reentrant=False))  # noqa: B010


class GraphedPasses:
    """Passes over one model, captured for each size they come in. The graphs share their memory."""

    def __init__(self, model: Any, factors: Factors, path: TrainPath) -> None:
        self.model, self.factors, self.path = model, factors, path
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
                run_pass(self.model, self.factors, static, self.path, captured=True)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.memory, capture_error_mode="thread_local"):  # NCCL has threads
            loss = run_pass(self.model, self.factors, static, self.path, captured=True)
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
        grow(pack.ids_T, (0, extra_T)),
        torch.cat([pack.positions_T, torch.arange(extra_T)]),
        grow(pack.sources_N, (0, extra_N)),
        grow(pack.targets_N, (0, extra_N)),
        grow(pack.weights_N, (0, extra_N)),
        offsets_S,
        (*pack.lengths, extra_T),
    )


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
