"""What each round of a run cost and trained on: the schedule that a yoked arm replays, and the proof that it did."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property

from axiom.commands import suggest
from axiom.errors import ConfigError, DataError
from axiom.experiment import Experiment, iteration_folder
from axiom.progress import doing
from axiom.records import Gold, LossStep
from axiom.selection.arms import Quota
from axiom.store import Manifest, hash_json

FILE = "ledger.json"
POLL_SECONDS = 0.5
"""How often a run that follows its expert looks for the next round."""


@dataclass(frozen=True)
class Entry:
    """One round. `drawn` completions were sampled; `problems` and `examples` trained; `learning_rate` sums over steps.

    `loss_tokens` had a loss, over all passes. `resets` counts starts from the base model; `seconds` is the wall time of
    sampling and training. `dropped` rows of gold were too long and not trained; `longest` is what one example can make
    of loss tokens in the round. `unmet` names counts that the arm's data could not meet, so that they gave way to the
    loss tokens.
    """

    iteration: int
    drawn: int
    problems: int
    examples: int
    fresh: int
    loss_tokens: int
    optimizer_steps: int
    learning_rate: float
    resets: int
    seconds: float
    dropped: int = 0
    longest: int = 0
    unmet: tuple[str, ...] = ()

    @property
    def rested(self) -> bool:
        """Whether the arm had no data at all for a round in which the expert trained."""
        return not self.examples and "examples" in self.unmet


COMPARED = ("problems", "examples", "loss_tokens", "optimizer_steps", "learning_rate", "resets")
"""Figures that a yoked arm shares with the expert arm; draws, dropped rows and seconds are shown beside them."""
SHOWN = (*COMPARED, "drawn", "dropped", "seconds")


def read(experiment: Experiment) -> list[Entry]:
    """The rounds of an experiment that are finished, from its stages' files."""
    entries = []
    for number in range(1, experiment.config.iterations + 1):
        if experiment.stages.manifest("iteration", iteration_folder(number)) is None:
            break
        entries.append(_entry(experiment, number))
    return entries


def _entry(experiment: Experiment, number: int) -> Entry:
    folder, stages = iteration_folder(number), experiment.stages
    gold = stages.read(folder, "gold", Gold)
    losses = stages.read(folder, "losses", LossStep)
    sampled, trained, selected = (_manifest(experiment, stage, folder) for stage in ("samples", "adapter", "gold"))
    info = trained.info  # of earlier versions it has no figures of what was dropped
    return Entry(
        iteration=number,
        drawn=sampled.files["samples.parquet"].rows or 0,
        problems=info.get("problems", len({row.problem_id for row in gold})),
        examples=info["examples"],
        fresh=sum(row.reason != "replayed" for row in gold),
        loss_tokens=sum(step.loss_tokens for step in losses),
        optimizer_steps=len(losses),
        learning_rate=sum(step.learning_rate for step in losses),
        resets=int(bool(losses) and (experiment.config.training.mode == "restart" or number == 1)),
        seconds=round(sampled.info["seconds"] + info["seconds"], 3),
        dropped=info.get("dropped", 0),
        longest=info.get("longest", 0) * info.get("passes", 1),
        unmet=tuple(selected.info.get("unmet", ())),
    )


def _manifest(experiment: Experiment, stage: str, folder: str) -> Manifest:
    found = experiment.stages.manifest(stage, folder)
    if found is None:
        again = suggest("resume", experiment.config.name, root=experiment.root)
        raise DataError(
            f"{folder}/{stage}.manifest.json of {experiment.config.name!r} is missing though its round was finished; "
            f"make it again with `{again}`"
        )
    return found


def write(experiment: Experiment) -> list[Entry]:
    """Put `ledger.json` beside the run's other files."""
    import json

    entries = read(experiment)
    experiment.folder.write_bytes(FILE, json.dumps([asdict(entry) for entry in entries], indent=1).encode())
    return entries


def totals(entries: Sequence[Entry]) -> dict[str, float]:
    """Each figure summed over the run; `problems` is summed too: problem-rounds."""
    names = [field.name for field in fields(Entry) if field.name not in ("iteration", "longest", "unmet")]
    return {name: sum(getattr(entry, name) for entry in entries) for name in names}


