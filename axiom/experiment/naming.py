"""Names with a place to fill in: `{date}` is the day, `{n}` the next number, so that each run of a schedule is new."""

import re
from collections.abc import Sequence
from datetime import datetime

from axiom.config import ExperimentConfig, override
from axiom.config.schema import PLACES
from axiom.experiment.folder import experiment_names

_PATTERNS = {"{date}": r"\d{4}-\d\d-\d\d", "{n}": r"\d+"}


def settled(config: ExperimentConfig, root: str, day: datetime, known: Sequence[str] = ()) -> ExperimentConfig:
    """`config` under a name without places: `{date}` is that of `day`, `{n}` one more than the highest under `root`.

    A name among `known` that fits is taken as it is: a run that is retried goes on with its own experiment.
    """
    name = config.name
    if not any(place in name for place in PLACES):
        return config
    kept = next((other for other in known if _pattern(name).fullmatch(other)), None)
    if kept is None:
        dated = name.replace("{date}", f"{day:%Y-%m-%d}")
        numbers = (
            [int(found["n"]) for other in experiment_names(root) if (found := _pattern(dated).fullmatch(other))]
            if "{n}" in dated
            else []
        )
        kept = dated.replace("{n}", str(max(numbers, default=0) + 1))
    return override(config, name=kept)


def _pattern(name: str) -> "re.Pattern[str]":
    """What a name becomes, as a regular expression; a second `{n}` repeats the first."""
    parts, seen = [], set[str]()
    for part in re.split(r"(\{date\}|\{n\})", name):
        key = part.strip("{}")
        if part not in _PATTERNS:
            parts.append(re.escape(part))
        else:
            parts.append(f"(?P={key})" if part in seen else f"(?P<{key}>{_PATTERNS[part]})")
            seen.add(part)
    return re.compile("".join(parts))
