"""What planning by machine parameters costs and comes to: steps a second, baselines, random plans, PPO.

On one synthetic training prostate. Steps are timed in CPU seconds, with random actions, beside the planning
environment's (RadPlan/Prostate-v0, warm, sampled verdict) in the same run. Baselines: the conformal arc, where episodes
begin; the greedy price rule, by observations alone; and with `--plan` the plan of the aperture optimiser, from
`PlanningSystem.deliver`, as the upper bound. Each has its objective over the conformal arc's, and its verdicts:
nominal, and the mean over all leaves 1 mm to the left and to the right. `--random` plays episodes of random actions,
each with a random lean, and counts those that beat the ideal plan of the protocol's beams and start parameters. `--ppo`
trains a policy.

  python benchmarks/second_dose.py --save plan.npz
  python benchmarks/machine_parameters.py --plan plan.npz --random 200 --ppo 7120
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

# Run as a script: find our packages from any directory.
if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np
import tyro
from numpy.typing import NDArray

from benchmarks.machine import print_figures, print_machine
from radplan_env.case import Case
from radplan_env.delivery.limits import total_seconds, violations
from radplan_env.env import RadPlanEnv
from radplan_env.machine_parameters import Arc, MachineParameterEnv
from radplan_env.machine_parameters.bands import BANDS, COLUMNS, ROWS, rows_of_bands
from radplan_env.planning import Plan
from radplan_env.sources import synthetic

GAIN = 5.0
"""Of the greedy rule: steps by mean price."""

Action = NDArray[np.float32]
Observation = dict[str, NDArray[np.float32]]


@dataclass
class Args:
    patient: int = 2
    """Synthetic training prostate."""
    steps: int = 178
    """Timed steps."""
    plan: Path | None = None
    """A delivered plan of the patient, one arc, as `Plan.save` writes it."""
    random: int = 0
    """How many random plans."""
    ppo: int = 0
    """Steps of training."""


def main(args: Args) -> None:
    print_machine(("numpy", "numba", "gymnasium", "stable-baselines3"))
    case = synthetic.load("train")[args.patient]
    env = MachineParameterEnv(cases=[case])
    begun = process_time()
    env.reset(seed=0)
    figures: dict[str, Any] = {"case": case.id, "first_reset_cpu_s": process_time() - begun}
    figures |= _rates(env, case, args.steps)
    figures |= _of("conformal", env.reset() and env.arc)
    figures |= _of("greedy", _played(env, Greedy(env)))
    if args.plan is not None:
        plan = Plan.load(args.plan)
        if plan.case_id != case.id or plan.delivery is None or plan.delivery.technique != "vmat":
            raise SystemExit(f"--plan: one delivered arc of {case.id} is needed")
        task = env.arc.task
        figures |= _of("optimised", Arc.of(task, task.columns.leaves(plan.delivery.apertures, task.mu_to_units)))
    if args.ppo:
        figures |= _of("ppo", _trained(env, args.ppo))
    if args.random:
        figures |= _random(env, args.random, figures["ideal_score"])
    start = figures["conformal_objective"]
    figures |= {name: value / start for name, value in figures.items() if name.endswith("_objective")}
    print_figures("machine_parameters", {k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()})


def _rates(env: MachineParameterEnv, case: Case, steps: int) -> dict[str, float]:
    env.action_space.seed(0)
    actions = [np.asarray(env.action_space.sample(), np.float32) for _ in range(steps)]
    env.step(actions[0])  # compiles
    env.reset()
    begun = process_time()
    for action in actions:
        env.step(action)
    ours = steps / (process_time() - begun)
    planning = RadPlanEnv(cases=[case], verdict="sampled", relative_step=0.1, progress=False)
    planning.reset(seed=0)
    planning.action_space.seed(0)
    ideal = planning.step(np.zeros_like(planning.action_space.sample()))[-1]["plan"]  # with the start parameters
    begun = process_time()
    for _ in range(3):
        planning.step(planning.action_space.sample())
    theirs = 3 / (process_time() - begun)
    rates = {"steps_per_cpu_s": ours, "planning_steps_per_cpu_s": theirs, "ratio": ours / theirs}
    return {**rates, "ideal_score": ideal["score"]}


def _of(name: str, arc: Arc) -> dict[str, Any]:
    verdict, machine = arc.task.verdict(arc.apertures), arc.task.machine
    figures = {
        "objective": arc.objective,
        "score": verdict.nominal.evaluation.score,
        "score_1_mm": verdict.score,
        "mu": float(verdict.apertures.monitor_units.sum()),
        "seconds": total_seconds(verdict.apertures, machine),
        "violations": len(violations(verdict.apertures, machine)),
    }
    return {f"{name}_{key}": value for key, value in figures.items()}


def _played(env: MachineParameterEnv, policy: Callable[[Observation], Action]) -> Arc:
    observation, over = env.reset()[0], False
    while not over:
        observation, _, _, over, _ = env.step(policy(observation))
    return env.arc


class Greedy:
    """Opens a band to a side as the bixels beyond its edge have a negative price, closes it as those within have a
    positive one, and gives an aperture monitor units by the price of what it opens."""

    def __init__(self, env: MachineParameterEnv) -> None:
        self._rows = rows_of_bands(env.arc.task)

    def __call__(self, observation: Observation) -> Action:
        prices, aperture = (observation[key].reshape(ROWS, COLUMNS) for key in ("prices", "aperture"))
        action = np.zeros(2 * BANDS + 1)
        for band, rows in enumerate(self._rows):
            for side, flip in enumerate((slice(None), slice(None, None, -1))):
                action[side * BANDS + band] = _opening(prices[rows][:, flip], aperture[rows][:, flip] > 0.5)
        action[-1] = -GAIN * (prices * aperture).sum() / aperture.sum()
        return np.clip(action, -1, 1).astype(np.float32)


def _opening(prices: NDArray[np.float32], is_open: NDArray[np.bool_]) -> float:
    """How far a band's left leaves should open."""
    has = np.flatnonzero(is_open.any(axis=1))
    if not has.size:
        return 0.0
    edge = is_open[has].argmax(axis=1)
    beyond, within = prices[has, np.maximum(edge - 1, 0)].mean(), prices[has, edge].mean()
    return -GAIN * float(beyond if beyond < 0 else max(within, 0))


def _random(env: MachineParameterEnv, count: int, ideal: float) -> dict[str, Any]:
    scores = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        lean = rng.uniform(-1, 1, 2 * BANDS + 1)

        def policy(_: Observation, rng: np.random.Generator = rng, lean: Any = lean) -> Action:
            action: Action = np.clip(lean + rng.uniform(-1, 1, lean.size), -1, 1).astype(np.float32)
            return action

        scores.append(env.arc.task.judged(_played(env, policy).apertures).evaluation.score)
    return {
        "random_plans": count,
        "random_best_score": max(scores),
        "random_median_score": float(np.median(scores)),
        "random_above_ideal": sum(score > ideal for score in scores),
    }


def _trained(env: MachineParameterEnv, steps: int) -> Arc:
    from stable_baselines3 import PPO
    from stable_baselines3.common.monitor import Monitor

    model = PPO("MultiInputPolicy", Monitor(env), n_steps=712, batch_size=89, gamma=1.0, seed=0, device="cpu")
    begun = process_time()
    model.learn(steps)
    returns = [round(float(episode["r"]), 3) for episode in model.ep_info_buffer or []]
    print(f"PPO: {process_time() - begun:.0f} CPU s; returns of the last episodes {returns[-10:]}", flush=True)
    return _played(env, lambda observation: np.asarray(model.predict(observation, deterministic=True)[0]))


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
