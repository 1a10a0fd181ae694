"""A limit that the verdict misses is asked for more tightly, by as much as it takes."""

from __future__ import annotations

from typing import Any

import pytest

from radplan_agents.wish_list.aims import MOST, Aims
from radplan_env.limits import Limit

CORD = Limit("SpinalCord", "D0.1cc", at_most=45.0)
CORE = Limit("PTV_7000", "D98%", at_least=66.5)


def plan(values: dict[Limit, float], *, met: bool = True) -> Any:
    """A plan's summary: the coverage, then limits; values as judged."""
    return {
        "solver": {"constraints": [{"met": True}, *({"met": met} for _ in values)]},
        "metrics": {limit.structure: {limit.metric: value} for limit, value in values.items()},
    }


@pytest.mark.parametrize("gap", [1.003, 1.013, 1.03])
def test_one_miss_is_enough_where_the_verdict_stays_a_share_above_the_rows(gap: float) -> None:
    aims = Aims()
    aims.learn(plan({CORD: 45.0 * gap, CORE: 66.5 / gap}))  # of a plan that was asked for nothing: not its miss
    for solve in range(3):
        cord, core = aims.ask((CORD, CORE))
        judged = {CORD: cord.value * gap, CORE: core.value / gap}
        assert (judged[CORD] <= 45.0 and judged[CORE] >= 66.5) == (solve > 0)
        aims.learn(plan(judged))


def test_what_is_kept_or_out_of_reach_is_asked_for_as_it_is() -> None:
    aims = Aims()
    assert aims.ask((CORD,)) == (CORD,)
    aims.learn(plan({CORD: 44.0}))
    assert aims.ask((CORD,)) == (CORD,)
    aims.learn(plan({CORD: 52.0}, met=False))
    assert aims.ask((CORD,)) == (CORD,)


def test_tightening_ends() -> None:
    aims, volume = Aims(), Limit("PTV_7000", "V66.5Gy", at_least=98.0)
    for _ in range(9):
        cord, seen = aims.ask((CORD, volume))
        aims.learn(plan({CORD: 60.0, volume: 80.0}))
    assert cord.value == pytest.approx(45.0 * (1 - MOST))
    assert seen.value == 100.0
