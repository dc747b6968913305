"""Does the engine answer with the policy that it was given?

The engine's log-probabilities of tokens that it drew are compared with those of the trainer's model. Both are of
temperature 1, whatever the tokens were drawn at. Axes: T drawn tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from axiom.sampling import Trace

TRACED = 4
"""Completions of a sampling, from each engine, whose tokens are compared."""
ROUNDING = {"float32": 1e-3, "bfloat16": 2e-2}
"""Mean difference that two kernels of one model have anyway; policies no further apart cannot be told apart."""
LIMIT = {"float32": 1e-2, "bfloat16": 0.25}
"""Mean difference that rounding does not reach: logits between 16 and 32 are 0.125 apart in bfloat16, so that rounding
two of them moves a log-probability by 0.05, and by less where it is near 0."""
INFORMATIVE = 4.0
"""Tokens tell two policies apart whose log-probabilities differ by so many times the usual rounding."""
LEAST_INFORMATIVE = 16
SHARES = (0.6, 1.6)
"""Part of the step from another policy to the right one that the engine may show; rounding moved it by up to 0.2."""


@dataclass(frozen=True)
class Mismatch:
    """How far the engine's log-probabilities are from the trainer's, in nats."""

    tokens: int
    mean: float
    """Of the absolute difference of a token."""
    highest: float
    kl: float
    """Estimate of KL(engine || trainer) for a token, from tokens drawn at temperature 1 without top_p."""


def measure(engine_T: np.ndarray, trainer_T: np.ndarray) -> Mismatch:
    """The mismatch over the tokens that the trainer has scored; the others have nan.

    The divergence is Schulman's estimator k3, exp(d) - 1 - d with d = trainer - engine: never negative and of little
    variance (Schulman 2020, "Approximating KL divergence").
    """
    ahead_T = (trainer_T - engine_T)[~np.isnan(trainer_T)]
    apart_T = np.abs(ahead_T)
    kl = float((np.expm1(np.minimum(ahead_T, 50.0)) - ahead_T).mean())
    return Mismatch(len(ahead_T), float(apart_T.mean()), float(apart_T.max()), kl)


def share_in_force(engine_T: np.ndarray, right_T: np.ndarray, other_T: np.ndarray, rounding: float) -> float | None:
    """Of the step from another policy to the right one, how much the engine shows: 1 is all of it, 0 the other policy.

    It is a median over the tokens that tell the two apart, by `INFORMATIVE` times what a first share, of the tokens
    furthest apart, leaves unexplained. None where there are too few, and where the share leaves as much of these tokens
    themselves unexplained: rounding is uneven, and after a small step those furthest apart may be the worst rounded.
    """
    known_T = ~np.isnan(right_T)
    shown_T, step_T = (engine_T - other_T)[known_T], (right_T - other_T)[known_T]
    apart_T = np.abs(step_T)
    furthest = np.argsort(-apart_T)[: max(LEAST_INFORMATIVE, len(apart_T) // 4)]
    if len(furthest) < LEAST_INFORMATIVE or apart_T[furthest].min() == 0:
        return None
    first = np.median(shown_T[furthest] / step_T[furthest])
    telling_T = apart_T > max(INFORMATIVE * np.median(np.abs(shown_T - first * step_T)), rounding)
    if telling_T.sum() < LEAST_INFORMATIVE:
        return None
    share = float(np.median(shown_T[telling_T] / step_T[telling_T]))
    left = np.median(np.abs(shown_T - share * step_T)[telling_T])
    return share if INFORMATIVE * left <= np.median(apart_T[telling_T]) else None


def wrong(engine_T: np.ndarray, right_T: np.ndarray, others: dict[str, np.ndarray], dtype: str) -> str | None:
    """Why the engine's weights cannot be the right ones, from scores of other policies by name; None if they can."""
    mean = measure(engine_T, right_T).mean
    for name, other_T in others.items():
        share = share_in_force(engine_T, right_T, other_T, ROUNDING[dtype])
        if share is not None and not SHARES[0] <= share <= SHARES[1]:
            return f"and they show {share:.0%} of the step from {name} to it"
    if mean > LIMIT[dtype]:
        return f"and rounding to {dtype} stays below {LIMIT[dtype]:g}"
    return None


def logprobs(traces: Sequence[Trace]) -> np.ndarray:
    """The engine's log-probabilities `T` of all tokens, trace after trace."""
    return np.array([value for trace in traces for value in trace.logprobs])
