"""Utilities: how much of a term's points a metric earns. Bounded by 0 and 1, and everywhere strictly monotone."""

from __future__ import annotations

from radplan_env.radiobiology import normal_cdf


def logistic(value: float, good: float, bad: float) -> float:
    """Return 1 / (1 + 9^t), t from -1 at `good` to 1 at `bad`: 0.9 there, 0.1 at `bad`, 0.5 half-way."""
    t = (2 * value - good - bad) / (bad - good)
    return 1 / (1 + 9 ** min(t, 300.0))


def complication_free(value: float, td50: float, m: float) -> float:
    """Return 1 - NTCP of a dose by Lyman's model, 0.5 at `td50`."""
    return normal_cdf((td50 - value) / (m * td50))
