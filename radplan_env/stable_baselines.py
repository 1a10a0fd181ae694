"""The vector environment as Stable-Baselines3 takes it; needs ``pip install radplan_env[rl]``."""

from __future__ import annotations

from functools import partial

from stable_baselines3.common.vec_env import DummyVecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from radplan_env.vector import RadPlanVectorEnv, SubEnvironment, plan_ahead


class StableBaselinesVecEnv(DummyVecEnv):
    """Hands a vector environment's sub-environments to Stable-Baselines3 and makes their plans together.

    It is SB3's own `DummyVecEnv`: a sub-environment whose episode is over is reset in the same step, with
    ``terminal_observation`` and ``TimeLimit.truncated`` in its info. ``VecMonitor`` around it records returns.

    ``envs = gymnasium.make_vec("radplan_env:RadPlan/Prostate-v0", num_envs=8, relative_step=0.1)``
    ``PPO("MultiInputPolicy", VecMonitor(StableBaselinesVecEnv(envs))).learn(10_000)``

    Parameters
    ----------
    envs : RadPlanVectorEnv
        As `gymnasium.make_vec` makes it, without wrappers. It is taken over: step this one from now on, not that
        one. Its autoreset mode has no effect.

    Raises
    ------
    TypeError
        If `envs` is another vector environment or a wrapped one.
    """

    envs: list[SubEnvironment]  # type: ignore[assignment]

    def __init__(self, envs: RadPlanVectorEnv) -> None:
        if not isinstance(envs, RadPlanVectorEnv):
            raise TypeError(
                f"give what gymnasium.make_vec makes of a radplan_env id, without wrappers; got {type(envs).__name__}"
            )
        super().__init__([partial(_itself, env) for env in envs.envs])

    def step_wait(self) -> VecEnvStepReturn:
        """Take the steps that `step_async` was given."""
        plan_ahead(self.envs, self.actions)
        return super().step_wait()


def _itself(env: SubEnvironment) -> SubEnvironment:
    return env
