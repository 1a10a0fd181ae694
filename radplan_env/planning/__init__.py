"""Plans: planning parameters in, fluence, dose and evaluation out."""

from .plan import Plan, Summary
from .request import PlanRequest
from .stage import Stage, Volume, caption, captioned
from .system import PlanningSystem

__all__ = ["Plan", "PlanRequest", "PlanningSystem", "Stage", "Summary", "Volume", "caption", "captioned"]
