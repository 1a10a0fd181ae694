"""Predictions of what a change would do, and whether they came true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from radplan_agents.plan_changes import Effect, Movement, movements
from radplan_env.planning import Summary


@dataclass(frozen=True)
class Outcome:
    """A prediction and what came of it."""

    criterion: str
    predicted: Effect
    movement: Movement

    @property
    def came_true(self) -> bool:
        """Whether the criterion went the way that was predicted."""
        return self.movement.effect == self.predicted

    def __str__(self) -> str:
        verdict = "came true" if self.came_true else "did NOT come true"
        return f"{self.criterion}: predicted {self.predicted}, {verdict} ({self.movement})"


def outcomes(predicted: Sequence[Any], before: Summary, after: Summary) -> list[Outcome]:
    """Return what came of predictions, each with a `criterion` and an `effect`."""
    moved = movements(before, after)
    return [Outcome(p.criterion, p.effect, moved[p.criterion]) for p in predicted]
