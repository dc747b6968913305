"""Sampling in this process: a decode loop of its own around any causal language model of transformers.

Each distinct prompt is read once, and what all prompts begin with is read once for all of them. Sequences leave the
batch as they end and waiting ones take their place, so no step is spent on padding. An adapter is merged into the
weights, because a separate one would cost every token of every sequence.
"""
# ruff: noqa: TID253  (imported only when this engine is chosen)

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from axiom import attention
from axiom.config import ModelConfig, SamplingConfig
from axiom.errors import ConfigError
from axiom.models import Policy, check_adapter, load_model, load_tokenizer, resolve_model, stop_tokens
from axiom.sampling import Completion, Request, stopped_at
from axiom.sampling.choice import choose, uniforms
from axiom.sampling.merging import Merger
from axiom.sampling.slots import PromptCache, SlotCache
from axiom.seeds import derive

PREFILL_TOKENS = 2048
"""Prompt tokens read in one forward pass."""


@dataclass
class Draft:
    """A completion in the making."""

    request: Request
    index: int
    prompt: list[int]
    key: int
    tokens: list[int] = field(default_factory=list)
    logprob: float = 0.0
    slot: int = -1

    @property
    def position(self) -> int:
        """Where the token to be fed next stands."""
        return len(self.prompt) - 1 + len(self.tokens)

    @property
    def last(self) -> int:
        """The token to be fed next."""
        return self.tokens[-1] if self.tokens else self.prompt[-1]


