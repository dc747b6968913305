"""Arms × paired seeds to a verdict: `config` what runs, `outcome` one run observed, `compare` the statistics."""

from axiom.study.compare import Comparison, by_arm, compare
from axiom.study.config import MIN_PAIRS, StudyConfig, load_study, plan, run_name
from axiom.study.outcome import Outcome, read, stable_from

__all__ = [
    "MIN_PAIRS", "Comparison", "Outcome", "StudyConfig", "by_arm", "compare", "load_study", "plan", "read", "run_name",
    "stable_from",
]  # fmt: skip
