"""Which of axiom's quick parts a run may put in the place of a model's own, as a probe has found.

A part is used where it was just shown to compute what the model's own code computes; where it was not, the model's own
code runs. What no way computes is refused before a run writes anything.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from axiom.config import ModelConfig, SamplingConfig, TrainingConfig
from axiom.content import alone, write_whole
from axiom.models import cache_dir, fingerprint, free_memory, resolve_device, resolve_model
from axiom.models.ways import OWN, Proof, TrainPath, Way, longest

CODE = (
    "models/attention.py",
    "models/weights.py",
    "learners/probe.py",
    "models/ways.py",
    "models/merging.py",
    "sampling/transformers.py",
    "sampling/slots.py",
    "sampling/choice.py",
    "training/passes.py",
    "training/lowrank.py",
    "training/lora.py",
    "training/loss.py",
    "training/batches.py",
)
"""What a proof is a proof of; a change of any of these files makes every proof void."""


def prove(model: ModelConfig, training: TrainingConfig | None, sampling: SamplingConfig | None) -> list[Proof]:
    """The proofs for training and for sampling with these settings, those that are asked for.

    They come from the cache, else from a probe, which opens the model once for both. Of processes that start together
    one probes, and the others wait for what it finds.
    """
    wanted: list[TrainingConfig | SamplingConfig] = [section for section in (training, sampling) if section is not None]
    files = [cache_dir() / "proofs" / f"{_key(model, section)}.json" for section in wanted]
    known = _known(files)
    if known is not None:
        return known
    with alone(files[0].with_suffix(".lock")):
        known = _known(files)
        if known is not None:
            return known
        from axiom.learners.probe import probe

        found = probe(model, training, sampling)
        free_memory()
        for file, proof in zip(files, found, strict=True):
            write_whole(file, proof.model_dump_json(indent=1))
        return found


def _known(files: Sequence[Path]) -> list[Proof] | None:
    if not all(file.is_file() for file in files):
        return None
    return [Proof.model_validate_json(file.read_bytes()) for file in files]


def train_path(model: ModelConfig, training: TrainingConfig) -> TrainPath:
    """How passes of this model may be computed. Raises ConfigError where no way is right."""
    (proof,) = prove(model, training, None)
    return proof.checked().path or OWN


def decode_way(model: ModelConfig, sampling: SamplingConfig) -> Way:
    """How transformers may decode this model. Raises ConfigError where no way is right."""
    (proof,) = prove(model, None, sampling)
    return proof.checked().way or "recompute"


def _key(model: ModelConfig, section: TrainingConfig | SamplingConfig) -> str:
    folder = resolve_model(model.path)
    subject = {
        "model": fingerprint(folder),
        "longest": longest(section),
        "code": _code(),
        "device": _device(model),
        "purpose": type(section).__name__,
        "packages": {name: importlib.metadata.version(name) for name in ("torch", "transformers", "peft")},
    }
    if isinstance(section, TrainingConfig):
        subject |= {"targets": section.target_modules, "dropout": section.lora_dropout > 0}
    return hashlib.sha256(json.dumps(subject, sort_keys=True).encode()).hexdigest()[:24]


@lru_cache(maxsize=1)
def _code() -> str:
    here = Path(__file__).parents[1]
    return hashlib.sha256(b"".join((here / name).read_bytes() for name in CODE)).hexdigest()


def _device(model: ModelConfig) -> str:
    """Where and in what numbers the probe computes; on a CPU always in float32, which shows more."""
    device = resolve_device(model)
    if device == "cpu":
        return device
    import torch

    return f"{torch.cuda.get_device_name()} {model.dtype}"
