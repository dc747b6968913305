"""Sampling in this process: a decode loop of its own around any causal language model of transformers.

Each distinct prompt is read once, and what all prompts begin with is read once for all of them. Sequences leave the
batch as they end and waiting ones take their place, so no step is spent on padding. An adapter is merged into the
weights, because a separate one would cost every token of every sequence.
"""
# ruff: noqa: TID253  (imported only when this engine is chosen)

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil
import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    StoppingCriteriaList,
)

from axiom.config import ModelConfig, SamplingConfig
from axiom.models import Policy, attention, check_adapter, load_model, load_tokenizer, resolve_model, stop_tokens
from axiom.models.merging import Merger, originals, put_in_force
from axiom.models.ways import Way
from axiom.sampling import Completion, Request, Sampler, Trace, spread, stopped_at
from axiom.sampling.choice import choose, uniforms
from axiom.sampling.slots import PromptCache, SlotCache
from axiom.seeds import derive

PREFILL_TOKENS = 2048
"""Prompt tokens read in one forward pass."""
OWN_ROWS = 32
"""Sequences that a model's own `generate` draws together unless `sampling.batch_size` says otherwise."""


@dataclass
class Draft:
    """A completion in the making."""

    request: Request
    index: int
    prompt: list[int]
    key: int
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    slot: int = -1
    traced: bool = False

    @property
    def position(self) -> int:
        """Where the token to be fed next stands."""
        return len(self.prompt) - 1 + len(self.tokens)

    def append(self, token: int, logprob: float, ending: "Ending") -> bool:
        """Add a token; whether the sequence ends with it."""
        self.tokens.append(token)
        self.logprobs.append(logprob)
        return ending(self)

    @property
    def logprob(self) -> float:
        """Of all its tokens."""
        return sum(self.logprobs)

    @property
    def last(self) -> int:
        """The token to be fed next."""
        return self.tokens[-1] if self.tokens else self.prompt[-1]


@dataclass(frozen=True)
class Ending:
    """What ends a sequence beside its limit: the tokens `stops`, and the stop texts of its request."""

    stops: frozenset[int]
    tokenizer: Any

    def __call__(self, sequence: Draft) -> bool:
        """Whether the sequence ends with its last token."""
        if sequence.tokens[-1] in self.stops or len(sequence.tokens) == sequence.request.max_new_tokens:
            return True
        stop = sequence.request.stop
        if not stop:
            return False
        most = max(len(text.encode()) for text in stop)  # a stop has no more tokens than bytes
        text = self.tokenizer.decode(sequence.tokens[-most:], skip_special_tokens=True)
        return stopped_at(text, stop) is not None


class TransformersSampler(Sampler):
    """Completions from a model in this process.

    `way` is what a probe has shown for this model (`axiom.learners.proof`); without one each token takes a pass over
    the whole text.
    """

    name = "transformers"

    def __init__(
        self, model: ModelConfig, sampling: SamplingConfig, way: Way = "recompute", turn_end: int | None = None
    ) -> None:
        self.config = model
        self.batch_size = sampling.batch_size
        self.way = way
        self.tokenizer = load_tokenizer(model)
        self.model = load_model(model)
        self.ending = Ending(stop_tokens(resolve_model(model.path), self.tokenizer, turn_end), self.tokenizer)
        self.merger = Merger(originals(dict(self.model.named_parameters()).__getitem__), str(self.model.device))

    def use(self, policy: Policy) -> None:
        """Merge the policy's adapter into the base weights, or put those back."""
        if policy.adapter is not None:
            check_adapter(self.config, policy.adapter)
        with torch.inference_mode():
            put_in_force(self.model, self.merger, policy.adapter)

    def sample(self, requests: Sequence[Request], traced: int = 0) -> Iterator[Completion]:
        """Completions as they finish."""
        sequences = self._sequences(requests)
        for place in spread(len(sequences), traced):
            sequences[place].traced = True
        for sequence in decode(self.model, sequences, self.ending, self.way, self.batch_size):
            yield self._completion(sequence)

    def close(self) -> None:
        """Forget the weights."""
        del self.model, self.merger

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

    def _completion(self, sequence: Draft) -> Completion:
        stopped = sequence.tokens[-1] in self.ending.stops
        text = self.tokenizer.decode(sequence.tokens[:-1] if stopped else sequence.tokens, skip_special_tokens=True)
        place, stop = stopped_at(text, sequence.request.stop) or (len(text), None)
        trace = Trace(tuple(sequence.prompt), tuple(sequence.tokens), tuple(sequence.logprobs))
        return Completion(
            sequence.request.request_id,
            sequence.index,
            text[:place],
            len(sequence.tokens),
            sequence.logprob,
            "stop" if stopped or stop is not None else "length",
            stop,
            traces=(trace,) if sequence.traced else (),
        )


