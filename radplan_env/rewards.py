"""Rewards: small objects handed to the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from radplan_env.evaluation import Evaluation


class Reward(Protocol):
    """Judges one step from the evaluations before and after it.

    Any callable of this shape will do: ``RadPlanEnv(reward=my_reward)``. It must be a pure function of its
    arguments, so that a replayed episode earns what the first one earned, and picklable for worker processes.
    """

    def __call__(self, previous: Evaluation | None, current: Evaluation) -> tuple[float, dict[str, float]]:
        """Return the reward and its terms by name, which add up to it but for rounding.

        Parameters
        ----------
        previous : Evaluation or None
            Evaluation of the plan before this step; None on the first step of an episode, when there is
            no plan yet.
        current : Evaluation
            Evaluation of the plan that this step made.
        """


class ScoreImprovement:
    """Improvement of the plan score, as a fraction of the full score of 100.

    Before the first solve the score counts as 0, so the undiscounted return of an episode is the score of
    its last plan divided by 100, whichever path led there. Measuring the first step against the first plan
    itself would pay an agent for starting badly.

    The terms are the improvements of the score's own terms and of "floor": the points by which the score stops at 0
    instead of falling below. They add up to the reward.
    """

    def __call__(self, previous: Evaluation | None, current: Evaluation) -> tuple[float, dict[str, float]]:
        """Return the improvement and its terms."""
        now = _points(current)
        if previous is None:
            return current.score / 100, {name: points / 100 for name, points in now.items()}
        before = _points(previous)
        terms = {name: (points - before[name]) / 100 for name, points in now.items()}
        return (current.score - previous.score) / 100, terms


def _points(evaluation: Evaluation) -> dict[str, float]:
    return {**evaluation.terms, "floor": max(-sum(evaluation.terms.values()), 0.0)}


class PointsGained(ScoreImprovement):
    """Improvement of the plan score in points, a few per step: networks and entropies suit rewards around 1."""

    def __call__(self, previous: Evaluation | None, current: Evaluation) -> tuple[float, dict[str, float]]:
        """Return the improvement and its terms."""
        reward, terms = super().__call__(previous, current)
        return 100 * reward, {name: 100 * term for name, term in terms.items()}
