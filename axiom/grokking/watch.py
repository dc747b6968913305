"""The verdict on a curve that grows, at a cost for each evaluation that does not grow with it."""

from axiom.config import DetectionConfig
from axiom.grokking.alarm import OnlineAlarm
from axiom.grokking.curve import Curve
from axiom.grokking.phases import Phases, detect, events
from axiom.records import Event

RENEWED = 100
"""The phases are fitted again when the curve has grown by a hundredth: at each of the first hundred evaluations."""


class Watch:
    """Alarms at every evaluation, each weighed once; phases as often as they can have changed much."""

    def __init__(self, config: DetectionConfig | None = None) -> None:
        self.config = config or DetectionConfig()
        self.alarm = OnlineAlarm(self.config)
        self.phases = Phases("undetermined", 0, "no evaluation so far")

    def read(self, curve: Curve, whole: bool = False) -> None:
        """Take in the curve, which may only have grown since it was read last; `whole` judges all of it at once."""
        self.alarm.read(curve)
        new = len(curve) - self.phases.evaluations
        if new and (whole or new * RENEWED >= len(curve)):
            self.phases = detect(curve, self.config)

    def events(self) -> list[Event]:
        """What was seen so far, in time."""
        return sorted([*events(self.phases), *self.alarm.events], key=lambda event: event.iteration)
