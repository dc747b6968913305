"""One of the processes that train together: `python -m axiom.training.rank FD PARENT`.

    {"op": "train", "examples": [...], "this": {...}, ...}     {"step": {...}} ... {"done": true}
    {"op": "score", "traces": [...], "policy": {...}, ...}     {"done": [log-probabilities]}
    {"op": "divergences", "texts": [...], "policy": {...}, "base": {...}, ...}     {"done": [[nats], ...]}

Either may be answered by {"error": [class, text]}. All processes are asked the same; accelerate joins them, through
NCCL where they have GPUs and through gloo where not.
"""

import os
import socket
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, validate_call

from axiom.errors import classified
from axiom.models import Policy, resolve_device
from axiom.records import LossStep
from axiom.sampling import Trace
from axiom.sampling.engine_process import Worker
from axiom.training import Example, Kept, Round, Setup
from axiom.training.batches import Encoded
from axiom.training.group import Group
from axiom.training.loop import train
from axiom.training.scoring import divergences, score


class Rank(Worker):
    """The model of a process, and its channel to the process of the run."""

    def __init__(self, channel: socket.socket) -> None:
        super().__init__(channel)
        self.kept = Kept()
        self.rank, self.size, self.joined = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), False

    def act(self, name: str, given: dict[str, Any]) -> None:
        """Answer with what was asked for, or with the error that prevents it."""
        setup = _SETUP.validate_python(given.pop("setup"))
        try:
            self._join(setup)
            done = getattr(self, f"on_{name}")(setup, **given)
        except Exception as error:
            found = classified(error)
            if found is None:
                raise
            self.send(error=[type(found).__name__, str(found)])
        else:
            self.send(done=done)

    def _join(self, setup: Setup) -> None:
        if self.joined:
            return
        from accelerate import PartialState

        store = f"file://{os.environ['AXIOM_RENDEZVOUS']}"
        cpu = resolve_device(setup.model) == "cpu"
        PartialState(cpu=cpu, init_method=store, rank=self.rank, world_size=self.size)
        self.joined = True

    @validate_call
    def on_train(self, setup: Setup, examples: list[Example], this: Round) -> bool:
        """Train; the first process tells of each step."""
        group = Group(self.rank, self.size, setup.config.fsdp)
        train(examples, replace(this, on_step=self._tell), setup.model, setup.config, self.kept, setup.path, group)
        return True

    @validate_call
    def on_score(self, setup: Setup, traces: list[Trace], policy: Policy, merged: bool) -> list[float]:
        """Score."""
        sharded = setup.config.fsdp
        found = score(traces, **vars(setup), policy=policy, kept=self.kept, merged=merged, sharded=sharded)
        scores: list[float] = found.tolist()
        return scores

    @validate_call
    def on_divergences(self, setup: Setup, texts: list[Encoded], policy: Policy, base: Policy) -> list[list[float]]:
        """Compare two policies."""
        sharded = setup.config.fsdp
        found = divergences(texts, **vars(setup), policy=policy, base=base, kept=self.kept, sharded=sharded)
        return [nats.tolist() for nats in found]

    def _tell(self, step: LossStep) -> None:
        if self.rank == 0:
            self.send(step=step)


_SETUP = TypeAdapter(Setup)

if __name__ == "__main__":
    Rank.serve()
