"""Reinforcement-learning agents: the template's plan first, then what a trained policy changes in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from radplan_agents.agent import Action, Info, Observation
from radplan_agents.reinforcement.policy import Policy, installed, load_policy, shipped, site
from radplan_env.env import RadPlanEnv
from radplan_env.parameters import PlanningParameters
from radplan_env.protocol import Protocol


class PolicyAgent:
    """Plays a policy that `experiments/train.py` trained; one subclass per algorithm.

    The first solve is the protocol's start parameters, as in training. From then on the policy looks at the plan and
    changes the current parameters by at most its `relative_step`; nothing is drawn.

    Parameters
    ----------
    env : RadPlanEnv
        The environment, with absolute actions.
    seed : int
        Unused: nothing is drawn.
    policy : Path, str or Policy, optional
        A policy of your own; by default the class's `policy` or, where that is None, the one that comes with the
        package for the environment's protocol; for agents called "ppo:own" and the like, the one that you installed.

    Raises
    ------
    FileNotFoundError
        If there is no such policy.
    ValueError
        If the policy was trained for another protocol or by another algorithm, or the environment's actions
        are relative.
    """

    algorithm: ClassVar[str]
    policy: ClassVar[Path | str | None] = None
    own: ClassVar[bool] = False
    deterministic = True

    def __init__(self, env: RadPlanEnv, *, seed: int = 0, policy: Path | str | Policy | None = None) -> None:
        if env.relative_step is not None:
            raise ValueError("agents take absolute actions: make the environment without relative_step")
        self._policy = policy if isinstance(policy, Policy) else self._load(env.protocol, policy)
        self._action_map = env.action_map
        trained_for = self._policy.training["protocol"]
        if trained_for != env.protocol.name:
            raise ValueError(f"this {self.algorithm} policy was trained for {trained_for!r}, not {env.protocol.name!r}")

    def reset(self, observation: Observation, info: Info) -> None:
        """Begin an episode."""

    def act(self, observation: Observation, info: Info) -> Action | None:
        """Return the template first, then the current parameters as the policy changes them."""
        plan = info.get("plan")
        if plan is None:
            return self._action_map.to_action(info["start_parameters"])
        return self._action_map.to_action(self.proposed(observation, PlanningParameters.of_plan(plan)))

    def proposed(self, observation: Observation, current: PlanningParameters) -> PlanningParameters:
        """Return what the policy would try after a plan; the plan's limits stay as they are.

        Parameters
        ----------
        observation : Mapping
            Of the plan.
        current : PlanningParameters
            What it was made with.
        """
        change = self._policy.change(dict(observation), self._action_map.space)
        step = self._policy.training["relative_step"]
        return self._action_map.moved(current, change, step, current.structures)

    def record(self) -> dict[str, Any]:
        """Return what training the policy took: solves to learn from, and solves to choose the best policy by."""
        training = self._policy.training
        return {"training_solves": training["solves"], "validation_solves": training["solves_for_validation"]}

    @classmethod
    def check_protocol(cls, protocol: Protocol) -> None:
        """See that there is a policy for a protocol, before anything is planned.

        Raises
        ------
        FileNotFoundError
            If there is none; the message says how to train one.
        """
        cls._path(protocol, None)

    @classmethod
    def _load(cls, protocol: Protocol, path: Path | str | None) -> Policy:
        return load_policy(cls.algorithm, cls._path(protocol, path))

    @classmethod
    def _path(cls, protocol: Protocol, path: Path | str | None) -> Path:
        """Where the policy lies."""
        chosen = path or cls.policy
        by_default = installed if cls.own else shipped
        place = by_default(cls.algorithm, protocol) if chosen is None else Path(chosen)
        if missing := [str(file) for file in (place, place.with_suffix(".json")) if not file.exists()]:
            command = f"python experiments/train.py --algorithm {cls.algorithm} --site {site(protocol)} --install"
            raise FileNotFoundError(
                f"no {cls.algorithm} policy for protocol {protocol.name!r}: there is no {' and no '.join(missing)}; "
                f"train one with {command}, and play it as {cls.algorithm}:own"
            )
        return place


class PPOAgent(PolicyAgent):
    """Proximal policy optimisation (Schulman 2017, arXiv 1707.06347) on relative actions."""

    algorithm = "ppo"


class SACAgent(PolicyAgent):
    """Soft actor-critic (Haarnoja 2018, arXiv 1801.01290) on relative actions."""

    algorithm = "sac"


class DQNAgent(PolicyAgent):
    """Deep Q-network (Mnih 2015, doi 10.1038/nature14236) on discrete moves, as Shen 2020 (doi 10.1002/mp.14114)."""

    algorithm = "dqn"


class OwnPPOAgent(PPOAgent):
    """PPO with the policy that you trained and installed."""

    own = True


class OwnSACAgent(SACAgent):
    """SAC with the policy that you trained and installed."""

    own = True


class OwnDQNAgent(DQNAgent):
    """DQN with the policy that you trained and installed."""

    own = True
