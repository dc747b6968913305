"""A study's finished runs: their outcomes, the comparison of arms, and both as data frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from axiom.commands import DEFAULT_ROOT
from axiom.errors import DataError
from axiom.evaluation import pooled_greedy
from axiom.experiment import Experiment
from axiom.study.compare import Comparison, check_arms, compare_arms, compare_study, gather, gather_study
from axiom.study.config import Reading, StudyConfig, load_study
from axiom.study.forks import compare_forks, gather_forks, has_fork
from axiom.study.outcome import Outcome

if TYPE_CHECKING:
    import polars as pl

_OF_A_RUN = ("name", "arm", "group", "seed", "yoke", "time", "observed", "horizon", "kind", "final_accuracy")


@dataclass(frozen=True)
class Study:
    """Finished runs of two arms or more, and how they are read.

    `runs` are names of experiments under `root`. The times of its outcomes are in the unit of `reading.clock`.
    """

    name: str
    runs: tuple[str, ...]
    reading: Reading = field(default_factory=Reading)
    root: str = DEFAULT_ROOT
    config: StudyConfig | None = field(default=None, init=False)
    """What the study's file says, where `load` read one."""
    left_out: dict[str, str] | None = field(default=None, init=False)
    """Runs that `arms` found unfinished, with why, of a study that was loaded `partly`."""

    @classmethod
    def load(cls, path: str | Path, root: str = DEFAULT_ROOT, partly: bool = False) -> "Study":
        """The runs of a study: a TOML file, or the name of a study that comes with axiom.

        With `partly`, runs that are not finished are left out, and the rest is shown but not compared. Raises
        ConfigError with one sentence when the file is missing or breaks a rule. Its runs need not exist yet.
        """
        config = load_study(Path(path))
        study = cls(config.name, tuple(config.runs()), config.reading(), root)
        object.__setattr__(study, "config", config)  # not an argument: runs and reading follow from it
        object.__setattr__(study, "left_out", {} if partly else None)
        return study

    @cached_property
    def arms(self) -> dict[str, list[Outcome]]:
        """Each arm's outcomes by seed, the expert arm first; of a study with variants or a grid each condition's.

        Raises ConfigError for a run that does not exist, and DataError for one that is unfinished or that differs from
        the others in more than arm and seed.
        """
        if self.config is not None:
            return gather_study(self.root, self.config, self.left_out)
        if self._forks:
            return gather_forks(self._forks, self.reading)
        return gather(self.root, self.runs, self.reading)

    @cached_property
    def _forks(self) -> "list[Experiment]":
        """The runs, where forks are compared."""
        if self.config is not None:
            return []
        runs = [Experiment.open(self.root, name) for name in dict.fromkeys(self.runs)]
        return runs if has_fork(runs) else []

    def compare(self) -> list[Comparison]:
        """The expert arm (else the first) compared with each other arm over paired seeds; forks by their common stem.

        Raises DataError for a single arm, for arms without a common seed, for too few pairs, and where runs were left
        out: which of them end first may depend on how they went.
        """
        arms = self.arms
        if self.left_out:
            raise DataError(
                f"{len(self.left_out)} of {len(self.runs)} runs are not finished, so the others are shown and nothing "
                f"is compared; the first: {next(iter(self.left_out.values()))}"
            )
        if self.config is not None:
            return compare_study(self.config, arms)
        if self._forks:
            check_arms(arms)
            return compare_forks(self._forks, arms, self.reading)
        return compare_arms(arms, self.reading)

    def outcomes(self) -> "pl.DataFrame":
        """One row a run: name, arm, group, seed, yoke, time, observed, horizon, kind, final_accuracy.

        `group` is what it is compared as. `time` is when the run generalised for good, or its horizon where `observed`
        is false: it never did.
        """
        import polars as pl

        runs = [run for group in self.arms.values() for run in group]
        return pl.DataFrame([{name: getattr(run, name) for name in _OF_A_RUN} for run in runs])

    def measurements(self) -> "pl.DataFrame":
        """Pooled greedy accuracy of every run at every evaluation, with its interval and its cost until then."""
        return measurements(self.arms)


def measurements(arms: Mapping[str, Sequence[Outcome]]) -> "pl.DataFrame":
    """As `Study.measurements`."""
    import polars as pl

    return pl.DataFrame(
        [
            {
                "run": run.name,
                "arm": run.group,
                "seed": run.seed,
                **row.model_dump(exclude={"family", "difficulty", "name"}),
            }
            for group in arms.values()
            for run in group
            for row in pooled_greedy(run.metrics)
        ]
    )