class TransformersSampler:
    """Completions from a model in this process."""

    name = "transformers"

    def __init__(self, model: ModelConfig, sampling: SamplingConfig) -> None:
        self.config = model
        self.batch_size = sampling.batch_size
        self.tokenizer = load_tokenizer(model)
        self.model = load_model(model)
        _refuse_other_caches(self.model)
        self.model.set_attn_implementation(attention.NAME)
        self.stops = stop_tokens(resolve_model(model.path), self.tokenizer)
        self.layers = self.model.config.num_hidden_layers
        self.originals: dict[str, torch.Tensor] = {}
        self.merger = Merger(self._original, str(self.model.device))

    def use(self, policy: Policy) -> None:
        """Merge the policy's adapter into the base weights, or put those back."""
        if policy.adapter is not None:
            check_adapter(self.config, policy.adapter)
        with torch.inference_mode():
            for name, weight in self.merger.weights(policy.adapter):
                self.model.get_parameter(name).copy_(weight)

    def sample(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Completions as they finish."""
        waiting = deque(self._sequences(requests))
        if not waiting:
            return
        room = max(len(s.prompt) + s.request.max_new_tokens for s in waiting)
        size = self._slots(len(waiting), room)
        with torch.inference_mode():
            batch = _Batch(self.model, self.tokenizer, SlotCache(self.layers, size, room), size)
            prefix = self._shared_prefix([s.prompt for s in waiting])
        while waiting or batch.active:
            with torch.inference_mode():
                if waiting and (not batch.active or size - len(batch.active) >= max(1, size // 8)):
                    batch.admit([waiting.popleft() for _ in range(min(len(waiting), size - len(batch.active)))], prefix)
                ended = batch.step(self.stops)
            for sequence in ended:
                yield self._completion(sequence)

    def make_room(self, bytes_needed: int) -> bool:
        """Nothing to give: the weights stay, and the cache lives only while sampling."""
        return False

    def close(self) -> None:
        """Forget the weights."""
        del self.model
        self.originals.clear()

    def _original(self, name: str) -> torch.Tensor:
        """A base weight; copied when it is first asked for, which is before it is first overwritten."""
        if name not in self.originals:
            self.originals[name] = self.model.get_parameter(name).clone()
        return self.originals[name]

    def _sequences(self, requests: Sequence[Request]) -> list[Draft]:
        """One sequence for each completion, those of a prompt together, long prompts first."""
        texts = sorted({request.prompt for request in requests})
        encoded = (
            dict(zip(texts, self.tokenizer(texts, add_special_tokens=False)["input_ids"], strict=True)) if texts else {}
        )
        ordered = sorted(requests, key=lambda request: (-len(encoded[request.prompt]), request.prompt))
        return [
            Draft(request, index, encoded[request.prompt], derive(request.seed, index))
            for request in ordered
            for index in range(request.n)
        ]

    def _slots(self, wanted: int, room: int) -> int:
        """Sequences decoded together: as configured, or what a third of the free memory holds, at most 128."""
        if self.batch_size:
            return min(wanted, self.batch_size)
        settings = self.model.config
        heads = settings.num_key_value_heads or settings.num_attention_heads
        size = getattr(settings, "head_dim", None) or settings.hidden_size // settings.num_attention_heads
        per_slot = 2 * self.layers * heads * size * room * self.model.dtype.itemsize
        return max(1, min(wanted, _most_rows(self.model.device), _free_bytes(self.model.device) // 3 // per_slot))

    def _shared_prefix(self, prompts: list[list[int]]) -> PromptCache | None:
        """The cache of the tokens that every prompt begins with, read once."""
        low, high = min(prompts)[:-1], max(prompts)[:-1]
        length = 0
        while length < min(len(low), len(high)) and low[length] == high[length]:
            length += 1
        if length == 0:
            return None
        return _read(self.model, [low[:length]], None)

    def _completion(self, sequence: Draft) -> Completion:
        stopped = sequence.tokens[-1] in self.stops
        text = self.tokenizer.decode(sequence.tokens[:-1] if stopped else sequence.tokens, skip_special_tokens=True)
        place, stop = stopped_at(text, sequence.request.stop) or (len(text), None)
        return Completion(
            sequence.request.request_id, sequence.index, text[:place], len(sequence.tokens), sequence.logprob,
            "stop" if stopped or stop is not None else "length", stop,
        )  # fmt: skip


class _Batch:
    """The sequences that are being decoded; sequence `i` of `active` sits in slot `i`."""

    def __init__(self, model: PreTrainedModel, tokenizer: Any, cache: SlotCache, size: int) -> None:
        self.model, self.tokenizer, self.cache, self.size = model, tokenizer, cache, size
        self.active: list[Draft] = []

    def admit(self, sequences: list[Draft], prefix: PromptCache | None) -> None:
        """Read the prompts of `sequences`, each distinct one once, and give them slots."""
        by_prompt: dict[tuple[int, ...], list[Draft]] = {}
        for sequence in sequences:
            by_prompt.setdefault(tuple(sequence.prompt), []).append(sequence)
            sequence.slot = len(self.active)
            self.active.append(sequence)
        for group in _by_budget(list(by_prompt)):
            # The last token of a prompt is fed by the first step, which wants its logits.
            cache = _read(self.model, [list(prompt[:-1]) for prompt in group], prefix)
            source = [row for row, prompt in enumerate(group) for _ in by_prompt[prompt]]
            self.cache.fill(cache, source, [s.slot for prompt in group for s in by_prompt[prompt]])

    def step(self, stops: frozenset[int]) -> list[Draft]:
        """Add one token to every active sequence; take out and return those that end with it."""
        device = self.model.device
        positions = torch.tensor([s.position for s in self.active])
        span = int(positions.max()) + 1
        self.cache.begin_step(positions.to(device), span)
        mask = torch.zeros(len(positions), 1, 1, span, dtype=self.model.dtype)
        mask.masked_fill_((torch.arange(span) > positions[:, None])[:, None, None], float("-inf"))
        logits = self.model(
            input_ids=torch.tensor([[s.last] for s in self.active], device=device),
            position_ids=positions[:, None].to(device), attention_mask=mask.to(device),
            past_key_values=self.cache, use_cache=True, logits_to_keep=1,
        ).logits[:, -1]  # fmt: skip
        tokens, logprobs = self._choose(logits)
        ended = []
        for sequence, token, logprob in zip(self.active, tokens, logprobs, strict=True):
            sequence.tokens.append(token)
            sequence.logprob += logprob
            full = len(sequence.tokens) == sequence.request.max_new_tokens
            if token in stops or full or self._stopped(sequence):
                ended.append(sequence)
        for sequence in reversed(ended):
            self._remove(sequence)
        return ended

    def _choose(self, logits: torch.Tensor) -> tuple[list[int], list[float]]:
        keys = np.array([s.key for s in self.active], dtype=np.uint64)
        steps = np.array([len(s.tokens) for s in self.active], dtype=np.uint64)
        settings = [[s.request.temperature for s in self.active], [s.request.top_p for s in self.active]]
        temperature, top_p = torch.tensor(settings, device=logits.device)
        uniform = torch.from_numpy(uniforms(keys, steps)).to(logits.device)
        tokens, logprobs = choose(logits, temperature, top_p, uniform)
        return tokens.tolist(), logprobs.tolist()

    def _stopped(self, sequence: Draft) -> bool:
        """Whether one of the request's stop texts ends in the tokens so far; a stop has no more tokens than bytes."""
        stop = sequence.request.stop
        if not stop:
            return False
        most = max(len(text.encode()) for text in stop)
        return stopped_at(self.tokenizer.decode(sequence.tokens[-most:], skip_special_tokens=True), stop) is not None

    def _remove(self, sequence: Draft) -> None:
        """Free a slot by moving the last active sequence into it."""
        last = self.active.pop()
        if last is not sequence:
            self.cache.move(last.slot, sequence.slot, last.position)
            last.slot = sequence.slot
            self.active[last.slot] = last


def _read(model: PreTrainedModel, prompts: list[list[int]], prefix: PromptCache | None) -> PromptCache:
    """Keys and values of `prompts`, padded on the right, which begin with what `prefix` holds."""
    start = prefix.keys[0].shape[2] if prefix is not None else 0
    cache = PromptCache(model.config.num_hidden_layers, prefix)
    length = max(1, max(map(len, prompts)) - start)
    ids = torch.zeros(len(prompts), length, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, : max(0, len(prompt) - start)] = torch.tensor(prompt[start:], dtype=torch.long)
    positions = torch.arange(start, start + length)
    mask = torch.zeros(length, start + length, dtype=model.dtype)
    mask.masked_fill_(torch.arange(start + length) > positions[:, None], float("-inf"))
    device = model.device
    model.get_decoder()(
        input_ids=ids.to(device), position_ids=positions[None].to(device),
        attention_mask=mask[None, None].to(device), past_key_values=cache, use_cache=True,
    )  # fmt: skip
    return cache


def _by_budget(prompts: list[tuple[int, ...]]) -> Iterator[list[tuple[int, ...]]]:
    """Prompts of similar length in groups of at most PREFILL_TOKENS tokens with their padding."""
    group: list[tuple[int, ...]] = []
    for prompt in sorted(prompts, key=len, reverse=True):
        if group and len(group[0]) * (len(group) + 1) > PREFILL_TOKENS:
            yield group
            group = []
        group.append(prompt)
    if group:
        yield group


def _refuse_other_caches(model: PreTrainedModel) -> None:
    kinds = {type(layer) for layer in DynamicCache(config=model.config).layers}
    if kinds - {DynamicLayer}:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ConfigError(
            f"model.path = {model.config.name_or_path!r} keeps caches of the kind {names}, which the transformers "
            f"engine cannot batch; set sampling.engine = 'vllm'"
        )


def _most_rows(device: torch.device) -> int:
    return 128 if device.type == "cpu" else 1024


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
