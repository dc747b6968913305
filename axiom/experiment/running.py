"""What an experiment holds in memory while it runs: the learner and the sandbox, opened when first needed."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from axiom.config import ExperimentConfig
from axiom.downloads import Downloads
from axiom.errors import classified
from axiom.evaluation import GREEDY
from axiom.experiment import EXECUTION, Experiment, iteration_folder
from axiom.grokking import Watch
from axiom.learners import Learner, open_learner
from axiom.models import Policy, resolve_device
from axiom.problems import audit_cases
from axiom.progress import Progress, doing, report
from axiom.records import Case, Gold, Metric, Problem, Purpose, Sample, Verdict
from axiom.store import Handle
from axiom.training import Example
from axiom.verification import Verifier, verify_samples
from axiom.verification.streaming import VerificationStream

OF_A_ROUND = {"samples_per_problem", "allocation", "min_draws"}
"""Settings of `[sampling]` that say which completions a round asks for, and nothing of the engine that draws them."""
HEADLINES = (GREEDY, "gold", "solved", "level")
"""Metrics that a run shows while it goes on, pooled over families and difficulties."""


class Runtime:
    """An experiment with its engine and sandbox. They live until `close`, through every iteration."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self._metrics = Metric.SCHEMA.empty_table()
        self._headlines: list[Metric] = []
        self._measured = 0
        self._second_cases: dict[str, tuple[Case, ...]] = {}
        self._downloads = Downloads()

    @property
    def config(self) -> ExperimentConfig:
        """The experiment's."""
        return self.experiment.config

    @cached_property
    def learner(self) -> Learner:
        """The model, its sampler and trainer."""
        left = (_handover.get() or Handover()).take("learner", self._opened_with)
        if left is None:
            doing("loading the model" if self.config.model.kind == "language" else "making the network")
        learner: Learner = left.under(self.config) if left else open_learner(self.config)
        report(Progress(0, "engine", 1, 1, "", note=learner.description))
        return learner

    def as_made(self, iteration: int) -> "Runtime":
        """The same run with the config that `iteration` was made with, to train it again. The engine is shared.

        Where it runs stays this run's choice.
        """
        made = self.experiment.made_with(iteration)
        if made is self.config:
            return self
        made = _where(made, self.config)
        experiment = Experiment(self.experiment.root, made)
        experiment.folder.uploads = self.experiment.folder.uploads
        run = Runtime(experiment)
        run.__dict__["learner"] = self.learner.under(made)
        return run

    def prepare(self) -> None:
        """Open the learner before it is needed: what it starts in other processes goes on beside other work."""
        _ = self.learner

    @cached_property
    def verifier(self) -> Verifier:
        """The sandbox templates; for direct answers, which are only compared, none."""
        if self.config.model.kind == "modular":
            return Verifier(None)
        doing("starting the sandbox")
        return (_handover.get() or Handover()).take("verifier", self.config.sandbox) or Verifier(self.config.sandbox)

    def examples(self, rows: Iterable[Gold]) -> list[Example]:
        """Gold as the trainer takes it, with the prompts of sampling."""
        problems = self.experiment.problems_by_id
        return [self.learner.example(problems[row.problem_id], row) for row in rows]

    def judge(self, samples: Iterable[Sample | None], purpose: Purpose) -> Iterator[Verdict]:
        """A verdict for each sample, as they fall; gold is judged again on the second hidden cases."""
        audit = self._audit_cases if self.config.sandbox.audit and purpose == "train" else None
        return verify_samples(self.experiment.problems_by_id, samples, self.verifier, audit)

    def _audit_cases(self, problem: Problem) -> tuple[Case, ...]:
        """A problem's second hidden cases, made once: every iteration's gold is held against them."""
        if problem.problem_id not in self._second_cases:
            self._second_cases[problem.problem_id] = audit_cases(problem)
        return self._second_cases[problem.problem_id]

    def streaming(self, purpose: Purpose) -> VerificationStream:
        """Lets verification overlap with sampling."""
        _ = self.verifier  # the sandbox starts in the thread that lives on
        return VerificationStream(lambda samples: self.judge(samples, purpose))

    @cached_property
    def watch(self) -> Watch:
        """The detector, which reads the curve as it grows."""
        return Watch(self.config.detection)

    def metrics(self, last: int) -> pa.Table:
        """All metrics up to iteration `last`, the newest one that was asked for; each iteration's file is read once."""
        for number in range(self._measured, last + 1):
            table = self.experiment.stages.arrow(iteration_folder(number), "metrics", Metric)
            self._metrics = pa.concat_tables([self._metrics, table]).combine_chunks()
            self._headlines += [row for row in Metric.from_table(table) if row.pooled and row.name in HEADLINES]
            self._measured = number + 1
        return self._metrics

    def headlines(self, last: int) -> list[Metric]:
        """Those of them that a run shows: as rows, a long run's would fill the memory."""
        self.metrics(last)
        return self._headlines

    def policy(self, adapter: Handle | None) -> Policy:
        """The weights of a train stage; of the base model where there is none yet."""
        source = adapter.info.get("adapter_folder") if adapter else None
        if source is None:
            start = self.config.model.adapter
            return Policy(version="base", adapter=Path(start) if start else None)
        manifest = self.experiment.stages.manifest("adapter", source)
        assert manifest is not None, "a handle points to a finished stage"
        return Policy(
            version=f"{source.rpartition('/')[2]}-{manifest.digest[:12]}",
            adapter=self._downloads.get(self.experiment.folder, manifest, "adapter"),
        )

    @contextmanager
    def fresh_engine_on_failure(self) -> Iterator[None]:
        """Close the learner when a machine fails under the block, so that the stage's retry opens a fresh one."""
        try:
            yield
        except Exception as error:
            found = classified(error)
            if found is not None and found.transient:
                self.drop_learner()
            raise

    def drop_learner(self) -> None:
        """Close the learner, so that the next use opens a fresh one (after an engine's crash)."""
        learner = self.__dict__.pop("learner", None)
        if learner is not None:
            learner.close()

    def hand_on(self) -> None:
        """Leave the learner and the sandbox to the next run, where runs hand them on."""
        model, handover = self.config.model, _handover.get()
        if handover is None or model.kind != "language":
            return
        if "learner" in self.__dict__ and (handover.gpu or resolve_device(model) == "cpu"):
            handover.give("learner", self._opened_with, self.__dict__.pop("learner"))
        if "verifier" in self.__dict__:
            handover.give("verifier", self.config.sandbox, self.__dict__.pop("verifier"))

    @property
    def _opened_with(self) -> tuple[Any, ...]:
        """Settings that a learner is opened with. All others may change from run to run of one engine.

        The trainer's model stays as well, unless the adapter's shape changes.
        """
        return self.config.model, self.config.prompts, self.config.sampling.model_dump(exclude=OF_A_ROUND)

    def close(self) -> None:
        """End every process of ours."""
        self.drop_learner()
        self._downloads.close()
        verifier = self.__dict__.pop("verifier", None)
        if verifier is not None:
            verifier.close()


