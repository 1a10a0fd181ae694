"""What a scripted model says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def change(
    structure: str = "Body",
    *,
    direction: str = "raise",
    parameter: str = "weight",
    amount: float = 2.0,
    reason: str = "to see what it does",
) -> dict[str, Any]:
    return {"lever": f"{direction} the {parameter} of {structure}", "amount": amount, "reason": reason}


def proposal(*changes: dict[str, Any], **more: Any) -> str:
    return json.dumps(
        {
            "reasoning": "something may help",
            "action": "change",
            "start_from": "last",
            "changes": changes,
            "predictions": [],
            **more,
        }
    )


def stop(reasoning: str) -> str:
    return proposal(action="stop", reasoning=reasoning)


def report(remark: str = "The CI fails.", *, tight: Sequence[str] = (), room: Sequence[str] = ()) -> str:
    return json.dumps({"tight": tight, "room": room, "remark": remark})


def feedback(criterion: str = "PTV_7020 CI", advice: str = "Press the body.") -> str:
    failing = [{"criterion": criterion, "remedy": "raise the weight of Body"}]
    return json.dumps({"acceptable": [], "failing": failing, "advice": advice})


def setting(*settings: dict[str, Any], base: int = 1, **more: Any) -> str:
    """What the planner of the open forms proposes."""
    return json.dumps({"reasoning": "to see", "action": "plan", "base": base, "settings": settings, **more})
