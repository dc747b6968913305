"""The level of a round, for the stages that go by it."""

from axiom.experiment.ledger import Schedule
from axiom.experiment.running import Runtime
from axiom.records import History
from axiom.selection.curriculum import BY_LEVEL, Course, course_of
from axiom.store import Handle


def course(run: Runtime, history: Handle | None, iteration: int) -> Course | None:
    """The course of the round, None for a run without levels. A yoked run has the level of its expert's round.

    `history` is that of the round before.
    """
    config = run.config
    if config.curriculum.kind not in BY_LEVEL:
        return None
    rows = run.experiment.stages.read(history.folder, "history", History) if history else []
    given = Schedule(run.experiment.root, config.yoke).level(iteration) if config.yoke else None
    return course_of(config.curriculum, run.experiment.problems["train"], rows, iteration, given)
