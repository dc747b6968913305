"""The vLLM engine's process: reads JSON lines from its socket, answers on it, and dies with its parent.

    {"op": "start", "arguments": {...}, "merged": bool}              {"ready": {"vllm": release, "pid": ...}}
    {"op": "use", "adapter": path or null}                           {"used": version}
    {"op": "sample", "prompts": [[id, ...], ...],                    {"done": [[key, tokens, logprob, reason, trace],
     "requests": [{"key": ..., "prompt": place, ...}, ...]}          ...]} ...; an empty list is a sign of life
    {"op": "sleep"}                                                  {"slept": true}; the next `use` wakes the engine

Run as `python -m axiom.sampling.vllm_worker FD PARENT`. The engine core runs in this very process, because a second hop
between processes is what bounds small models. Keep to the interface that vLLM 0.25 and 0.32 share.
"""

import gc
import importlib
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

from axiom.environment import keep_all
from axiom.sampling.engine_process import Worker


class Engine(Worker):
    """One engine and the weights in force."""

    def __init__(self, channel: socket.socket) -> None:
        super().__init__(channel)
        self.version = 0
        self.lora: Any = None
        self.asleep = False
        importlib.import_module("vllm")  # takes seconds, which engines that start side by side spend side by side

    def on_start(self, arguments: dict[str, Any], merged: bool) -> None:
        """Build the engine."""
        from vllm import LLM, __version__

        from axiom.models.merging import Merger, checkpoint_reader

        _warm_up_plainly()
        keep_all()  # vLLM collects a dozen times while it starts
        self.llm = LLM(**arguments)
        self.engine = self.llm.llm_engine
        self.merger = Merger(checkpoint_reader(Path(arguments["model"]), "cuda"), "cuda") if merged else None
        gc.enable()
        self.send(ready={"vllm": __version__, "pid": os.getpid()})

    def on_use(self, adapter: str | None) -> None:
        """Answer with this adapter from now on. A reused name would serve a stale cache, so each has its own."""
        if self.asleep:
            self.llm.wake_up()
            self.asleep = False
        self.version += 1
        if self.merger is not None:
            changed = list(self.merger.weights(Path(adapter) if adapter else None))
            self.llm.apply_model(lambda model: cast(Any, model).load_weights(changed))
            self.llm.reset_prefix_cache()
        else:
            self._swap(adapter)
        self.send(used=self.version)

    def _swap(self, adapter: str | None) -> None:
        from vllm.lora.request import LoRARequest

        if self.lora is not None:
            self.engine.remove_lora(self.lora.lora_int_id)
        self.lora = LoRARequest(f"policy-{self.version}", self.version, adapter) if adapter else None
        if self.lora is not None:
            self.engine.add_lora(self.lora)

    def on_sample(
        self,
        prompts: list[list[int]],
        requests: list[dict[str, Any]],
        seed: int,
        logprobs: bool,
        beat_seconds: float,
    ) -> None:
        """Run the requests to their end; each step's finished ones go out together, or an empty list now and then.

        A thread sends them: while the parent reads what another engine sent, this one goes on.
        """
        import torch
        from vllm import SamplingParams
        from vllm.inputs import TokensPrompt
        from vllm.sampling_params import RequestOutputKind

        torch.manual_seed(seed)
        traced: set[str] = set()
        for request in requests:
            parameters = SamplingParams(
                temperature=request["temperature"],
                top_p=request["top_p"],
                max_tokens=request["max_tokens"],
                stop_token_ids=request["stops"],
                logprobs=0 if logprobs or request["traced"] else None,
                seed=request["seed"],
                stop=request["stop"] or None,
                detokenize=bool(request["stop"]),
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
            prompt = TokensPrompt(prompt_token_ids=prompts[request["prompt"]])
            if request["traced"]:
                traced.add(str(request["key"]))
            self.engine.add_request(str(request["key"]), prompt, parameters, lora_request=self.lora)
        told, sent = time.monotonic(), []
        with ThreadPoolExecutor(1) as post:
            while self.engine.has_unfinished_requests():
                finished = [_row(output, traced) for output in self.engine.step() if output.finished]
                if finished or time.monotonic() - told >= beat_seconds:
                    sent.append(post.submit(self.send, done=finished))
                    told = time.monotonic()
        for message in sent:
            message.result()

    def on_sleep(self) -> None:
        """Give the GPU's memory to the trainer; the weights wait in host memory."""
        self.llm.sleep(level=1)
        self.asleep = True
        self.send(slept=True)


def _warm_up_plainly() -> None:
    """Let vLLM rehearse what is asked of it here, and not penalties, biases and forbidden words: they take it 12 s."""
    from vllm import SamplingParams

    if hasattr(SamplingParams, "for_sampler_warmup"):
        plain = staticmethod(lambda: SamplingParams(temperature=0.9, top_p=0.9))
        setattr(SamplingParams, "for_sampler_warmup", plain)  # noqa: B010  (a method of some releases only)


def _row(output: Any, traced: set[str]) -> list[Any]:
    answer, tokens = output.outputs[0], list(output.outputs[0].token_ids)
    trace = None
    if output.request_id in traced:
        trace = [step[token].logprob for token, step in zip(tokens, answer.logprobs, strict=True)]
    return [int(output.request_id), tokens, answer.cumulative_logprob, answer.finish_reason, trace]


if __name__ == "__main__":
    gc.disable()  # until the engine is ready: a quarter of the import's time is collecting what none of it frees
    Engine.serve()
