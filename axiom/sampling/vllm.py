"""Sampling with vLLM engines in processes of their own, which live as long as the experiment.

One engine is bound by its own CPU work at these model sizes, so several share a GPU, and each GPU of
`sampling.vllm.data_parallel` has its own. They divide the requests by the work that is known when they are asked for,
so that no result depends on which engine was quicker. Making a sampler only sets them on their way; its first use waits
for them. An engine that dies is restarted once in a call and given what it had not finished; a second death is an
EngineError.
"""

import contextlib
import logging
import selectors
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axiom.config import ModelConfig, SamplingConfig
from axiom.errors import ConfigError, EngineError
from axiom.models import (
    Policy,
    check_adapter,
    load_tokenizer,
    read_settings,
    resolve_device,
    resolve_model,
    stop_tokens,
)
from axiom.sampling import Completion, Request, Trace, engine_process, spread, stopped_at
from axiom.sampling.engine_process import START_SECONDS, EngineProcess
from axiom.sampling.vllm_plan import Plan, free_bytes, make_plan, out_of_memory
from axiom.seeds import derive

log = logging.getLogger("axiom.sampling")

RESTARTS = 1
"""Fresh engines that one call of `sample` may start before it gives up."""
CAPTURE_SIZES = (1, 8, 64, 256, 512, 1024)
"""Batch sizes that get a CUDA graph. vLLM's own list of about a hundred takes a minute to capture."""


@dataclass(frozen=True)
class _Job:
    """One completion that is due."""

    request: Request
    index: int
    ids: list[int]
    engine: int