def _where(made: ExperimentConfig, ours: ExperimentConfig) -> ExperimentConfig:
    """The config `made`, computed where `ours` is."""
    place = {name: getattr(ours.training, name) for name in EXECUTION["training"] or ()}
    model = made.model.model_copy(update={"device": ours.model.device})
    return made.model_copy(update={"model": model, "training": made.training.model_copy(update=place)})


class Handover:
    """What a finished run leaves to the next, by kind; what is on a GPU only where `gpu` is set."""

    def __init__(self, gpu: bool = False) -> None:
        self.gpu = gpu
        self._left: dict[str, tuple[Any, Any]] = {}

    def take(self, kind: str, settings: Any) -> Any:
        """What was left if it was opened with the same settings; else that is closed, and there is None."""
        before, left = self._left.pop(kind, (None, None))
        if left is not None and before != settings:
            left.close()
            return None
        return left

    def give(self, kind: str, settings: Any, left: "Learner | Verifier") -> None:
        """Leave something that was opened with `settings` and has a method `close`."""
        self.take(kind, object())
        self._left[kind] = settings, left

    def close(self) -> None:
        """Close what nobody took."""
        for kind in list(self._left):
            self.take(kind, object())


_handover: ContextVar[Handover | None] = ContextVar("handover", default=None)


@contextmanager
def handing_on(gpu: bool = False) -> Iterator[None]:
    """Runs in the block hand on their learner and sandbox, so a model is loaded once. One that fails closes them.

    A workflow engine calls the runs and passes them nothing but JSON, so they find it in their context. `gpu` says that
    the block holds the GPU for all of them; else a GPU's memory goes back with each run's slot.
    """
    handover = Handover(gpu)
    token = _handover.set(handover)
    try:
        yield
    finally:
        _handover.reset(token)
        handover.close()


@contextmanager
def running(experiment: Experiment) -> Iterator[Runtime]:
    """Hold the experiment's lock and its runtime while the block runs."""
    with experiment.locked():
        experiment.save()
        experiment.settle()
        runtime = Runtime(experiment)
        try:
            yield runtime
            runtime.hand_on()
        finally:
            runtime.close()
