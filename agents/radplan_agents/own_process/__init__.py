"""Agents in a process of their own, which see the tools of the planner's console and nothing else: the ranked track."""

from radplan_agents.own_process.agent import OwnProcessAgent, agent_for

__all__ = ["OwnProcessAgent", "agent_for"]
