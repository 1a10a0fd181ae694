"""Agents: who drives the environment. They know it through its public face only."""

from agents.agent import REGISTRY, Agent, load_agent, make_agent

__all__ = ["REGISTRY", "Agent", "load_agent", "make_agent"]
