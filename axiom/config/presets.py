"""The presets and studies that come with axiom, and the files of a Prefect installation beside them."""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PACKAGE = Path(__file__).parents[1]
SHIPPED = PACKAGE / "deployments"
Kind = Literal["preset", "study", "Prefect", "systemd", "containers", "slurm"]


@dataclass(frozen=True)
class Preset:
    """A file that comes with axiom."""

    name: str
    """What a command takes: a TOML file's name without the suffix, another file's whole name."""
    kind: Kind
    file: Path
    summary: str
    """The first line of its comment."""


def presets() -> list[Preset]:
    """Everything that comes with axiom: presets by name, then studies, then the files for a server."""
    tables = [_described(file, _kind(file), file.stem) for file in sorted(SHIPPED.glob("*.toml"))]
    tables.sort(key=lambda one: one.kind)
    prefect = [_described(file, "Prefect", file.name) for file in sorted(PACKAGE.glob("prefect.*"))]
    folders: tuple[Kind, ...] = ("systemd", "containers", "slurm")
    others = [_described(file, kind, file.name) for kind in folders for file in sorted((SHIPPED / kind).iterdir())]
    return [*tables, *prefect, *others]


def find_preset(path: str | Path, folder: Path = Path()) -> Path:
    """The file that `path` names: a file relative to `folder`, else the preset or study of that name.

    A bare name `modular` is first `modular.toml` in `folder`, so that a copy made there is the one that counts, and
    then the preset that comes with axiom. A path that names none of these is returned as it is.
    """
    given = folder / path
    if os.path.isfile(given) or Path(path).name != str(path):
        return given
    name = f"{str(path).removesuffix('.toml')}.toml"
    places = (place / name for place in (folder, SHIPPED))
    return next((place for place in places if os.path.isfile(place)), given)


def _kind(file: Path) -> Literal["preset", "study"]:
    return "study" if "preset" in tomllib.loads(file.read_text(encoding="utf-8")) else "preset"


def _described(file: Path, kind: Kind, name: str) -> Preset:
    lines = file.read_text(encoding="utf-8").splitlines()
    first = next(line for line in lines if not line.startswith("#!"))
    return Preset(name, kind, file, first.removeprefix("#").strip())
