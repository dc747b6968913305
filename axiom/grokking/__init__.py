"""Curves to phases: did validation jump long after training was memorised, when, and how surely?

`curve` is the input, checked, `table` the files it is read from; `fit` one binomial step, over-dispersion and its
posterior, `path` a curve as a chain of them; `jump` says what a jump is; `phases` is the verdict on a whole run,
`alarm` the one while it runs, `watch` both as a curve grows; `slices` the curves of one run; `rules` the original rule
and the literature's, for comparison.
"""

from axiom.grokking.alarm import OnlineAlarm as OnlineAlarm, alarms as alarms
from axiom.grokking.curve import MIN_EVALUATIONS as MIN_EVALUATIONS, Curve as Curve, check_curve as check_curve
from axiom.grokking.phases import (
    Phases as Phases,
    Step as Step,
    detect as detect,
    events as events,
    memorised_at as memorised_at,
)
from axiom.grokking.rules import literature as literature, naive as naive
from axiom.grokking.slices import from_nothing as from_nothing, slices as slices, unsolved as unsolved
from axiom.grokking.table import is_table as is_table, read_curve as read_curve
from axiom.grokking.watch import Watch as Watch
