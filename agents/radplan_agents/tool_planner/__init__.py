"""A language model at the planner's console, with the tools that a planner has."""

from radplan_agents.tool_planner.agent import ToolPlannerAgent, manual

__all__ = ["ToolPlannerAgent", "manual"]
