"""PPO for treatment planning in one file, after CleanRL: copy it and change what you like.

Everything that learns is here: network, rollout, advantages, update. `train.py` is the tool for policies that are kept,
chosen by validation and played by compare.py; this is the place to try an idea.

  python experiments/ppo_in_one_file.py
  python experiments/ppo_in_one_file.py --solves 2048 --envs 8 --tensorboard runs/idea
"""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
import tyro
from gymnasium.vector import AutoresetMode
from torch import Tensor, nn
from torch.distributions import Normal
from tqdm import tqdm

from radplan_env.rewards import PointsGained
from radplan_env.sources import synthetic


@dataclass
class Args:
    """What to train; the defaults take about five minutes on two cores."""

    solves: int = 512
    """Solves in all, start plans included."""
    envs: int = 4
    """Episodes side by side."""
    rollout: int = 32
    """Steps between two updates, of each environment."""
    budget: int = 10
    """Solves of an episode; the first is the template's plan."""
    relative_step: float = 0.2
    """How far an action moves a parameter at most, in its range of -1 to 1."""
    epochs: int = 10
    """Passes over a rollout."""
    minibatch: int = 64
    """Steps of a gradient step."""
    learning_rate: float = 1e-3
    gamma: float = 0.9
    """Discount: what a change does shows in the next plan."""
    gae_lambda: float = 0.9
    clip: float = 0.2
    seed: int = 0
    tensorboard: Path | None = None
    """Folder for TensorBoard's curves."""


class Policy(nn.Module):
    """Two networks of the criteria's distance from their limits and of the planning parameters."""

    def __init__(self, inputs: int, actions: int) -> None:
        super().__init__()
        self.mean = network(inputs, actions)
        self.value = network(inputs, 1)
        self.log_std = nn.Parameter(torch.full((actions,), -2.0))

    def distribution(self, features: Tensor) -> Normal:
        return Normal(self.mean(features), self.log_std.exp())


def network(inputs: int, outputs: int) -> nn.Sequential:
    last = nn.Linear(64, outputs)
    nn.init.orthogonal_(last.weight, 0.01)  # begins near "change nothing"
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), last)


def features_of(observation: dict[str, np.ndarray]) -> Tensor:
    """What the networks see: a criterion at its limit is 0, one that is missing counts as met."""
    excess = np.where(observation["criteria_present"] > 0, observation["criteria"] - 1, -0.5)
    seen = np.concatenate([np.clip(5 * excess, -3, 3), observation["planning_parameters"]], axis=1)
    return torch.as_tensor(seen, dtype=torch.float32)


def main(args: Args) -> None:
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    envs: Any = gymnasium.make_vec(
        "radplan_env:RadPlan/Prostate-v0",
        args.envs,
        cases=synthetic.load("endless", voxel_size_mm=5),
        fidelity="coarse",
        verdict="sampled",
        budget=args.budget,
        relative_step=args.relative_step,
        reward=PointsGained(),
        progress=False,
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    observation, _ = envs.reset(seed=args.seed)
    features = features_of(observation)
    actions = envs.single_action_space.shape[0]
    policy = Policy(features.shape[1], actions)
    optimizer = torch.optim.Adam(policy.parameters(), args.learning_rate)
    writer = summary_writer(args.tensorboard)

    begins = np.ones(args.envs, dtype=bool)  # the next solve is an episode's first, the template's plan
    gained, returns = np.zeros(args.envs), deque[float](maxlen=20)
    shape = (args.rollout, args.envs)
    bar = tqdm(total=args.solves, unit="solve", file=sys.stderr)
    while bar.n < args.solves:
        # Rollout.
        seen = torch.zeros(*shape, features.shape[1])
        taken = torch.zeros(*shape, actions)
        log_probs, rewards, values, ends, learned = (torch.zeros(shape) for _ in range(5))
        for t in range(args.rollout):
            with torch.no_grad():
                distribution = policy.distribution(features)
                action = distribution.sample()
                action[begins] = 0  # changes nothing: the template's plan
                seen[t], taken[t], values[t] = features, action, policy.value(features).squeeze(1)
                log_probs[t] = distribution.log_prob(action).sum(1)
            observation, reward, terminated, truncated, _ = envs.step(action.clamp(-1, 1).numpy())
            reward = np.where(begins, 0, reward)  # the template's score is nobody's merit
            done = terminated | truncated
            rewards[t], ends[t], learned[t] = (torch.as_tensor(x, dtype=torch.float32) for x in (reward, done, ~begins))
            gained += reward
            returns.extend(gained[done])
            gained[done], begins, features = 0, done, features_of(observation)
            bar.update(args.envs)

        # Advantages (generalised advantage estimation); an episode ends with its budget.
        with torch.no_grad():
            following, advantage = policy.value(features).squeeze(1), torch.zeros(args.envs)
            advantages = torch.zeros(shape)
            for t in reversed(range(args.rollout)):
                goes_on = 1 - ends[t]
                delta = rewards[t] + args.gamma * goes_on * following - values[t]
                advantages[t] = advantage = delta + args.gamma * args.gae_lambda * goes_on * advantage
                following = values[t]
        targets = advantages + values

        # Update, of the steps that the policy chose.
        chosen = learned.flatten().nonzero().squeeze(1)
        flat = [x.flatten(0, 1)[chosen] for x in (seen, taken, log_probs, advantages, targets)]
        for _ in range(args.epochs):
            for part in torch.randperm(len(chosen)).split(args.minibatch):
                x, action, old, advantage, target = (each[part] for each in flat)
                advantage = (advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8)
                ratio = (policy.distribution(x).log_prob(action).sum(1) - old).exp()
                clipped = ratio.clamp(1 - args.clip, 1 + args.clip)
                policy_loss = -torch.min(ratio * advantage, clipped * advantage).mean()
                value_loss = (policy.value(x).squeeze(1) - target).square().mean() / 2
                optimizer.zero_grad()
                (policy_loss + 0.5 * value_loss).backward()
                nn.utils.clip_grad_norm_(policy.parameters(), 0.5)
                optimizer.step()

        if returns:
            mean = float(np.mean(returns))
            bar.write(f"{bar.n:5} solves: {mean:+.2f} points gained per episode, mean of the last {len(returns)}")
            if writer is not None:
                writer.add_scalar("points gained per episode", mean, bar.n)
    bar.close()
    envs.close()


def summary_writer(folder: Path | None) -> Any:
    if folder is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(folder)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
