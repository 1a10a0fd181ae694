"""Plans: planning parameters in, fluence, dose and evaluation out."""

from .deliveries import DeliverySettings
from .delivering import DeliverablePlan
from .plan import Plan, Summary
from .request import PlanRequest
from .stage import Stage, Volume, caption, captioned
from .system import PlanningSystem

__all__ = [
    "DeliverablePlan",
    "DeliverySettings",
    "Plan",
    "PlanRequest",
    "PlanningSystem",
    "Stage",
    "Summary",
    "Volume",
    "caption",
    "captioned",
]
