"""What a policy looks at: how far every criterion is from its limit, and the current planning parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from radplan_env.protocol import Protocol

FARTHEST = 3.0
"""Excesses are clipped to ± this many spans."""

MISSING = -1.0
"""Excess of a criterion whose structure the patient lacks: met with ease."""


def spans(protocol: Protocol) -> list[float]:
    """Return each criterion's way from its ideal to its unacceptable value as a fraction of its limit.

    Negative where more is better. The score falls from all to none of a criterion's points over this way: see
    `radplan_env.evaluation.credit`.
    """
    return [(criterion.unacceptable - criterion.ideal) / criterion.limit for criterion in protocol.criteria]


class PlanFeatures(BaseFeaturesExtractor):
    """Excess of every criterion over its limit, in units of its span, then the planning parameters.

    A tenth of the limit is little for a mean dose and ruin for a coverage: spans make all criteria alike, so a
    small network learns from few solves. The DVHs, which add hundreds of inputs, are left out, and the progress too:
    what to change next does not depend on the budget.

    Parameters
    ----------
    observation_space : gymnasium.spaces.Dict
        That of a `RadPlanEnv`.
    spans : sequence of float
        See `spans`.
    """

    _spans: torch.Tensor

    def __init__(self, observation_space: spaces.Dict, spans: Sequence[float]) -> None:
        (coordinates,) = observation_space["planning_parameters"].shape  # type: ignore[misc]
        super().__init__(observation_space, features_dim=len(spans) + coordinates)
        self.register_buffer("_spans", torch.tensor(spans, dtype=torch.float32))

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the features, shape (batch, criteria + coordinates)."""
        excess = ((observations["criteria"] - 1) / self._spans).clamp(-FARTHEST, FARTHEST)
        excess = torch.where(observations["criteria_present"] > 0, excess, MISSING)
        return torch.cat([excess, observations["planning_parameters"]], dim=1)
