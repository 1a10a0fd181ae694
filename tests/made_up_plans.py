"""Made-up plans: what `Plan.summary` tells, as far as the agent reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from radplan_env.protocol import load_protocol

PROTOCOL = load_protocol("prostate")
START = PROTOCOL.start_parameters().to_dict()["structures"]

Parameters = dict[str, dict[str, float]]


def parameters(**weights: float) -> Parameters:
    """The start parameters, with other weights."""
    return {name: {**values, "weight": weights.get(name, values["weight"])} for name, values in START.items()}


def summary(
    score: float = 80.0, margins: Mapping[str, float] | None = None, chosen: Parameters | None = None
) -> dict[str, Any]:
    """A plan whose criteria have these relative margins, by name; the others are met with 5 % of room."""
    criteria = []
    for criterion in PROTOCOL.criteria:
        margin = (margins or {}).get(criterion.name, 0.05)
        room = margin * criterion.limit
        criteria.append(
            {
                "structure": criterion.structure,
                "metric": criterion.metric,
                "upper": criterion.upper,
                "limit": criterion.limit,
                "value": criterion.limit - room if criterion.upper else criterion.limit + room,
                "unit": criterion.unit,
                "priority": criterion.priority,
                "passed": margin >= 0,
                "margin": room,
                "relative_margin": margin,
            }
        )
    asked = {"parameters": START if chosen is None else chosen, "limits": [], "smoothness": 3.0}
    beams = {"gantry_angles_deg": list(PROTOCOL.gantry_angles_deg), "collimator_angles_deg": [0.0]}
    return {"score": score, "criteria": criteria, "metrics": {}, **asked, **beams}


def task() -> dict[str, Any]:
    """What `reset` tells, as far as the agent reads it."""
    return {
        "case": {"structures": list(PROTOCOL.slots)},
        "protocol": {
            "title": PROTOCOL.title,
            "prescriptions_gy": {target.structure: target.prescription_gy for target in PROTOCOL.targets},
            "criteria": [
                {"structure": c.structure, "metric": c.metric, "upper": c.upper, "limit": c.limit}
                for c in PROTOCOL.criteria
            ],
        },
        "ranges": {
            slot.structure: {"weight": slot.weight_range, "objective_dose_gy": slot.objective_dose_range_gy}
            for slot in (*PROTOCOL.targets, *PROTOCOL.organs)
        },
        "start_parameters": START,
        "budget": 10,
    }
