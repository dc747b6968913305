"""Samples to verdicts: each program on its problem's hidden cases, in the sandbox."""

from axiom.verification.verify import AnswersOnly, Candidate, CandidateVerdict, Verifier, answer_verdict, verify_samples

__all__ = [
    "AnswersOnly",
    "Candidate",
    "CandidateVerdict",
    "Verifier",
    "answer_verdict",
    "verify_samples",
]
