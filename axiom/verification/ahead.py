"""Verdicts of samples that are still being drawn: verification hides behind sampling.

The sampling stage puts each completion in as it ends; a thread hands it to the sandbox, which works while the engine
does. The stage that verifies then collects what is there. Nothing depends on it: a verdict is the same in either stage.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator

from axiom.records import Sample, Verdict

WAIT_SECONDS = 0.005
"""How long the sandbox is left alone to see whether another sample comes."""

Judge = Callable[[Iterable[Sample | None]], Iterator[Verdict]]
"""Samples to verdicts, out of order; None among the samples says that none is there yet."""


class Ahead:
    """One stage's verdicts, ahead of the stage that writes them.

    A context manager around the sampling: leaving it by an exception gives the work up.
    """

    def __init__(self, judge: Judge) -> None:
        self._samples: queue.SimpleQueue[Sample | None] = queue.SimpleQueue()
        self._given_up = False
        self._verdicts: list[Verdict] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, args=(judge,), name="verify-ahead", daemon=True)
        self._thread.start()

    def put(self, sample: Sample) -> None:
        """Have this sample judged when the sandbox has room."""
        self._samples.put(sample)

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._samples.put(None)
        else:
            self.give_up()

    def give_up(self) -> None:
        """End the work, whose verdicts nobody wants, and leave the sandbox to others."""
        self._given_up = True
        self._thread.join()

    def verdicts(self) -> list[Verdict]:
        """All verdicts, waiting for the last. Raises what stopped the thread."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._verdicts

    def _work(self, judge: Judge) -> None:
        try:
            self._verdicts.extend(judge(self._arriving()))
        except BaseException as error:  # noqa: BLE001  (raised where the verdicts are asked for)
            self._error = error

    def _arriving(self) -> Iterator[Sample | None]:
        """Samples as they come; None when there is none yet. Ends with the sampling."""
        while not self._given_up:
            try:
                sample = self._samples.get(timeout=WAIT_SECONDS)
            except queue.Empty:
                yield None
                continue
            if sample is None:
                return
            yield sample
