"""A constructed head-and-neck case that any orientation or overlap error shows on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from radplan_env.case import Case

ORGANS = ("Brainstem", "SpinalCord", "Parotid_L", "Parotid_R", "Cavity_Oral", "Larynx", "Esophagus")
ORGANS += ("Bone_Mandible",)
TARGETS = ("PTV_7000", "PTV_6300", "PTV_5600", "PTV_5200")
SHAPE = (30, 40, 50)
SPACING_MM = (5.0, 3.0, 2.0)
CENTRE = (15, 20, 25)


@pytest.fixture(scope="session")
def block() -> Callable[..., NDArray[np.bool_]]:
    """Mask of a cube of voxels by its centre (z, y, x) and half width."""

    def make(centre: tuple[int, int, int], half: int) -> NDArray[np.bool_]:
        mask = np.zeros(SHAPE, bool)
        mask[tuple(slice(c - half, c + half + 1) for c in centre)] = True
        return mask

    return make


@pytest.fixture(scope="session")
def make_case(block: Callable[..., NDArray[np.bool_]]) -> Callable[..., Case]:
    """Build a box of water with 13 structures, or with what is given instead."""
    body = np.zeros(SHAPE, bool)
    body[1:29, 2:38, 2:48] = True
    structures = {"Body": body, "PTV_7000": block(CENTRE, 3)}
    for i, name in enumerate((*TARGETS[1:], *ORGANS)):
        angle = 2 * np.pi * i / 11
        structures[name] = block((15, int(20 + 11 * np.sin(angle)), int(25 + 14 * np.cos(angle))), 2)

    def make(**changes: Any) -> Case:
        values = {
            "ct_hu": np.where(body, 0.0, -1000.0),
            "structures": structures,
            "voxel_size_mm": SPACING_MM,
        }
        return Case.from_arrays(**{"id": "made/1", **values, **changes})

    return make


@pytest.fixture(scope="session")
def case(make_case: Callable[..., Case]) -> Case:
    return make_case()


@pytest.fixture(scope="session")
def dose(case: Case) -> NDArray[np.float32]:
    """Dose that falls off around the primary target."""
    distance = np.linalg.norm([i - c for i, c in zip(np.indices(SHAPE), CENTRE, strict=True)], axis=0)
    return (72 * np.exp(-((distance / 12) ** 2))).astype(np.float32)


@pytest.fixture(scope="session")
def summary(case: Case) -> dict[str, Any]:
    """A plan summary with 13 structures and 20 criteria."""
    names = [name for name in case.structures if name != "Body"]
    criteria = [
        criterion(name, "D95%" if name in TARGETS else "mean", 60.0, 65.0 - i, at_most=name not in TARGETS)
        for i, name in enumerate(names)
    ]
    criteria += [criterion(name, "D0.03cc", 77.0, 70.0 + i) for i, name in enumerate(names[:5])]
    criteria += [criterion("PTV_7000", "CI", 0.847, 0.81, unit="", at_most=False)]
    criteria += [criterion("PTV_7000", "HI", 5.4, 4.2, unit="")]
    criteria += [criterion("OutsideTargets", "D1cc", 74.9, 74.90001)]
    solver = {
        "objective": 546.765,
        "kkt_residual": 1.2e-6,
        "converged": True,
        "iterations": 14,
        "constraints": [
            constraint("PTV_7000", "D95%", True),
            constraint("Brainstem", "max", True),
            constraint("Larynx", "D40%", False),
        ],
    }
    return {
        "case": case.id,
        "score": 71.25,
        "met": False,
        "metrics": {name: {"mean": 30.0, "max": 71.5, "V30Gy": 45.25} for name in case.structures},
        "criteria": criteria,
        "parameters": {name: {"weight": 1234.5, "objective_dose_gy": 30.0} for name in case.structures},
        "limits": [
            {"structure": "Brainstem", "metric": "max", "at_most": 54.0},
            {"structure": "Larynx", "metric": "V30Gy", "at_most": 40.0},
        ],
        "terms": {f"{c['structure']} {c['metric']}": {"points": 3.0, "available": 5.0} for c in criteria},
        "solver": solver,
    }


def constraint(structure: str, metric: str, met: bool) -> dict[str, Any]:
    return {"structure": structure, "metric": metric, "relation": "=", "dose_gy": 50.0, "achieved_gy": 50.0, "met": met}


def criterion(
    structure: str, metric: str, limit: float, value: float, *, unit: str = "Gy", at_most: bool = True
) -> dict[str, Any]:
    margin = limit - value if at_most else value - limit
    return {
        "structure": structure, "metric": metric, "limit": limit, "value": value, "unit": unit, "priority": 2,
        "passed": margin >= 0, "upper": at_most, "margin": margin,
    }  # fmt: skip
