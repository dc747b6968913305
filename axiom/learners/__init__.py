"""What learns: a language model or the small modular-addition network, behind one interface."""

from axiom.learners.language import (
    LanguageLearner,
    Learner,
    check,
    check_engine,
    make_problems,
    open_learner,
    training_problems,
)

__all__ = [
    "LanguageLearner",
    "Learner",
    "check",
    "check_engine",
    "make_problems",
    "open_learner",
    "training_problems",
]
