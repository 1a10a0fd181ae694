"""Agents that play a policy trained with Stable-Baselines3 (`experiments/train.py`); need `radplan_env[rl]`."""

from radplan_env import extras

try:
    import stable_baselines3  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"ppo, sac and dqn need {extras.command('rl')}", name=error.name) from error

from radplan_agents.reinforcement.agent import DQNAgent, PolicyAgent, PPOAgent, SACAgent
from radplan_agents.reinforcement.policy import ALGORITHMS, Policy, installed, load_policy, save_policy, shipped

__all__ = [
    "ALGORITHMS",
    "DQNAgent",
    "PPOAgent",
    "Policy",
    "PolicyAgent",
    "SACAgent",
    "installed",
    "load_policy",
    "save_policy",
    "shipped",
]
