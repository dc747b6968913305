"""What an engine's process does between its engine and its parent; the engine itself is not needed for it."""

import json
import socket
import sys
import threading
from types import ModuleType, SimpleNamespace

from axiom.sampling.vllm_worker import Engine

TOKENS = list(range(200_000))
"""An answer that no socket holds before its other end is read."""


class Steps:
    """An engine that ends one request in each step."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, list[int]]] = []
        self.done = threading.Event()

    def add_request(self, key, prompt, parameters, lora_request):
        self.waiting.append((key, prompt.prompt_token_ids))

    def has_unfinished_requests(self):
        return bool(self.waiting)

    def step(self):
        key, ids = self.waiting.pop(0)
        if not self.waiting:
            self.done.set()
        answer = SimpleNamespace(token_ids=ids + TOKENS, cumulative_logprob=None, finish_reason="stop")
        return [SimpleNamespace(request_id=key, finished=True, outputs=[answer])]


def test_an_engine_goes_on_while_nobody_reads_what_it_has_sent(monkeypatch):
    plain = {"vllm": "SamplingParams", "vllm.inputs": "TokensPrompt", "vllm.sampling_params": "RequestOutputKind"}
    for name, kind in plain.items():
        module = ModuleType(name)
        setattr(module, kind, type(kind, (SimpleNamespace,), {"FINAL_ONLY": None}))
        monkeypatch.setitem(sys.modules, name, module)
    ours, theirs = socket.socketpair()
    engine = Engine(theirs)
    engine.engine, engine.lora = Steps(), None
    request = {
        "temperature": 1.0,
        "top_p": 1.0,
        "max_tokens": 1,
        "stops": [],
        "traced": False,
        "seed": None,
        "stop": [],
    }
    requests = [{"key": key, "prompt": key % 2, **request} for key in range(4)]
    work = threading.Thread(target=engine.on_sample, args=([[7], [8, 9]], requests, 0, False, 1000.0))
    work.start()
    assert engine.engine.done.wait(60), "it waits for its reader"
    assert work.is_alive(), "it has sent all before it says that it is done"
    lines = ours.makefile()
    found = [json.loads(lines.readline())["done"] for _ in requests]
    work.join(60)
    assert [row[0] for rows in found for row in rows] == [0, 1, 2, 3]
    assert [len(row[1]) - len(TOKENS) for rows in found for row in rows] == [1, 2, 1, 2], "each has its own prompt"
