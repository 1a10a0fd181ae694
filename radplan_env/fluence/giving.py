"""Which bounds give where they exclude each other: limits first, a target's coverage last.

Multipliers of bounds that cannot all be held grow without end while the errors stay. A bound's price, Σ λ_i · b, is
what the objective would fall by if the bound were looser by as much as its dose, to first order; or by what it is
missed by, if that is more.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .constraints import LEFT_TO_ROUNDING, Multipliers

Vector = NDArray[np.float64]

_FALLS, _STIFF = 0.75, 16.0
"""A bound that is out of reach leaves more than this of its error in a round at so many times the first penalty, and"""
_TOO_DEAR = 6.0
"""its price comes to more than so many objectives."""
_DEAR, _KEPT = 2.0, 1.0
"""Then bounds give that cost so many objectives; they are left with a pull of so many."""


def those_that_give(
    multipliers: Sequence[Multipliers], errors: Sequence[float], before: Sequence[float], scale: float
) -> list[bool]:
    """Return which bounds give; none does unless one is out of reach, as far as multipliers say.

    Limits give that are missed and dear. Where it is coverage that is out of reach, limits give that are dear, though
    they hold, or else all that pull; only when none does is it coverage that gives. An equality never gives.

    Parameters
    ----------
    multipliers : sequence of Multipliers
    errors, before : sequence of float
        Of each, after this round and after the last.
    scale : float
        Of the objective.
    """
    price = np.array([each.price(error) for each, error in zip(multipliers, errors, strict=True)])
    missed = np.array(errors) > LEFT_TO_ROUNDING
    may = np.array([each.constraint.relation != "=" for each in multipliers], dtype=bool)
    coverage = np.array([each.constraint.coverage for each in multipliers], dtype=bool)
    stiff = np.array([each.penalty >= _STIFF * each.first_penalty for each in multipliers], dtype=bool)
    stays = np.array(errors) > _FALLS * np.array(before)
    fights = may & stiff & missed & stays & (price > _TOO_DEAR * scale)
    limit, of_coverage = may & ~coverage, (fights & coverage).any()
    in_turn = (
        fights.any() & limit & (price > _DEAR * scale) & (missed | of_coverage),
        of_coverage & limit & (price > 0),
        fights,
    )
    gives: list[bool] = next((some for some in in_turn if some.any()), fights).tolist()
    return gives


def begin_again(
    multipliers: Sequence[Multipliers], gives: Sequence[bool], errors: Sequence[float], scale: float, dose: Vector
) -> None:
    """Take back what a fight has added to the multipliers.

    A bound that gives is left with about the pull of an exact penalty at the price of an objective, and as soft a
    penalty: the problem has a solution again, in which this bound is missed.
    """
    for each, given, error in zip(multipliers, gives, errors, strict=True):
        most = (_KEPT if given else _TOO_DEAR) * scale
        each.begin_again(most / max(each.price(error), most), dose, gives=given)
