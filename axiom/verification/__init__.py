"""Samples to verdicts: each program on its problem's hidden cases, in the sandbox."""

from axiom.verification.rows import verify
from axiom.verification.verifier import (
    AnswersOnly,
    Candidate,
    CandidateVerdict,
    Verifier,
    answer_verdict,
    verify_samples,
)

__all__ = [
    "AnswersOnly",
    "Candidate",
    "CandidateVerdict",
    "Verifier",
    "answer_verdict",
    "verify",
    "verify_samples",
]
