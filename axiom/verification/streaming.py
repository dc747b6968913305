"""Verification that overlaps with sampling: verdicts of samples while others are still being drawn.

The iteration owns a `VerificationStream` and passes it to two stages. The sampling stage puts each completion in as it
ends; a thread sends it to the sandbox, which works while the engine does. The verification stage then collects the
verdicts. They are the same whichever stage computes them.
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


class VerificationStream:
    """The verdicts of one stage's samples, computed before the stage that writes them.

    A context manager around both stages: leaving it cancels work that was not collected.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._work: _Work | None = None

    def __enter__(self) -> "VerificationStream":
        return self

    def __exit__(self, *_: object) -> None:
        self._cancel()

    @contextmanager
    def sampling(self) -> Iterator[Callable[[Sample], None]]:
        """Takes samples while the block draws them; an exception in it cancels the work.

        A stage that is retried starts again, since the sandbox serves one call at a time.
        """
        self._cancel()
        self._work = _Work(self._judge)
        try:
            yield self._work.put
        except BaseException:
            self._cancel()
            raise
        self._work.put(None)

    def verdicts(self) -> list[Verdict] | None:
        """All verdicts, after the last; None if the samples were not drawn in this run. Raises what stopped the work.

        It gives them once: a stage that is retried verifies its samples itself.
        """
        work, self._work = self._work, None
        return work.verdicts() if work else None

    def _cancel(self) -> None:
        work, self._work = self._work, None
        if work:
            work.cancel()


class _Work:
    """One thread with its queue of samples."""

    def __init__(self, judge: Judge) -> None:
        self._samples: queue.SimpleQueue[Sample | None] = queue.SimpleQueue()
        self._cancelled = False
        self._verdicts: list[Verdict] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(judge,), name="verify-stream", daemon=True)
        self._thread.start()

    def put(self, sample: Sample | None) -> None:
        """Have this sample judged when the sandbox has room; None after the last."""
        self._samples.put(sample)

    def cancel(self) -> None:
        self._cancelled = True
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
        while not self._cancelled:
            try:
                sample = self._samples.get(timeout=WAIT_SECONDS)
            except queue.Empty:
                yield None
                continue
            if sample is None:
                return
            yield sample
