"""Arms × paired seeds to a verdict: `config` what runs, `outcome` one run observed, `compare` the statistics."""

from axiom.study.compare import Comparison, by_arm, check_arms, compare, compare_arms, compare_study, gather, paragraphs
from axiom.study.config import Reading, StudyConfig, load_study, plan, run_name
from axiom.study.outcome import Outcome, read, stable_from
from axiom.study.results import Study, measurements

__all__ = [
    "Comparison",
    "Outcome",
    "Reading",
    "Study",
    "StudyConfig",
    "by_arm",
    "check_arms",
    "compare",
    "compare_arms",
    "compare_study",
    "gather",
    "load_study",
    "measurements",
    "paragraphs",
    "plan",
    "read",
    "run_name",
    "stable_from",
]