class VLLMSampler:
    """Completions from one or more engines."""

    name = "vllm"

    def __init__(self, model: ModelConfig, sampling: SamplingConfig, turn_end: int | None = None) -> None:
        self.config, self.sampling = model, sampling
        self.directory = resolve_model(model.path)
        self.tokenizer = load_tokenizer(model)
        self.stops = sorted(stop_tokens(self.directory, self.tokenizer, turn_end))
        self.policy = Policy("base", None)
        self.next_key = self.traced = 0
        self.plan = make_plan(self.directory, model, sampling)
        self.asleep = False
        self.starting = False
        self.engines: list[EngineProcess] = []
        self._begin()

    def use(self, policy: Policy) -> None:
        """Put the policy's weights in force in every engine; one that has died since is restarted, once."""
        if policy.adapter is not None:
            check_adapter(self.config, policy.adapter)
            if weights_in_force(self.config, self.sampling) == "adapter":
                _check_rank(policy.adapter, self.sampling)
        self.await_start()
        self.policy, self.asleep = policy, False
        asked = [index for index in range(len(self.engines)) if self._or_revive(index, _ask_to_use, policy)]
        for index in asked:
            self._or_revive(index, lambda engine, _: engine.expect("used"), policy)

    def sample(self, requests: Sequence[Request], traced: int = 0) -> Iterator[Completion]:
        """Completions as they finish; those of one prompt come from one engine, which reads the prompt once.

        `Request.seed` seeds an engine's common stream: a generator for each request can cost more than a small model.
        With `sampling.vllm.seeds = "request"` it seeds each completion's own.
        """
        self.await_start()
        self.traced, due = traced, self._jobs(requests)
        for index in range(len(self.engines)):
            self._submit(index, due)
        restarts = RESTARTS
        while due:
            for index in self._ready(due):
                try:
                    messages = self.engines[index].receive()
                except EngineError as error:
                    if restarts == 0:
                        raise
                    restarts -= 1
                    log.warning("%s; restarting it for the %d missing completions", error, len(due))
                    self._revive(index, due, error)
                    continue
                for message in messages:
                    yield from self._completions(message["done"], due)

    def make_room(self, bytes_needed: int) -> bool:
        """Let the engines sleep if what is free is not enough; `use` wakes them. Returns whether they do."""
        if self.plan.left_bytes is None:
            return False
        self.await_start()
        free = free_bytes(self.plan.gpus)[0]
        if not self.plan.sleeps:
            if free < bytes_needed:
                log.info("training may need %.0f GiB of GPU memory, %.0f are free", bytes_needed / 2**30, free / 2**30)
        elif not self.asleep and (free < bytes_needed or self.sampling.vllm.sleep == "always"):
            for engine in self.engines:
                engine.send(op="sleep")
            for engine in self.engines:
                engine.expect("slept")
            self.asleep = True
        return self.asleep

    def close(self) -> None:
        """End the engines."""
        for engine in self.engines:
            engine.kill()
            Path(engine.log.name).unlink(missing_ok=True)

    def await_start(self) -> None:
        """Wait until all engines are ready; start smaller ones when memory runs out on the way."""
        while self.starting:
            try:
                for engine in self.engines:
                    engine.expect("ready", START_SECONDS)
                self.starting = False
            except EngineError as error:
                for engine in self.engines:
                    engine.kill()
                if not self._lower(error):
                    raise
                self._begin()

    def _begin(self) -> None:
        """Start all engines, which takes them seconds that the caller may spend otherwise."""
        self.starting = True
        with contextlib.ExitStack() as started:
            self.engines = [started.enter_context(self._spawn(index)) for index in range(self.plan.engines)]
            started.pop_all()

    def _lower(self, error: EngineError) -> bool:
        """Halve what engines hold from now on if memory ran out; whether there was something to halve."""
        lowered = self.plan.lowered() if out_of_memory(error) else None
        if lowered is None:
            return False
        self.plan = lowered
        log.warning("an engine ran out of memory; continuing with %s", lowered)
        return True

    def _spawn(self, index: int) -> EngineProcess:
        """A process on its way to being ready. All start at once, since none measures free memory."""
        engine = EngineProcess.of(f"vllm-{index}", self.plan.groups[index % len(self.plan.groups)])
        engine.send(
            op="start",
            arguments=engine_arguments(self.directory, self.config, self.sampling, self.plan),
            merged=weights_in_force(self.config, self.sampling) == "merged",
        )
        return engine

    def _or_revive(self, index: int, act: Callable[[EngineProcess, Policy], object], policy: Policy) -> bool:
        """Whether `act` worked; if the engine is dead, a new one has the policy in force instead."""
        try:
            act(self.engines[index], policy)
        except EngineError as error:
            log.warning("%s; restarting it", error)
            self._revive(index, {}, error)
            return False
        return True

    def _revive(self, index: int, due: dict[int, _Job], error: EngineError) -> None:
        self._lower(error)
        self.engines[index].kill()
        self.engines[index] = self._spawn(index)
        self.engines[index].expect("ready", START_SECONDS)
        self.engines[index].send(op="use", adapter=_text(self.policy.adapter))
        self.engines[index].expect("used")
        self._submit(index, due)

    def _jobs(self, requests: Sequence[Request]) -> dict[int, _Job]:
        prompts = sorted({request.prompt for request in requests})
        encoded = self.tokenizer(prompts, add_special_tokens=False)["input_ids"] if prompts else []
        ids = dict(zip(prompts, encoded, strict=True))
        work = Counter({prompt: len(tokens) for prompt, tokens in ids.items()})
        for request in requests:
            work[request.prompt] += request.n * request.max_new_tokens
        home = shared_out(work, len(self.engines))
        jobs = [
            _Job(request, index, ids[request.prompt], home[request.prompt])
            for request in requests
            for index in range(request.n)
        ]
        first, self.next_key = self.next_key, self.next_key + len(jobs)
        return dict(enumerate(jobs, first))

    def _submit(self, index: int, due: dict[int, _Job]) -> None:
        mine = {key: job for key, job in due.items() if job.engine == index}
        if not mine:
            return
        traced = spread(len(mine), self.traced)
        prompts = {job.request.prompt: job.ids for job in mine.values()}
        places = {prompt: place for place, prompt in enumerate(prompts)}
        payload = [
            {
                "key": key,
                "prompt": places[job.request.prompt],
                "stops": self.stops,
                "temperature": job.request.temperature,
                "top_p": job.request.top_p,
                "max_tokens": job.request.max_new_tokens,
                "stop": list(job.request.stop),
                "traced": place in traced,
                "seed": self._own_seed(job),
            }
            for place, (key, job) in enumerate(mine.items())
        ]
        seed = next(iter(mine.values())).request.seed
        self.engines[index].send(
            op="sample",
            prompts=list(prompts.values()),
            requests=payload,
            seed=seed,
            logprobs=self.sampling.vllm.logprobs,
            beat_seconds=engine_process.SILENCE_SECONDS / engine_process.BEATS,
        )

    def _own_seed(self, job: _Job) -> int | None:
        """Of the completion's own stream, if it has one."""
        if self.sampling.vllm.seeds == "engine":
            return None
        return derive(job.request.seed, "completion", job.index) % 2**31

    def _ready(self, due: dict[int, _Job]) -> list[int]:
        """Engines that have something to say, have died, or have work and are silent for too long."""
        busy = sorted({job.engine for job in due.values()})
        with selectors.DefaultSelector() as selector:
            for index in busy:
                selector.register(self.engines[index].socket, selectors.EVENT_READ, index)
            events = selector.select(max(0.0, min(self.engines[index].patience() for index in busy)))
        ready = [key.data for key, _ in events]
        return ready or [index for index in busy if self.engines[index].patience() <= 0]

    def _completions(self, rows: list[list[Any]], due: dict[int, _Job]) -> Iterator[Completion]:
        rows = [row for row in rows if row[0] in due]  # others belong to a stream that nobody read to its end
        if not rows:  # of which a tokenizer would make one text
            return
        stops = set(self.stops)
        bodies = [tokens[:-1] if tokens and tokens[-1] in stops else tokens for _, tokens, *_ in rows]
        texts = self.tokenizer.batch_decode(bodies, skip_special_tokens=True)
        for (key, tokens, logprob, reason, drawn), text in zip(rows, texts, strict=True):
            job = due.pop(key)
            place, stop = stopped_at(text, job.request.stop) or (len(text), None)
            traces = (Trace(tuple(job.ids), tuple(tokens), tuple(drawn)),) if drawn else ()
            yield Completion(
                job.request.request_id, job.index, text[:place], len(tokens), logprob, reason, stop, traces=traces
            )


