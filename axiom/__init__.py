"""axiom: controlled experiments on verified self-improvement of code models.

The public names below are loaded when they are first used, so that `import axiom` is quick; none of them loads torch.

    Experiment          a run on disk; `Experiment.open(root, name).frame("verdicts", 3)` is a table as a Polars frame
    Study               the finished runs of a study, their outcomes and the comparison of arms
    load_config         the settings of an experiment, from a preset and changes to it
    generate_splits     the problems of every split, held out from each other
    verify              programs on hidden cases, in the sandbox
    evaluate            verdicts to one row a problem
    read_curve, Curve   accuracy over a run, from a file or from arrays
    detect              the kind of a curve: grokking, concurrent, gradual, ...; when it memorised and generalised
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from axiom.config import load_config
    from axiom.evaluation import evaluate
    from axiom.experiment import Experiment
    from axiom.grokking import Curve, detect, read_curve
    from axiom.problems import generate_splits
    from axiom.study import Study
    from axiom.verification import verify

__version__ = "0.1.0"
__all__ = [
    "Curve",
    "Experiment",
    "Study",
    "detect",
    "evaluate",
    "generate_splits",
    "load_config",
    "read_curve",
    "verify",
]

_HOMES = {
    "Curve": "axiom.grokking",
    "Experiment": "axiom.experiment",
    "Study": "axiom.study",
    "detect": "axiom.grokking",
    "evaluate": "axiom.evaluation",
    "generate_splits": "axiom.problems",
    "load_config": "axiom.config",
    "read_curve": "axiom.grokking",
    "verify": "axiom.verification",
}


if not TYPE_CHECKING:  # a type checker would take any name for one that is there

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(__all__)}")
        globals()[name] = found = getattr(import_module(_HOMES[name]), name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
