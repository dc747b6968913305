"""STUDY.toml: which arms, over which seeds, of which experiment; and what counts as having generalised."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from axiom.commands import suggest
from axiom.config import (
    OF_A_RUN,
    Arm,
    ExperimentConfig,
    Fraction,
    Section,
    checked,
    find_preset,
    load_config,
    presets,
    read_toml,
)
from axiom.errors import ConfigError
from axiom.records import Split
from axiom.study.survival import fewest_pairs

WINDOW = 3
"""Evaluations that are pooled to decide whether a run has generalised."""
Clock = Literal["iteration", "optimizer_step", "trained_tokens", "generated_tokens", "wall_seconds"]
UNITS: dict[str, str] = {
    "iteration": "iterations",
    "optimizer_step": "optimizer steps",
    "trained_tokens": "trained tokens",
    "generated_tokens": "generated tokens",
    "wall_seconds": "seconds",
}
"""What each clock counts, in the plural."""


@dataclass(frozen=True)
class Reading:
    """How runs are read: on which split, from which accuracy on they count as generalised, by which clock.

    `tolerance` is the largest relative difference between ledgers that are to agree; `confidence` that of intervals.
    """

    split: str = "val"
    level: float = 0.9
    clock: Clock = "iteration"
    tolerance: float = 0.02
    confidence: float = 0.95


class StudyConfig(Section):
    """Arms × paired seeds of one experiment."""

    name: str
    """Prefix of the runs' names: `<name>-<arm>-s<seed>`."""
    preset: str
    """Preset of every run, relative to the study's file."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Fields changed in every run, by dotted key."""
    arms: tuple[Arm, ...] = ("expert_iteration", "static_rft")
    """What is compared; the expert arm runs first and every other is compared with it."""
    seeds: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Pairs: seeds 0, 1, ... of every arm. Six can decide between two arms; each further arm needs more."""
    yoked: bool = True
    """Replay the expert arm's schedule in the arms that can."""
    split: Split = "val"
    """Where generalisation is read."""
    generalised_accuracy: Fraction = 0.9
    """Accuracy, pooled over three evaluations, from which a run counts as having generalised if it stays there."""
    clock: Clock = "iteration"
    """Unit of the primary end point."""
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    """Of every interval; a comparison decides where its adjusted p value is at most 1 less this."""
    ledger_tolerance: Fraction = 0.02
    """Largest relative difference in any round between a yoked arm's ledger and the expert arm's. Loss tokens may
    differ by one example as well."""

    @field_validator("settings")
    @classmethod
    def _leaves_the_runs_apart(cls, value: dict[str, Any]) -> dict[str, Any]:
        ours = [key for key in value if key.partition(".")[0] in OF_A_RUN]
        if ours:
            raise ValueError(f"settings.{ours[0]} is not the same in every run: the study sets it; leave it out")
        return value

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if "expert_iteration" not in self.arms or len(set(self.arms)) < 2:
            raise ValueError(f"arms = {list(self.arms)} must hold expert_iteration and one more to compare it with")
        if len(set(self.arms)) < len(self.arms):
            raise ValueError(f"arms = {list(self.arms)} holds an arm twice; leave one out")
        fewest = fewest_pairs(self.alpha, self.comparisons)
        if self.seeds < fewest:
            others = f"{self.comparisons} arm{'s' if self.comparisons > 1 else ''}"
            raise ValueError(
                f"seeds = {self.seeds} gives {self.seeds} pairs; with {others} beside the expert's the "
                f"adjusted p value cannot fall to {self.alpha:.3g} with fewer than {fewest}: set seeds to at least "
                f"{fewest}, and to the number that `axiom study --plan` shows for the difference you look for"
            )
        return self

    @property
    def comparisons(self) -> int:
        """Arms that are compared with the expert's."""
        return len(self.arms) - 1

    @property
    def alpha(self) -> float:
        """The level of all comparisons together."""
        return 1.0 - self.confidence

    def reading(self) -> Reading:
        """How its runs are read."""
        return Reading(self.split, self.generalised_accuracy, self.clock, self.ledger_tolerance, self.confidence)

    def runs(self) -> list[str]:
        """Names of all runs."""
        return [run_name(self, arm, seed) for arm in self.arms for seed in range(self.seeds)]


def load_study(path: Path) -> StudyConfig:
    """The study in a TOML file, or that of this name, its preset's path resolved.

    Raises ConfigError with one sentence.
    """
    path, names = find_preset(path), ", ".join(one.name for one in presets() if one.kind == "study")
    tree = read_toml(path, "study", f"name a TOML file with name, preset, arms, seeds; with axiom comes {names}")
    if "preset" not in tree and tree.keys() & ExperimentConfig.model_fields.keys() - {"name"}:
        raise ConfigError(f"{str(path)!r} is a preset, not a study; run it with `{suggest('run', str(path))}`")
    try:
        study = checked(StudyConfig, tree)
    except ConfigError as error:
        raise ConfigError(f"study {str(path)!r}: {error}") from None
    return study.model_copy(update={"preset": str(find_preset(study.preset, path.parent))})


def run_name(study: StudyConfig, arm: str, seed: int) -> str:
    """Folder of one run."""
    return f"{study.name}-{arm}-s{seed:02d}"


def plan(study: StudyConfig, seed: int) -> list[ExperimentConfig]:
    """The runs of one seed in the order they must happen: the expert arm, then those that replay its schedule.

    Raises ConfigError for a mistake in the preset or in the study's settings.
    """
    from axiom.problems import check_families
    from axiom.selection.arms import ARMS

    expert = run_name(study, "expert_iteration", seed)
    configs = []
    for arm in sorted(study.arms, key=lambda arm: arm != "expert_iteration"):
        replays = study.yoked and ARMS[arm].yoked
        changed = study.settings | {
            "name": run_name(study, arm, seed),
            "arm": arm,
            "seed": seed,
            "yoke": expert if replays else "",
        }
        configs.append(load_config(study.preset, (), **changed))
        check_families(configs[-1].problems)
        _refuse_resting(study, configs[-1])
        _check_readable(study, configs[-1])
    return configs


def _check_readable(study: StudyConfig, config: ExperimentConfig) -> None:
    """Refuse a study whose runs hold nothing that could count as generalised."""
    problems, every = config.problems, config.evaluation.every
    out_of_distribution = problems.ood_size if config.model.kind == "language" else 0
    absent = {
        "test": config.model.kind == "language" and not problems.test_size,
        "humaneval": config.model.kind == "modular" or not problems.humaneval,
        "ood_family": not (out_of_distribution and problems.ood_families),
    }
    if absent.get(study.split, study.split.startswith("ood_") and not out_of_distribution):
        raise ConfigError(
            f"study {study.name!r} reads split = {study.split!r}, which its preset has no problems of; set another "
            f"split, or its size in [problems] of {study.preset}"
        )
    evaluations = 1 + -(-config.iterations // every)
    if evaluations < WINDOW:
        raise ConfigError(
            f"study {study.name!r} evaluates each run {evaluations} times, and {WINDOW} are pooled to see whether it "
            f"has generalised; set more iterations or a smaller evaluation.every"
        )


def _refuse_resting(study: StudyConfig, config: ExperimentConfig) -> None:
    for field in ("patience", "only_if_improved"):
        value = getattr(config.training, field)
        if value:
            raise ConfigError(
                f"study {study.name!r} cannot run with training.{field} = {str(value).lower()}: each arm would decide "
                f"for itself how long it trains; leave it out of {study.preset} or set it off in [settings]"
            )
