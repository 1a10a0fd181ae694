"""Agents that plan: each chooses planning parameters through the environment's public face."""

from radplan_agents.agent import Agent, EpisodeInterruptedError, play
from radplan_agents.registry import REGISTRY, load_agent, make_agent

__all__ = ["REGISTRY", "Agent", "EpisodeInterruptedError", "load_agent", "make_agent", "play"]
