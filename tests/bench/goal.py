"""Goals of the measurements."""

from dataclasses import dataclass


@dataclass
class Goal:
    """A goal, the measured value, and whether the goal is met."""

    aim: str
    measured: str
    met: bool
