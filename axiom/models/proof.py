"""Which of axiom's quick parts a run may put in the place of a model's own, as a probe has found.

The trainer packs sequences, fuses norms and adapted layers and takes the loss from hidden states; the sampler keeps the
cache in slots. A part is used where it was just shown to compute what the model's own code computes; where it was not,
the model's own code runs. What no way computes is refused before a run writes anything.
"""

import hashlib
import importlib.metadata
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from axiom.config import ModelConfig, SamplingConfig, TrainingConfig
from axiom.content import write_whole
from axiom.errors import ConfigError
from axiom.models import cache_dir, fingerprint, resolve_device, resolve_model

Way = Literal["slots", "cache", "recompute"]
"""Where the sampler has the keys and values of earlier tokens: in its own cache, in the model's, or nowhere."""
LONGEST_PROMPT = 1024
"""Tokens of a prompt that the probe reckons with; with `sampling.max_new_tokens` they bound a sampled sequence."""
CODE = (
    "models/attention.py",
    "models/weights.py",
    "learners/probe.py",
    "models/proof.py",
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


@dataclass(frozen=True)
class TrainPath:
    """How a pass is computed."""

    packed: bool = True
    """Several sequences in one pass, with axiom's attention; else each by itself with the model's own."""
    own_head: bool = False
    """The model's own logits; else the loss comes from hidden states and the output weights."""
    fused: bool = True
    """Adapted layers and norms as axiom computes them, each where it is of the kind that is known."""
    captured: bool = True
    """Passes on a GPU are captured and replayed."""
    longest: int = 0
    """Attention must hold for sequences of this many tokens, whatever a pass contains."""


QUICK = TrainPath()
OWN = TrainPath(packed=False, own_head=True, fused=False, captured=False)


class Proof(BaseModel, frozen=True):
    """What the probe of a model has found, for its trainer or for its sampler."""

    path: TrainPath | None = None
    """How the trainer computes its passes."""
    way: Way | None = None
    """How the sampler decodes."""
    without: tuple[str, ...] = ()
    """What the run goes without, why, and what that costs; one sentence each."""
    refused: str | None = None
    """Why no way is right, with the next step."""

    def checked(self) -> "Proof":
        """The proof itself. Raises ConfigError where the model is refused."""
        if self.refused:
            raise ConfigError(self.refused)
        return self


def prove(model: ModelConfig, training: TrainingConfig | None, sampling: SamplingConfig | None) -> list[Proof]:
    """The proofs for training and for sampling with these settings, those that are asked for.

    They come from the cache, else from a probe, which opens the model once for both.
    """
    wanted: list[TrainingConfig | SamplingConfig] = [section for section in (training, sampling) if section is not None]
    files = [cache_dir() / "proofs" / f"{_key(model, section)}.json" for section in wanted]
    if all(file.is_file() for file in files):
        return [Proof.model_validate_json(file.read_bytes()) for file in files]
    from axiom.learners.probe import probe

    found = probe(model, training, sampling)
    for file, proof in zip(files, found, strict=True):
        write_whole(file, proof.model_dump_json(indent=1))
    return found


def longest(section: TrainingConfig | SamplingConfig) -> int:
    """Tokens of the longest sequence that may come."""
    return section.max_length if isinstance(section, TrainingConfig) else LONGEST_PROMPT + section.max_new_tokens


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
