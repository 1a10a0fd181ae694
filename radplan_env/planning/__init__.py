"""Plans: planning parameters in, fluence, dose and evaluation out."""

from .plan import Plan, Summary, Volume
from .request import PlanRequest
from .system import PlanningSystem

__all__ = ["Plan", "PlanRequest", "PlanningSystem", "Summary", "Volume"]
