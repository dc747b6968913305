"""Curves to phases: did validation jump long after training was memorised, when, and how surely?

`curve` is the input, checked, `table` the files it is read from; `fit` one binomial step, over-dispersion and its
posterior, `path` a curve as a chain of them; `jump` says what a jump is; `phases` is the verdict on a whole run,
`alarm` the one while it runs, `watch` both as a curve grows; `slices` the curves of one run; `rules` the original rule
and the literature's, for comparison.
"""

from axiom.grokking.alarm import OnlineAlarm, alarms
from axiom.grokking.curve import MIN_EVALUATIONS, Curve, check_curve
from axiom.grokking.phases import Phases, Step, detect, events, memorised_at
from axiom.grokking.rules import literature, naive
from axiom.grokking.slices import from_nothing, slices, unsolved
from axiom.grokking.table import is_table, read_curve
from axiom.grokking.watch import Watch

__all__ = [
    "MIN_EVALUATIONS",
    "Curve",
    "OnlineAlarm",
    "Phases",
    "Step",
    "Watch",
    "alarms",
    "check_curve",
    "detect",
    "events",
    "from_nothing",
    "is_table",
    "literature",
    "memorised_at",
    "naive",
    "read_curve",
    "slices",
    "unsolved",
]
