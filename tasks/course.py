"""The level of a round, for the stages that go by it."""

from axiom.experiment.ledger import Schedule
from axiom.experiment.running import Runtime
from axiom.records import History
from axiom.selection.curriculum import BY_LEVEL, Course, course_of, joined
from axiom.store import Handle


def course(run: Runtime, history: Handle | None, iteration: int) -> Course | None:
    """The course of the round, None for a run without levels and joining families.

    A yoked run has the level of its expert's round.

    `history` is that of the round before.
    """
    config, problems = run.config.curriculum, run.experiment.problems["train"]
    level = None
    if config.kind in BY_LEVEL:
        rows = run.experiment.stages.read(history.folder, "history", History) if history else []
        yoke = run.config.yoke
        given = Schedule(run.experiment.root, yoke).level(iteration) if yoke else None
        level = course_of(config, problems, rows, iteration, given)
    return joined(level, config.joins, problems, iteration)
