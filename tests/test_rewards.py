"""The default reward is the improvement of the score, and its terms say where it came from."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radplan_env.case import Case
from radplan_env.evaluation import Evaluation, evaluate
from radplan_env.protocol import OUTSIDE_TARGETS, load_protocol
from radplan_env.rewards import ScoreImprovement

doses_gy = st.tuples(st.floats(50, 90), st.floats(0, 80))


def evaluation(target_gy: float, organ_gy: float) -> Evaluation:
    """A plan of one dose in the target and another in everything else."""
    protocol = load_protocol("prostate")
    masks = dict.fromkeys(protocol.slots, np.ones((2, 2, 2), bool))
    case = Case.from_arrays(id="box", ct_hu=np.zeros((2, 2, 2)), structures=masks, voxel_size_mm=(5, 5, 5))
    doses = dict.fromkeys((*protocol.slots, OUTSIDE_TARGETS), np.full(200, organ_gy))
    target = np.full(200, target_gy)
    body = np.append(target, doses[OUTSIDE_TARGETS])
    return evaluate({**doses, "PTV_7020": target, "Body": body}, 0.125, protocol.bind(case))


@given(st.lists(doses_gy, min_size=1, max_size=5))
def test_the_return_is_the_last_score(plans: list[tuple[float, float]]) -> None:
    evaluations = [None, *(evaluation(*plan) for plan in plans)]
    rewards = [ScoreImprovement()(a, b)[0] for a, b in pairwise(evaluations) if b is not None]
    assert evaluations[-1] is not None
    assert sum(rewards) == pytest.approx(evaluations[-1].score / 100)


@pytest.mark.slow
@given(doses_gy, doses_gy)
def test_terms_add_up_to_the_reward_and_name_the_criteria(
    first: tuple[float, float], second: tuple[float, float]
) -> None:
    previous, current = evaluation(*first), evaluation(*second)
    reward, terms = ScoreImprovement()(previous, current)
    assert sum(terms.values()) == pytest.approx(reward, abs=1e-9)
    assert set(terms) == {"floor"} | {result.criterion.name for result in current.criteria}


def test_sparing_an_organ_is_rewarded_under_its_name() -> None:
    reward, terms = ScoreImprovement()(evaluation(70.5, 40), evaluation(70.5, 20))
    assert reward > 0
    assert terms["Rectum mean"] > 0
    assert terms["PTV_7020 D95%"] == 0


def test_the_same_plan_again_earns_nothing() -> None:
    reward, terms = ScoreImprovement()(evaluation(70.5, 30), evaluation(70.5, 30))
    assert reward == 0
    assert not any(terms.values())