def shared_out(work: Mapping[str, int], engines: int) -> dict[str, int]:
    """An engine for each prompt: the most work first, each to the engine that has the least so far.

    `work` is in tokens, at most. The order of the prompts makes no difference.
    """
    loads, home = [0] * engines, {}
    for prompt in sorted(work, key=lambda prompt: (-work[prompt], prompt)):
        home[prompt] = loads.index(min(loads))
        loads[home[prompt]] += work[prompt]
    return home


def _ask_to_use(engine: EngineProcess, policy: Policy) -> None:
    engine.send(op="use", adapter=_text(policy.adapter))


def weights_in_force(model: ModelConfig, sampling: SamplingConfig) -> str:
    """`merged` or `adapter`.

    vLLM repacks weights on a CPU, and cuts them up where GPUs share them; there only an adapter can be exchanged.
    """
    if sampling.vllm.weights != "auto":
        return sampling.vllm.weights
    return "merged" if resolve_device(model) == "cuda" and sampling.vllm.tensor_parallel == 1 else "adapter"


def engine_arguments(directory: Path, model: ModelConfig, sampling: SamplingConfig, plan: Plan) -> dict[str, Any]:
    """Keyword arguments of `vllm.LLM`."""
    settings, cuda = sampling.vllm, resolve_device(model) == "cuda"
    arguments: dict[str, Any] = {
        "model": str(directory),
        "dtype": "float32" if model.dtype == "float32" else "bfloat16",
        "max_model_len": settings.max_model_len,
        "max_num_seqs": plan.rows,
        "tensor_parallel_size": settings.tensor_parallel,
        "disable_log_stats": True,
        "logprobs_mode": "raw_logprobs",  # of the model's own distribution, before temperature and top_p
        "enforce_eager": settings.enforce_eager or not cuda,
        "enable_prefix_caching": True,
        "seed": 0,
        # A given size spares each engine its measurement, which another engine's start would falsify.
        "kv_cache_memory_bytes": plan.cache_bytes,
    }
    if cuda:
        arguments["gpu_memory_utilization"] = plan.share
        arguments["enable_sleep_mode"] = plan.sleeps
        if not settings.enforce_eager:
            sizes = [size for size in CAPTURE_SIZES if size < plan.rows] + [plan.rows]
            arguments["compilation_config"] = {"cudagraph_capture_sizes": sizes}
    if weights_in_force(model, sampling) == "adapter":
        arguments |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": settings.max_lora_rank}
    return arguments


def _check_rank(adapter: Path, sampling: SamplingConfig) -> None:
    rank, limit = read_settings(adapter / "adapter_config.json")["r"], sampling.vllm.max_lora_rank
    if rank > limit:
        raise ConfigError(
            f"adapter {str(adapter)!r} has rank {rank}, the engine takes {limit}; set sampling.vllm.max_lora_rank"
        )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())
