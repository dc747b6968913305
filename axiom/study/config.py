"""STUDY.toml: which arms, over which seeds, of which experiment; and what counts as having generalised."""

import re
from collections.abc import Iterator, Mapping, Sequence
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
from axiom.config.names import ARMS
from axiom.config.schema import LARGEST
from axiom.errors import ConfigError
from axiom.learners.unread import computing, unread
from axiom.records import Split
from axiom.store import hash_json
from axiom.study.conditions import Condition, Settings, cell_name, cells, dotted, label, run_name_of, shown, size
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


MEASURED_ON = (
    "problems.families",
    "problems.difficulty",
    "problems.difficulty_by_family",
    "problems.val_size",
    "problems.test_size",
    "problems.ood_size",
    "problems.ood_families",
    "problems.shown_cases",
    "problems.hidden_cases",
    "modular.p",
    "modular.operations",
)
"""Settings that say on which problems a run is measured."""
TRAINED = ("problems.families", "modular.operations")
"""Settings that say which families train, of either kind of model."""
OF_ALL_FAMILIES = (*TRAINED, *(f"problems.{name}" for name in ("val_size", "test_size", "ood_size")))
"""Those that change with the families where one family is read, whose problems stay the same in kind."""


@dataclass(frozen=True)
class Reading:
    """How runs are read: on which split, from which accuracy on they count as generalised, by which clock.

    With a `family` its problems alone are read. `tolerance` is the largest relative difference between ledgers that are
    to agree; `confidence` that of intervals.
    """

    split: str = "val"
    level: float = 0.9
    clock: Clock = "iteration"
    tolerance: float = 0.02
    confidence: float = 0.95
    family: str = ""


