"""What is aimed at."""

from dataclasses import dataclass


@dataclass
class Goal:
    """What is aimed at, what was measured, and whether that is enough."""

    aim: str
    measured: str
    met: bool