def disagreement(expert: Sequence[Entry], other: Sequence[Entry], tolerance: float) -> str | None:
    """The first figure in which a yoked run differs from the expert run by more than relative `tolerance`, or None.

    Loss tokens come in programs, so in each round and in all rounds up to it they may differ by one example as well.
    Counts that the arm's data could not meet are not held against it, nor rounds for which it had no data: a comparison
    says so.
    """
    if len(expert) != len(other):
        return f"{len(other)} rounds against the expert arm's {len(expert)}"
    before = after = 0
    for theirs, ours in zip(expert, other, strict=True):
        if ours.rested:
            continue
        for name in COMPARED:
            want, got = getattr(theirs, name), getattr(ours, name)
            slack = max(theirs.longest, ours.longest) if name == "loss_tokens" else 0
            if name not in ours.unmet and abs(got - want) > max(tolerance * abs(want), slack) + 1e-9:
                return f"{name} of round {ours.iteration} is {got:g} against the expert arm's {want:g}"
        before, after = before + theirs.loss_tokens, after + ours.loss_tokens
        if abs(after - before) > max(tolerance * before, theirs.longest, ours.longest):
            return f"loss_tokens of rounds 1 to {ours.iteration} is {after} against the expert arm's {before}"
    return None


class Schedule:
    """The expert run that a yoked run replays, round by round; while it goes on, whoever asks for a round waits for it.

    Raises ConfigError for a round that the expert has not finished when it does not run.
    """

    def __init__(self, root: str, name: str) -> None:
        """Raises ConfigError when there is no such run."""
        self._expert = Experiment.open(root, name)

    def quota(self, iteration: int, spent: int) -> Quota:
        """What round `iteration` is to train on, after `spent` loss tokens in the rounds before it."""
        self._await(iteration)
        found = self._expert.stages.manifest("adapter", iteration_folder(iteration))
        if found is None or "loss_tokens_so_far" not in found.info:
            raise ConfigError(
                f"yoke = {self._expert.config.name!r} was made by a version that kept no count of its loss tokens; "
                f"run it again under another name and set yoke to that"
            )
        info, entry = found.info, _entry(self._expert, iteration)
        passes = max(1, info["passes"])
        budget = (info["loss_tokens_so_far"] - spent) / passes
        return Quota(entry.problems, entry.examples, entry.fresh, budget, -(-entry.optimizer_steps // passes))

    def level(self, iteration: int) -> int | None:
        """The level of the curriculum in that round, None if the run had none."""
        self._await(iteration)
        found = self._expert.stages.manifest("history", iteration_folder(iteration))
        return found.info.get("level") if found else None

    def final_gold(self, iterations: int) -> list[Gold]:
        """Every distinct target of every problem that `iterations` rounds found, by problem and target."""
        self._await(iterations)
        found: dict[tuple[str, str], Gold] = {}
        for number in range(1, iterations + 1):
            for row in self._expert.stages.read(iteration_folder(number), "gold", Gold):
                found.setdefault((row.problem_id, row.target), row)
        return [found[key] for key in sorted(found)]

    @cached_property
    def digest(self) -> str:
        """Changes with anything that the expert run trained on."""
        numbers = range(1, self._expert.config.iterations + 1)
        manifests = [self._expert.stages.manifest("gold", iteration_folder(number)) for number in numbers]
        return hash_json([found and found.digest for found in manifests])

    def check(self, iterations: int, whole: bool) -> None:
        """Raises ConfigError where so many rounds are not done and will not be; `whole` asks for them now."""
        going_on = self._expert.is_locked() and iterations <= self._expert.config.iterations and not whole
        if self._has(iterations):
            self.quota(iterations, spent=0)
        elif not going_on:
            raise self._unfinished(iterations)

    def _await(self, iteration: int) -> None:
        name = self._expert.config.name
        while not self._has(iteration):
            # In this order: it may finish the round and end in between.
            if not self._expert.is_locked() and not self._has(iteration):
                raise self._unfinished(iteration)
            doing(f"waiting for round {iteration} of {name}, whose schedule this run replays")
            time.sleep(POLL_SECONDS)

    def _has(self, iteration: int) -> bool:
        return self._expert.stages.manifest("iteration", iteration_folder(iteration)) is not None

    def _unfinished(self, iteration: int) -> ConfigError:
        name = self._expert.config.name
        return ConfigError(
            f"yoke = {name!r} has not finished round {iteration}, whose schedule this run replays; "
            f"first run `{suggest('resume', name, root=self._expert.root)}`"
        )
