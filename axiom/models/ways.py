"""The ways to train and to sample: axiom's quick parts, or the model's own code in their place.

The trainer packs sequences, fuses norms and adapted layers and takes the loss from hidden states; the sampler keeps the
cache in slots. A part may be used where a probe (`axiom.learners.proof`) has shown it to compute what the model's own
code computes.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from axiom.config import SamplingConfig, TrainingConfig
from axiom.errors import ConfigError

Way = Literal["slots", "cache", "recompute"]
"""Where the sampler has the keys and values of earlier tokens: in its own cache, in the model's, or nowhere."""
LONGEST_PROMPT = 1024
"""Tokens of a prompt that the probe reckons with; with `sampling.max_new_tokens` they bound a sampled sequence."""


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


def longest(section: TrainingConfig | SamplingConfig) -> int:
    """Tokens of the longest sequence that may come."""
    return section.max_length if isinstance(section, TrainingConfig) else LONGEST_PROMPT + section.max_new_tokens
