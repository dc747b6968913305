"""What learns: a language model or the small network of modular arithmetic, behind one interface."""

from axiom.learners.language import (
    LanguageLearner as LanguageLearner,
    Learner as Learner,
    check as check,
    check_engine as check_engine,
    make_problems as make_problems,
    open_learner as open_learner,
    training_problems as training_problems,
)
