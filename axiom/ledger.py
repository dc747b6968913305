"""What each round of a run cost and trained on: the schedule that a yoked arm replays, and the proof that it did."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property

from axiom.arms import Quota
from axiom.errors import ConfigError
from axiom.experiment import Experiment, iteration_folder
from axiom.records import Gold, LossStep
from axiom.store import Manifest, hash_json

FILE = "ledger.json"


@dataclass(frozen=True)
class Entry:
    """One round. `drawn` completions were sampled; `problems` and `examples` trained; `learning_rate` sums over steps.

    `resets` counts starts from the base model; `seconds` is sampling and training.
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


COMPARED = ("problems", "examples", "loss_tokens", "optimizer_steps", "learning_rate", "resets")
"""Figures that a yoked arm shares with the expert arm; draws and seconds are shown beside them."""


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
    sampled, trained = (_manifest(experiment, stage, folder) for stage in ("samples", "adapter"))
    return Entry(
        iteration=number, drawn=sampled.files["samples.parquet"].rows or 0,
        problems=len({row.problem_id for row in gold}), examples=len(gold),
        fresh=sum(row.reason != "replayed" for row in gold), loss_tokens=sum(step.loss_tokens for step in losses),
        optimizer_steps=len(losses), learning_rate=sum(step.learning_rate for step in losses),
        resets=int(bool(losses) and (experiment.config.training.mode == "restart" or number == 1)),
        seconds=round(sampled.info["seconds"] + trained.info["seconds"], 3),
    )  # fmt: skip


def _manifest(experiment: Experiment, stage: str, folder: str) -> Manifest:
    found = experiment.stages.manifest(stage, folder)
    assert found is not None, "a finished iteration has all its stages"
    return found


def write(experiment: Experiment) -> list[Entry]:
    """Put `ledger.json` beside the run's other files."""
    import json

    entries = read(experiment)
    experiment.folder.write_bytes(FILE, json.dumps([asdict(entry) for entry in entries], indent=1).encode())
    return entries


def totals(entries: Sequence[Entry]) -> dict[str, float]:
    """Each figure summed over the run; `problems` is summed too: problem-rounds."""
    names = [field.name for field in fields(Entry) if field.name != "iteration"]
    return {name: sum(getattr(entry, name) for entry in entries) for name in names}


def disagreement(expert: Sequence[Entry], other: Sequence[Entry], tolerance: float) -> str | None:
    """The first figure in which a yoked run differs from the expert run by more than relative `tolerance`, or None."""
    if len(expert) != len(other):
        return f"{len(other)} rounds against the expert arm's {len(expert)}"
    for theirs, ours in zip(expert, other, strict=True):
        for name in COMPARED:
            want, got = getattr(theirs, name), getattr(ours, name)
            if abs(got - want) > tolerance * abs(want) + 1e-9:
                return f"{name} of round {ours.iteration} is {got:g} against the expert arm's {want:g}"
    return None


class Schedule:
    """The expert run that a yoked run replays."""

    def __init__(self, root: str, name: str) -> None:
        """Raises ConfigError when there is no such run."""
        self._expert = Experiment.open(root, name)

    def quota(self, iteration: int) -> Quota:
        """What round `iteration` trained on. Raises ConfigError when the expert run has not got there."""
        self._check(iteration)
        gold = self._expert.stages.read(iteration_folder(iteration), "gold", Gold)
        fresh = sum(row.reason != "replayed" for row in gold)
        return Quota(len({row.problem_id for row in gold}), len(gold), fresh)

    def final_gold(self, iterations: int) -> list[Gold]:
        """Every distinct target of every problem that `iterations` rounds found, by problem and target."""
        self._check(iterations)
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

    def _check(self, iteration: int) -> None:
        if self._expert.stages.manifest("gold", iteration_folder(iteration)) is None:
            name = self._expert.config.name
            raise ConfigError(
                f"yoke = {name!r} has not finished round {iteration}, whose schedule this run replays; "
                f"first run `axiom resume {name}`"
            )
