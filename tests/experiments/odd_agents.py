"""Agents that third parties might write, named in tests as odd_agents:Class."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from radplan_agents.baselines.random_search import RandomSearchAgent


class Raises(RandomSearchAgent):
    """Plans once, then fails."""

    solves = 0

    def act(self, observation: Any, info: Any) -> Any:
        self.solves += 1
        if self.solves > 1:
            raise RuntimeError("no idea what to do next")
        return super().act(observation, info)


class Unbuildable(RandomSearchAgent):
    """Fails before it has begun."""

    def __init__(self, env: Any, *, seed: int = 0) -> None:
        raise KeyError("weights.npz")


class Exits(RandomSearchAgent):
    """Ends the process, as a script might that was made into an agent."""

    def act(self, observation: Any, info: Any) -> Any:
        sys.exit("gone")


class Quits(RandomSearchAgent):
    """Stops before its first solve."""

    def act(self, observation: Any, info: Any) -> Any:
        return None


class Nonsense(RandomSearchAgent):
    """Gives an action of the wrong shape."""

    def act(self, observation: Any, info: Any) -> Any:
        return [0.0]


class Slow(RandomSearchAgent):
    """Takes its time, so that it can be killed in the middle."""

    def act(self, observation: Any, info: Any) -> Any:
        time.sleep(0.5)
        return super().act(observation, info)


class Crashes(RandomSearchAgent):
    """Takes its process down, as a fault in compiled code or a want of memory does."""

    def act(self, observation: Any, info: Any) -> Any:
        os._exit(1)


class BehindTheBack(RandomSearchAgent):
    """Solves without a step, which costs nothing of the budget."""

    def __init__(self, env: Any, *, seed: int = 0) -> None:
        super().__init__(env, seed=seed)
        self._env = env

    def act(self, observation: Any, info: Any) -> Any:
        system = self._env.system
        system.plan(system.protocol.start_parameters())
        return super().act(observation, info)


class Tells(RandomSearchAgent):
    """Has something to say of its episode."""

    def record(self) -> dict[str, Any]:
        return {"training_solves": 4000, "faults": ("none",)}


class TellsAList(RandomSearchAgent):
    """Says plain data, but no dict."""

    def record(self) -> list[int]:
        return [1, 2]


class TellsNonsense(RandomSearchAgent):
    """Says what is no plain data."""

    def record(self) -> dict[str, Any]:
        return {"loss": float("nan")}
