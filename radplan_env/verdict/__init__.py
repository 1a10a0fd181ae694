"""The verdict: what the scorecard says of a plan's dose on points that belong to the case.

regions   masks that plans are judged in: cropped targets, their cores, tissue far from every target
points    where the dose is asked for, each point with the volume that it stands for
judge     the dose of a fluence there, scaled to cover the primary target, and its evaluation
"""

from .judge import Judge, Judgement
from .points import VerdictKind

__all__ = ["Judge", "Judgement", "VerdictKind"]
