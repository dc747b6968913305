"""One training process for each GPU, seen from the process of the run, which has no part in their communication.

The others wait for one that dies. So its death ends them all, with an error that the stage is retried for.
"""

import selectors
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axiom import errors
from axiom.config import ModelConfig
from axiom.errors import EngineError
from axiom.models import Policy, devices, resolve_device
from axiom.records import LossStep
from axiom.sampling import Trace
from axiom.sampling.engine_process import START_SECONDS, EngineProcess
from axiom.training import Example, Round, Setup

if TYPE_CHECKING:
    import numpy as np

    from axiom.training.batches import Encoded

MODULE = "axiom.training.rank"
SIZES = ("WORLD_SIZE", "LOCAL_WORLD_SIZE")
"""Variables by which accelerate knows how many processes there are, in all and on this machine."""


class Ranks:
    """Processes that train one adapter together, as many as `count`; each sees a GPU of its own where there are any."""

    def __init__(self, model: ModelConfig, count: int) -> None:
        self.count, self._model = count, model
        self._processes: list[EngineProcess] = []
        self._stack = ExitStack()

    @property
    def loaded(self) -> bool:
        """Whether the processes run."""
        return bool(self._processes)

    def train(self, examples: Sequence[Example], this: Round, setup: Setup) -> list[LossStep]:
        """Train in all of them; the first one writes the adapter."""
        sent = {field.name: getattr(this, field.name) for field in fields(this) if field.name != "on_step"}
        found: list[LossStep] = []
        for answer in self._ask("train", setup, examples=examples, this=sent):
            if "step" in answer:
                found.append(LossStep(**answer["step"]))
                this.on_step(found[-1])
        return found

    def score(self, traces: Sequence[Trace], policy: Policy, setup: Setup, merged: bool = False) -> "np.ndarray":
        """Score in all of them, which do not differ."""
        import numpy as np

        *_, last = self._ask("score", setup, traces=traces, policy=policy, merged=merged)
        return np.array(last["done"], dtype=float)

    def divergences(self, texts: "Sequence[Encoded]", policy: Policy, base: Policy, setup: Setup) -> "list[np.ndarray]":
        """Compare in all of them, which do not differ."""
        import numpy as np

        *_, last = self._ask("divergences", setup, texts=texts, policy=policy, base=base)
        return [np.array(nats, dtype=float) for nats in last["done"]]

    def release(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.kill()
            Path(process.log.name).unlink(missing_ok=True)
        self._processes = []
        self._stack.close()

    def _ask(self, op: str, setup: Setup, **given: Any) -> Iterator[dict[str, Any]]:
        """What the first process answers; ends when all are done."""
        try:
            if not self._processes:
                self._start()
            for process in self._processes:
                process.send(op=op, setup=setup, **given)
            yield from self._answers()
        except BaseException:  # the others would wait for the one that failed
            self.release()
            raise

    def _answers(self) -> Iterator[dict[str, Any]]:
        waiting = set(range(self.count))
        with selectors.DefaultSelector() as selector:
            for rank, process in enumerate(self._processes):
                selector.register(process.socket, selectors.EVENT_READ, rank)
            while waiting:
                ready = [key.data for key, _ in selector.select(START_SECONDS)] or sorted(waiting)
                for rank in ready:
                    for answer in self._processes[rank].receive(START_SECONDS):
                        if "error" in answer:
                            raise _error(*answer["error"])
                        if "done" in answer:
                            waiting.discard(rank)
                        if rank == 0:
                            yield answer

    def _start(self) -> None:
        visible = devices() if resolve_device(self._model) == "cuda" else (None,) * self.count
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="axiom-ranks-"))
        for rank, device in zip(range(self.count), visible, strict=False):
            # Each sees one GPU, the first of those that it sees.
            place = {"RANK": str(rank), "LOCAL_RANK": "0"} | dict.fromkeys(SIZES, str(self.count))
            place |= {"AXIOM_RENDEZVOUS": f"{folder}/store", "GLOO_SOCKET_IFNAME": "lo"}
            self._processes.append(EngineProcess(str(rank), device, MODULE, place, "training process"))


def _error(kind: str, text: str) -> errors.AxiomError:
    """An error of the same kind as in the process."""
    found = getattr(errors, kind, EngineError)
    error: errors.AxiomError = found(text)
    return error
