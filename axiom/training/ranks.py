"""One training process for each GPU, seen from the process of the run, which has no part in their communication.

The others wait for one that dies. So its death ends them all, with an error that the stage is retried for.
"""

import selectors
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axiom import errors
from axiom.config import ModelConfig, TrainingConfig
from axiom.errors import EngineError
from axiom.models import Policy, devices, resolve_device
from axiom.models.ways import TrainPath
from axiom.records import LossStep
from axiom.sampling import Trace
from axiom.sampling.engine_process import START_SECONDS, EngineProcess
from axiom.training import Example, Round

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

    def train(
        self, examples: Sequence[Example], this: Round, model: ModelConfig, config: TrainingConfig, path: TrainPath
    ) -> list[LossStep]:
        """Train in all of them; the first one writes the adapter."""
        round_ = {
            "previous": _policy(this.previous),
            "out": str(this.out.resolve()),
            "seed": this.seed,
            "iteration": this.iteration,
            "first_step": this.first_step,
            "steps": this.steps,
        }
        found: list[LossStep] = []
        rows = [asdict(example) for example in examples]
        for answer in self._ask(op="train", examples=rows, this=round_, **_settings(model, config, path)):
            if "step" in answer:
                found.append(LossStep(**answer["step"]))
                this.on_step(found[-1])
        return found

    def score(
        self,
        traces: Sequence[Trace],
        policy: Policy,
        model: ModelConfig,
        config: TrainingConfig,
        path: TrainPath,
        merged: bool = False,
    ) -> "np.ndarray":
        """Score in all of them, which do not differ."""
        import numpy as np

        rows = [asdict(trace) for trace in traces]
        asked = {"traces": rows, "policy": _policy(policy), "merged": merged}
        answers = list(self._ask(op="score", **asked, **_settings(model, config, path)))
        return np.array(answers[-1]["done"], dtype=float)

    def divergences(
        self,
        texts: "Sequence[Encoded]",
        policy: Policy,
        base: Policy,
        model: ModelConfig,
        config: TrainingConfig,
        path: TrainPath,
    ) -> "list[np.ndarray]":
        """Compare in all of them, which do not differ."""
        import numpy as np

        asked = {"texts": [asdict(text) for text in texts], "policy": _policy(policy), "base": _policy(base)}
        answers = list(self._ask(op="divergences", **asked, **_settings(model, config, path)))
        return [np.array(nats, dtype=float) for nats in answers[-1]["done"]]

    def release(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.kill()
            Path(process.log.name).unlink(missing_ok=True)
        self._processes = []
        self._stack.close()

    def _ask(self, **message: Any) -> Iterator[dict[str, Any]]:
        """What the first process answers; ends when all are done."""
        try:
            if not self._processes:
                self._start()
            for process in self._processes:
                process.send(**message)
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


def _settings(model: ModelConfig, config: TrainingConfig, path: TrainPath) -> dict[str, Any]:
    return {"model": model.model_dump(mode="json"), "config": config.model_dump(mode="json"), "path": asdict(path)}


def _policy(policy: Policy) -> dict[str, str | None]:
    return {"version": policy.version, "adapter": str(policy.adapter.resolve()) if policy.adapter else None}


def _error(kind: str, text: str) -> errors.AxiomError:
    """An error of the same kind as in the process."""
    found = getattr(errors, kind, EngineError)
    error: errors.AxiomError = found(text)
    return error
