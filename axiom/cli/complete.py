"""What a shell offers after TAB: names of experiments and of presets. `axiom --install-completion` sets it up."""

import typer

from axiom.commands import DEFAULT_ROOT


def experiments(context: typer.Context, incomplete: str) -> list[str]:
    """The experiments under the root that the command line names so far."""
    from axiom.experiment import experiment_names

    return _beginning(experiment_names(context.params.get("root") or DEFAULT_ROOT), incomplete)


def presets(incomplete: str) -> list[str]:
    """The presets that come with axiom."""
    return _of_kind("preset", incomplete)


def studies(incomplete: str) -> list[str]:
    """The studies that come with axiom."""
    return _of_kind("study", incomplete)


def _of_kind(kind: str, incomplete: str) -> list[str]:
    from axiom.config.presets import presets as known

    return _beginning([one.name for one in known() if one.kind == kind], incomplete)


def _beginning(names: list[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