def decode(
    model: PreTrainedModel, sequences: Sequence[Draft], ending: Ending, way: Way, batch_size: int = 0
) -> Iterator[Draft]:
    """The sequences as they end, those of a batch together; `batch_size` 0 chooses one by the free memory."""
    if not sequences:
        return iter(())
    model.set_attn_implementation(attention.NAME if way == "slots" else "eager")
    if way == "slots":
        return _in_slots(model, deque(sequences), ending, batch_size)
    return _without_padding(model, sequences, ending, batch_size or OWN_ROWS, use_cache=way == "cache")


def _in_slots(model: PreTrainedModel, waiting: deque[Draft], ending: Ending, batch_size: int) -> Iterator[Draft]:
    room = max(len(s.prompt) + s.request.max_new_tokens for s in waiting)
    with torch.inference_mode():
        prefix = _shared_prefix(model, [s.prompt for s in waiting])
        size = min(len(waiting), batch_size or _most_slots(prefix or _read(model, [waiting[0].prompt[:1]], None), room))
        batch = _Batch(model, SlotCache(_layers(model), size, room), size)
    while waiting or batch.active:
        with torch.inference_mode():
            if waiting and (not batch.active or size - len(batch.active) >= max(1, size // 8)):
                batch.admit([waiting.popleft() for _ in range(min(len(waiting), size - len(batch.active)))], prefix)
            ended = batch.step(ending)
        yield from ended


def _most_slots(example: PromptCache, room: int) -> int:
    """Sequences of `room` tokens whose cache a third of the free memory holds, at most 128 on a CPU."""
    tensors = [*example.keys, *example.values]
    per_slot = sum(tensor[0, :, 0].numel() * tensor.itemsize for tensor in tensors) * room
    device = tensors[0].device
    return max(1, min(_most_rows(device), _free_bytes(device) // 3 // per_slot))


def _shared_prefix(model: PreTrainedModel, prompts: list[list[int]]) -> PromptCache | None:
    """The cache of the tokens that every prompt begins with, read once."""
    low, high = min(prompts)[:-1], max(prompts)[:-1]
    length = 0
    while length < min(len(low), len(high)) and low[length] == high[length]:
        length += 1
    return _read(model, [low[:length]], None) if length else None


def _without_padding(
    model: PreTrainedModel, sequences: Sequence[Draft], ending: Ending, most_rows: int, use_cache: bool
) -> Iterator[Draft]:
    """Batches of prompts of one length: through the model's own `generate`, or with a whole forward pass a token."""
    by_length: dict[int, list[Draft]] = {}
    for sequence in sequences:
        by_length.setdefault(len(sequence.prompt), []).append(sequence)
    for equal in by_length.values():
        for start in range(0, len(equal), most_rows):
            rows = equal[start : start + most_rows]
            attention.reset_rotary(model)
            with torch.inference_mode():
                (_generate if use_cache else _recompute)(model, rows, ending)
            yield from rows


def _generate(model: Any, rows: list[Draft], ending: Ending) -> None:
    chooser = _Chooser(rows, ending)
    ids = torch.tensor([row.prompt for row in rows], device=model.device)
    model.generation_config = GenerationConfig()  # a released one may hold penalties, which are not the policy's
    model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        logits_processor=LogitsProcessorList([chooser]),
        do_sample=False,
        stopping_criteria=StoppingCriteriaList([chooser.finished]),
        pad_token_id=0,
        use_cache=True,
        max_new_tokens=max(row.request.max_new_tokens for row in rows),
    )


def _recompute(model: Any, rows: list[Draft], ending: Ending) -> None:
    active = list(rows)
    while active:
        ids = torch.tensor([row.prompt + row.tokens for row in active], device=model.device)
        tokens, logprobs = _choose(active, model(input_ids=ids, use_cache=False).logits[:, -1])
        given = zip(active, tokens, logprobs, strict=True)
        active = [row for row, token, logprob in given if not row.append(token, logprob, ending)]


class _Chooser(LogitsProcessor):
    """Chooses each row's token as the slots do, and leaves `generate` nothing else to choose."""

    def __init__(self, rows: Sequence[Draft], ending: Ending) -> None:
        self.rows, self.ending = rows, ending
        self.done = [False] * len(rows)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        tokens, logprobs = _choose(self.rows, scores)
        for place, (row, token, logprob) in enumerate(zip(self.rows, tokens, logprobs, strict=True)):
            if not self.done[place]:
                self.done[place] = row.append(token, logprob, self.ending)
        chosen = torch.full_like(scores, float("-inf"))
        chosen[torch.arange(len(tokens)), torch.tensor(tokens, device=scores.device)] = 0.0
        return chosen

    def finished(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Whether each row has ended, in the form that `generate` asks for it."""
        return torch.tensor(self.done, device=input_ids.device)


def _choose(rows: Sequence[Draft], logits: torch.Tensor) -> tuple[list[int], list[float]]:
    keys = np.array([s.key for s in rows], dtype=np.uint64)
    steps = np.array([len(s.tokens) for s in rows], dtype=np.uint64)
    settings = [[s.request.temperature for s in rows], [s.request.top_p for s in rows]]
    temperature, top_p = torch.tensor(settings, device=logits.device)
    uniform = torch.from_numpy(uniforms(keys, steps)).to(logits.device)
    tokens, logprobs = choose(logits, temperature, top_p, uniform)
    return tokens.tolist(), logprobs.tolist()


class _Batch:
    """The sequences that are being decoded; sequence `i` of `active` sits in slot `i`."""

    def __init__(self, model: PreTrainedModel, cache: SlotCache, size: int) -> None:
        self.model, self.cache, self.size = model, cache, size
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

    def step(self, ending: Ending) -> list[Draft]:
        """Add one token to every active sequence; take out and return those that end with it."""
        device = self.model.device
        positions = torch.tensor([s.position for s in self.active])
        span = int(positions.max()) + 1
        self.cache.begin_step(positions.to(device), span)
        with attention.layout(attention.Rows(positions[:, None].to(device), span)):
            logits = self.model(
                input_ids=torch.tensor([[s.last] for s in self.active], device=device),
                position_ids=positions[:, None].to(device),
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
        tokens, logprobs = _choose(self.active, logits)
        ended = []
        for sequence, token, logprob in zip(self.active, tokens, logprobs, strict=True):
            if sequence.append(token, logprob, ending):
                ended.append(sequence)
        for sequence in reversed(ended):
            self._remove(sequence)
        return ended

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
    cache = PromptCache(_layers(model), prefix)
    length = max(1, max(map(len, prompts)) - start)
    ids = torch.zeros(len(prompts), length, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, : max(0, len(prompt) - start)] = torch.tensor(prompt[start:], dtype=torch.long)
    positions = torch.arange(start, start + length, device=model.device)[None]
    with attention.layout(attention.Rows(positions, start + length)):
        model.get_decoder()(
            input_ids=ids.to(model.device), position_ids=positions, past_key_values=cache, use_cache=True
        )
    return cache


def _layers(model: PreTrainedModel) -> int:
    return int(model.config.get_text_config().num_hidden_layers)


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


def _most_rows(device: torch.device) -> int:
    return 128 if device.type == "cpu" else 1024


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available  # the page cache included, which gives way
