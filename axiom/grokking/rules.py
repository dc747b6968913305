"""Simpler rules, kept for comparison: the original experiment's, and the one of the grokking literature."""

import numpy as np

from axiom.config import DetectionConfig
from axiom.grokking.curve import Curve

LITERATURE_ACCURACY = 0.9
LITERATURE_DELAY = 0.01


def naive(curve: Curve, config: DetectionConfig | None = None) -> int | None:
    """Index of the first evaluation at which the original rule fires, None if it never does.

    It compares mean validation accuracy of the last `grokking_window` evaluations with that of the window before.
    """
    config = config or DetectionConfig()
    window = config.grokking_window
    if len(curve) < 2 * window:
        return None
    means = np.convolve(curve.val_accuracy, np.ones(window) / window, "valid")
    fired = np.flatnonzero(means[window:] - means[:-window] > config.grokking_threshold)
    return int(fired[0]) + 2 * window - 1 if len(fired) else None


def literature(curve: Curve) -> int | None:
    """Index of the first validation accuracy above 90 % if it comes late after train accuracy did, else None.

    Late is more than 1 % of the run, as in Liu et al. 2022, "Towards Understanding Grokking", table 1
    (10^3 of 10^5 steps).
    """
    train = np.flatnonzero(curve.train_accuracy > LITERATURE_ACCURACY)
    val = np.flatnonzero(curve.val_accuracy > LITERATURE_ACCURACY)
    if not len(train) or not len(val):
        return None
    late = val[0] - train[0] > LITERATURE_DELAY * (len(curve) - 1)
    return int(val[0]) if late else None
