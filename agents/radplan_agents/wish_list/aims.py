"""What to ask of the inner loop so that the verdict keeps a limit as well."""

from __future__ import annotations

from dataclasses import replace

from radplan_env.limits import Limit
from radplan_env.planning import Summary

MOST = 0.05
"""The largest share of its value by which a limit is asked for more tightly."""

SPARE = 0.002
"""Share of its value by which it is tightened beyond what the verdict missed."""


class Aims:
    """Asks for more of limits that the inner loop held and the verdict missed.

    The inner loop holds limits on its rows, before the plan is scaled to its prescription on the verdict's points: a
    cord held at 45 Gy may be judged at 45.6, which a screen at 45 Gy refuses. A planner who sees that asks for 44.3.
    """

    def __init__(self) -> None:
        self._tightened: dict[tuple[str, bool], float] = {}  # by a share of the value
        self._wanted: tuple[Limit, ...] = ()

    def ask(self, wanted: tuple[Limit, ...]) -> tuple[Limit, ...]:
        """Return the limits to ask for so that these are kept."""
        self._wanted = wanted
        return tuple(_tightened(limit, self._tightened.get((limit.name, limit.upper), 0.0)) for limit in wanted)

    def learn(self, plan: Summary) -> None:
        """Take in by how much the plan that came of the last question misses what was wanted."""
        constraints = plan["solver"]["constraints"]
        reports = constraints[len(constraints) - len(self._wanted) :]  # the targets' coverage comes first
        for limit, report in zip(self._wanted, reports, strict=True):
            value = plan["metrics"].get(limit.structure, {}).get(limit.metric)
            if report["met"] and value is not None and limit.bound.margin(value) < 0:
                share = self._tightened.get((limit.name, limit.upper), 0.0) + abs(value / limit.value - 1) + SPARE
                self._tightened[limit.name, limit.upper] = min(share, MOST)


def _tightened(limit: Limit, share: float) -> Limit:
    if limit.upper:
        return replace(limit, at_most=limit.value * (1 - share))
    value = limit.value * (1 + share)
    return replace(limit, at_least=min(value, 100.0) if limit.bound.unit == "%" else value)