class StudyConfig(Section):
    """Arms × paired seeds of one experiment."""

    name: str
    """Prefix of the runs' names: `<name>-<arm>-s<seed>`."""
    preset: str
    """Preset of every run, relative to the study's file."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Fields changed in every run, by dotted key."""
    grid: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    """Values of settings, by dotted key; every arm and variant runs with every combination of them."""
    variants: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Named sets of settings, compared like arms. Each is of the expert arm, or of the `arm` that it names."""
    max_runs: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Most runs that the study may have; one with more is refused."""
    arms: tuple[Arm, ...] = ("expert_iteration", "static_rft")
    """What is compared; the expert arm runs first and every other is compared with it. With a grid or variants the
    default is the expert arm alone."""
    seeds: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Pairs: seeds 0, 1, ... of every arm. Six can decide between two arms; each further arm needs more. A grid may
    have fewer: its table and maps then describe, and decide nothing."""
    yoked: bool = True
    """Replay the expert arm's schedule in the arms that can."""
    split: Split = "val"
    """Where generalisation is read."""
    family: str = ""
    """Family whose problems alone are read, to see when that one generalises; empty reads all of the split."""
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

    @field_validator("grid", mode="before")
    @classmethod
    def _lists_of_settings(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError(f"grid = {shown(value)} is not a table; write [grid] and lists of values by dotted key")
        found = dotted(value, "grid")
        for key, values in found.items():
            if not isinstance(values, list | tuple):
                raise ValueError(f"grid.{key} = {shown(values)} is not a list; write [{shown(values)}, ...]")
            if not values:
                raise ValueError(f"grid.{key} = [] has no values; give it some or leave it out")
            _of_the_study(key, "grid")
            texts = [shown(_whole(one)) for one in values]
            twice = next((text for text in texts if texts.count(text) > 1), None)
            if twice is not None:
                raise ValueError(f"grid.{key} holds {twice} twice; leave one out")
        return {key: tuple(map(_whole, values)) for key, values in found.items()}

    @field_validator("variants", mode="before")
    @classmethod
    def _named_settings(cls, value: Any) -> Any:
        found = {}
        for name, table in value.items() if isinstance(value, Mapping) else [("", value)]:
            if not isinstance(table, Mapping) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", str(name)):
                raise ValueError(
                    f"variants.{str(name)[:60]} is no named set of settings; write [variants.NAME] with a name of at "
                    f"most 40 letters, digits, '.', '-' or '_'"
                )
            if name in ARMS:
                raise ValueError(f"variants.{name} has the name of an arm; choose another")
            found[name] = dotted(table, f"variants.{name}", ("arm",))
            arm = found[name].get("arm", "expert_iteration")
            if arm not in ARMS:
                raise ValueError(f"variants.{name}.arm = {shown(arm)} does not exist; the arms are {', '.join(ARMS)}")
            for key in found[name].keys() - {"arm"}:
                _of_the_study(key, f"variants.{name}")
        return found

    @model_validator(mode="before")
    @classmethod
    def _expert_alone(cls, tree: Any) -> Any:
        """A sweep that names no arms is of the expert arm."""
        swept = isinstance(tree, Mapping) and (tree.get("grid") or tree.get("variants"))
        return {"arms": ["expert_iteration"], **tree} if swept else tree

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if len(set(self.arms)) < len(self.arms):
            raise ValueError(f"arms = {list(self.arms)} holds an arm twice; leave one out")
        if "expert_iteration" not in self.arms or len(self.groups) * size(self.grid) == 1:
            raise ValueError(
                f"arms = {list(self.arms)} must hold expert_iteration and one more to compare it with, a variant or a "
                f"grid of several values"
            )
        self._check_keys()
        runs = len(self.groups) * size(self.grid) * self.seeds
        if runs > self.max_runs:
            raise ValueError(
                f"the study has {self.count()}, more than max_runs = {self.max_runs}; take values or seeds out, or set "
                f"max_runs"
            )
        fewest = fewest_pairs(self.alpha, self.comparisons) if self.comparisons else 1
        if self.seeds < fewest and not self.grid:
            others = f"{self.comparisons} arm{'s' if self.comparisons > 1 else ''}"
            raise ValueError(
                f"seeds = {self.seeds} gives {self.seeds} pairs; with {others} beside the expert's the "
                f"adjusted p value cannot fall to {self.alpha:.3g} with fewer than {fewest}: set seeds to at least "
                f"{fewest}, and to the number that `axiom study --plan` shows for the difference you look for"
            )
        return self

    def _check_keys(self) -> None:
        """No setting of the grid is set elsewhere too: one of the two would say nothing."""
        for key in self.grid:
            if key in self.settings:
                raise ValueError(f"{key} is set in [settings] and in [grid]; leave one out")
            for name, changes in self.variants.items():
                if key in changes:
                    raise ValueError(f"{key} is set in [variants.{name}] and in [grid]; leave one out")

    @property
    def groups(self) -> dict[str, str]:
        """What is compared, arms and then variants, the expert arm first: its arm by its name."""
        arms = sorted(self.arms, key=lambda arm: arm != "expert_iteration")
        variants = {name: changes.get("arm", "expert_iteration") for name, changes in self.variants.items()}
        return {arm: arm for arm in arms} | variants

    def conditions(self) -> list[Condition]:
        """Every arm and variant in every cell of the grid, the expert arm of a cell first."""
        lone = len(self.groups) == 1
        return [
            Condition(
                group,
                arm,
                {key: value for key, value in self.variants.get(group, {}).items() if key != "arm"} | cell,
                cell,
                label("" if lone else group, cell, self.grid),
            )
            for cell in cells(self.grid)
            for group, arm in self.groups.items()
        ]

    def count(self) -> str:
        """How many runs there are and where the number comes from."""
        parts = [f"{len(self.groups)} arms and variants" if len(self.groups) > 1 else "1 arm"]
        parts += [f"{size(self.grid)} cells of the grid"] if self.grid else []
        parts += [f"{self.seeds} seed{'s' * (self.seeds > 1)}"]
        runs = len(self.groups) * size(self.grid) * self.seeds
        return f"{runs:,} runs ({' times '.join(parts)})"

    def compared(self) -> list[tuple[Condition, Condition]]:
        """In each cell of the grid the expert arm with every other; of a lone arm, the first cell with every other.

        Conditions that are measured on other problems are left out, as their times say nothing of each other. Where
        one family is read, the others may differ, and with them how many problems there are of all.
        """
        conditions, lone = self.conditions(), len(self.groups) == 1
        pairs = [(conditions[0] if lone else one, other) for one, other in _with_expert(conditions)]
        return [both for both in pairs if both[0] is not both[1] and self._measured_alike(*both)]

    def _measured_alike(self, first: Condition, second: Condition) -> bool:
        ours, theirs = ({**self.settings, **one.changes} for one in (first, second))
        differing = {key for key in MEASURED_ON if ours.get(key) != theirs.get(key)}
        if self.family and differing & set(TRAINED):
            differing -= {*OF_ALL_FAMILIES, "problems.ood_families"}
        return not differing

    @property
    def comparisons(self) -> int:
        """How many pairs of conditions are compared by their times."""
        return len(self.compared())

    @property
    def alpha(self) -> float:
        """The level of all comparisons together."""
        return 1.0 - self.confidence

    def reading(self) -> Reading:
        """How its runs are read."""
        return Reading(
            self.split, self.generalised_accuracy, self.clock, self.ledger_tolerance, self.confidence, self.family
        )

    def runs(self) -> list[str]:
        """Names of all runs."""
        return list(self.condition_of_run())

    def condition_of_run(self) -> dict[str, Condition]:
        """What each run is of, by its name."""
        return {
            run_name(self, one.group, seed, one.cell): one for one in self.conditions() for seed in range(self.seeds)
        }


def _with_expert(conditions: Sequence[Condition]) -> Iterator[tuple[Condition, Condition]]:
    """Each condition behind the expert arm of its cell."""
    expert = conditions[0]
    for one in conditions:
        expert = one if one.group == "expert_iteration" else expert
        yield expert, one


def _whole(value: Any) -> Any:
    """1.0 as 1, as a config reads it, so that a run's name does not depend on how its value was written."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST else value


def _of_the_study(key: str, where: str) -> None:
    if key in OF_A_RUN:
        raise ValueError(f"{where}.{key} is what the study itself sets in each run; leave it out")


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


def run_name(study: StudyConfig, group: str, seed: int, cell: Settings | None = None) -> str:
    """Folder of one run: of an arm or variant, in a cell of the grid."""
    return run_name_of(study.name, group, cell_name(cell or {}, study.grid), seed)


def plan(study: StudyConfig, seed: int) -> list[ExperimentConfig]:
    """The runs of one seed in the order they must happen: in each cell the expert arm, then those that replay it.

    Raises ConfigError for a mistake in the preset or in the study's settings, and for two conditions that are one.
    """
    from axiom.learners import check_engine, training_problems
    from axiom.problems import check_families
    from axiom.selection.checks import check_reached, check_selection

    configs = []
    for one in study.conditions():
        configs.append(_config_of(study, one, seed))
        check_families(configs[-1].problems)
        check_selection(configs[-1], training_problems(configs[-1]))
        check_reached(configs[-1])
        check_engine(configs[-1])
        _refuse_resting(study, configs[-1])
        _check_readable(study, configs[-1])
    _refuse_twins(study, configs)
    return configs


def _config_of(study: StudyConfig, one: Condition, seed: int) -> ExperimentConfig:
    from axiom.selection import arms

    replays = study.yoked and arms.ARMS[one.arm].yoked
    changed = {**study.settings, **one.changes} | {
        "name": run_name(study, one.group, seed, one.cell),
        "arm": one.arm,
        "seed": seed,
        "yoke": run_name(study, "expert_iteration", seed, one.cell) if replays else "",
    }
    try:
        return load_config(study.preset, (), **changed)
    except ConfigError as error:
        if not one.changes:
            raise
        raise ConfigError(f"study {study.name!r}, {one.label}: {error}") from None


def _refuse_twins(study: StudyConfig, configs: Sequence[ExperimentConfig]) -> None:
    """Two conditions that compute the same would be compared with each other as if they differed.

    So would two cells of the grid in which nothing differs. An arm may be the same in two cells where another differs.
    """
    made = list(zip(study.conditions(), configs, map(hash_json, map(computing, configs)), strict=True))
    width, known = len(study.groups), dict[tuple[str, ...], Condition]()
    for start in range(0, len(made), width):
        cell = made[start : start + width]
        first, config, _ = cell[0]
        twin = known.setdefault(tuple(digest for *_, digest in cell), first)
        if twin is not first:
            raise _no_difference(study, first, twin, config)
        alike: dict[str, Condition] = {}
        for one, config, digest in cell:
            twin = alike.setdefault(digest, one)
            if twin is not one:
                raise _no_difference(study, one, twin, config)


def _no_difference(study: StudyConfig, one: Condition, twin: Condition, config: ExperimentConfig) -> ConfigError:
    keys = [key for key in {**twin.changes, **one.changes} if twin.changes.get(key) != one.changes.get(key)]
    why = next((f"{told} {key}" for key in keys if (told := unread(config, key))), "its values are set already")
    what = f"grid.{keys[0]}" if twin.group == one.group and keys else f"variants.{one.group}"
    return ConfigError(
        f"study {study.name!r}: {what} changes nothing, so that {one.label} would be {twin.label} again ({why}); give "
        f"it other values or leave it out"
    )


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
    if problems.ood_families and not problems.ood_size and config.model.kind == "language":
        raise ConfigError(
            f"study {study.name!r} names problems.ood_families = {list(problems.ood_families)} and measures none of "
            f"them with problems.ood_size = 0; set problems.ood_size"
        )
    if study.family and study.family not in config.families:
        raise ConfigError(
            f"study {study.name!r} reads family = {study.family!r}, which {config.name} does not train; name one of "
            f"{', '.join(config.families)}"
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
