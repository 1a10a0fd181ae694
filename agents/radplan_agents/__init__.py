"""Agents: who drives the environment. They know it through its public face only."""

from radplan_agents.agent import REGISTRY, Agent, EpisodeInterruptedError, load_agent, make_agent

__all__ = ["REGISTRY", "Agent", "EpisodeInterruptedError", "load_agent", "make_agent"]
