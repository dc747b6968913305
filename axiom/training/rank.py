"""One of the processes that train together: `python -m axiom.training.rank FD PARENT`.

    {"op": "train", "examples": [...], "this": {...}, ...}     {"step": {...}} ... {"done": true}
    {"op": "score", "traces": [...], "policy": {...}, ...}     {"done": [log-probabilities]}
    {"op": "divergences", "texts": [...], "policy": {...}, "base": {...}, ...}     {"done": [[nats], ...]}

Either may be answered by {"error": [class, text]}. All processes are asked the same; accelerate joins them, through
NCCL where they have GPUs and through gloo where not.
"""

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from axiom.config import ModelConfig, TrainingConfig
from axiom.errors import classified
from axiom.models import Policy, resolve_device
from axiom.models.ways import TrainPath
from axiom.records import LossStep
from axiom.sampling import Trace
from axiom.sampling.engine_process import follow
from axiom.training import Example, Kept, Round
from axiom.training.batches import Encoded
from axiom.training.group import Group
from axiom.training.loop import train
from axiom.training.scoring import divergences, score


class Rank:
    """The model of a process, and its channel to the process of the run."""

    def __init__(self, channel: socket.socket) -> None:
        self.reader = channel.makefile("r", encoding="utf-8")
        self.writer = channel.makefile("w", encoding="utf-8")
        self.kept = Kept()
        self.rank, self.size, self.joined = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), False

    def serve(self) -> None:
        """Answer messages until the channel closes."""
        for line in self.reader:
            message = json.loads(line)
            settings = ModelConfig(**message.pop("model")), TrainingConfig(**message.pop("config"))
            path = TrainPath(**message.pop("path"))
            try:
                self._join(settings[0])
                done = getattr(self, f"on_{message.pop('op')}")(*settings, path, **message)
            except Exception as error:
                found = classified(error)
                if found is None:
                    raise
                self.send(error=[type(found).__name__, str(found)])
            else:
                self.send(done=done)

    def send(self, **message: Any) -> None:
        """Write one line."""
        self.writer.write(json.dumps(message) + "\n")
        self.writer.flush()

    def _join(self, model: ModelConfig) -> None:
        if self.joined:
            return
        from accelerate import PartialState

        store = f"file://{os.environ['AXIOM_RENDEZVOUS']}"
        cpu = resolve_device(model) == "cpu"
        PartialState(cpu=cpu, init_method=store, rank=self.rank, world_size=self.size)
        self.joined = True

    def on_train(
        self, model: ModelConfig, config: TrainingConfig, path: TrainPath, examples: list[Any], this: dict[str, Any]
    ) -> bool:
        """Train; the first process tells of each step."""
        previous = _policy(this.pop("previous"))
        round_ = Round(previous, Path(this.pop("out")), **this, on_step=self._tell)
        rows: Sequence[Example] = [Example(**row) for row in examples]
        train(rows, round_, model, config, self.kept, path, Group(self.rank, self.size, config.fsdp))
        return True

    def on_score(
        self,
        model: ModelConfig,
        config: TrainingConfig,
        path: TrainPath,
        traces: list[Any],
        policy: dict[str, Any],
        merged: bool,
    ) -> list[float]:
        """Score."""
        rows = [Trace(*(tuple(row[name]) for name in ("prompt", "tokens", "logprobs"))) for row in traces]
        found = score(
            rows,
            model=model,
            config=config,
            policy=_policy(policy),
            kept=self.kept,
            merged=merged,
            path=path,
            sharded=config.fsdp,
        )
        scores: list[float] = found.tolist()
        return scores

    def on_divergences(
        self,
        model: ModelConfig,
        config: TrainingConfig,
        path: TrainPath,
        texts: list[Any],
        policy: dict[str, Any],
        base: dict[str, Any],
    ) -> list[list[float]]:
        """Compare two policies."""
        found = divergences(
            [Encoded(**text) for text in texts],
            model=model,
            config=config,
            policy=_policy(policy),
            base=_policy(base),
            kept=self.kept,
            path=path,
            sharded=config.fsdp,
        )
        return [nats.tolist() for nats in found]

    def _tell(self, step: LossStep) -> None:
        if self.rank == 0:
            self.send(step=step.model_dump())


def _policy(given: dict[str, Any]) -> Policy:
    return Policy(given["version"], Path(given["adapter"]) if given["adapter"] else None)


def main() -> None:
    """Serve the socket whose descriptor is the first argument; the second is the parent's process id."""
    threading.Thread(target=follow, args=(int(sys.argv[2]),), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    Rank(socket.socket(fileno=int(sys.argv[1]))).serve()


if __name__ == "__main__":
    main()
