"""Samples to verdicts: each program on its problem's hidden cases, in the sandbox."""

from axiom.verification.rows import verify as verify
from axiom.verification.verifier import (
    Candidate as Candidate,
    CandidateVerdict as CandidateVerdict,
    Verifier as Verifier,
    answer_verdict as answer_verdict,
    verify_samples as verify_samples,
)
