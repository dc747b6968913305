"""Curves to phases: did validation jump long after training was memorised, when, and how surely?

`curve` is the input, checked; `fit` the binomial steps, over-dispersion and their posterior; `phases` the verdict
on a whole run and `alarm` the one while it runs; `slices` the curves of one run; `rules` the original
rule and the literature's, for comparison.
"""

from axiom.grokking.alarm import OnlineAlarm, alarms
from axiom.grokking.curve import MIN_EVALUATIONS, Curve, check_curve, read_csv
from axiom.grokking.phases import Phases, Step, detect, events, memorised_at
from axiom.grokking.rules import literature, naive
from axiom.grokking.slices import slices, unsolved

__all__ = [
    "MIN_EVALUATIONS", "Curve", "OnlineAlarm", "Phases", "Step", "alarms", "check_curve", "detect", "events",
    "literature", "memorised_at", "naive", "read_csv", "slices", "unsolved",
]  # fmt: skip
