"""Verdicts of samples that are still being drawn: verification hides behind sampling.

The iteration owns an `Ahead` and hands it to two stages. The one that samples puts each completion in as it ends; a
thread hands it to the sandbox, which works while the engine does. The one that verifies then collects what is there.
Nothing depends on it: a verdict is the same in either stage.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from axiom.records import Sample, Verdict

WAIT_SECONDS = 0.005
"""How long the sandbox is left alone to see whether another sample comes."""

Judge = Callable[[Iterable[Sample | None]], Iterator[Verdict]]
"""Samples to verdicts, out of order; None among the samples says that none is there yet."""


class Ahead:
    """The verdicts of one stage's samples, ahead of the stage that writes them.

    A context manager around both stages: leaving it ends the work that nobody collected.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._work: _Work | None = None

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(self, *_: object) -> None:
        self._give_up()

    @contextmanager
    def sampling(self) -> Iterator[Callable[[Sample], None]]:
        """Takes samples while the block draws them; leaving it by an exception gives the work up.

        A stage that is tried again begins anew, since the sandbox serves one call at a time.
        """
        self._give_up()
        self._work = _Work(self._judge)
        try:
            yield self._work.put
        except BaseException:
            self._give_up()
            raise
        self._work.put(None)

    def verdicts(self) -> list[Verdict] | None:
        """All verdicts, waiting for the last; None where the samples were not drawn now. Raises what stopped the work.

        Once: a stage that is tried again has its samples judged by itself.
        """
        work, self._work = self._work, None
        return work.verdicts() if work else None

    def _give_up(self) -> None:
        work, self._work = self._work, None
        if work:
            work.give_up()


class _Work:
    """One thread with its queue of samples."""

    def __init__(self, judge: Judge) -> None:
        self._samples: queue.SimpleQueue[Sample | None] = queue.SimpleQueue()
        self._given_up = False
        self._verdicts: list[Verdict] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(judge,), name="verify-ahead", daemon=True)
        self._thread.start()

    def put(self, sample: Sample | None) -> None:
        """Have this sample judged when the sandbox has room; None after the last."""
        self._samples.put(sample)

    def give_up(self) -> None:
        self._given_up = True
        self._thread.join()

    def verdicts(self) -> list[Verdict]:
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._verdicts

    def _run(self, judge: Judge) -> None:
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
