"""The Gymnasium environment of machine parameters: leaves and monitor units of one arc, interval by interval."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from radplan_env.case import Case
from radplan_env.cohorts import choose_case, cohort_of, default_cases
from radplan_env.delivery.machine import Machine, machine_named
from radplan_env.machine_parameters.arc import Arc
from radplan_env.machine_parameters.bands import BANDS, COLUMNS, ROWS, band_of_pair, raster_places
from radplan_env.machine_parameters.task import ArcTask, ArcVerdict
from radplan_env.protocol import Protocol, load_protocol
from radplan_env.verdict import VerdictKind

Array = NDArray[np.float32]
Observation = dict[str, Array]
Info = dict[str, Any]

LEAF_MM = 5.0
"""How far leaves move at most in one step, as in Hrinivich & Lee 2020."""
UNITS = 1.2
"""By which an interval's units are multiplied at most in one step, as there."""
PASSES = 2
"""Rotations of an episode, as there."""
_KEPT_TASKS = 2


class MachineParameterEnv(gym.Env[Observation, Array]):
    """Plan a VMAT arc by its machine parameters: one interval a step.

    ## Description
    After Hrinivich & Lee (Med. Phys. 2020), who planned one slice with one leaf pair; here it is a volume. The gantry
    goes round `passes` times, and in each interval of 4 degrees the agent moves leaves and changes monitor units. An
    episode begins with the conformal arc. No fluence is optimised: the arc that the agent ends with is the plan.

    Every state is a whole arc that the machine delivers: leaves keep to their travel and gap, and a change that would
    need a dose rate below the lowest, or more than 370 MU per Gy, is refused (``info["refused"]``).

    ## Action Space
    `Box(-1, 1, (17,), float32)`. Leaf pairs move in eight bands, even shares of those in use from the feet to the
    head: the first eight coordinates are the bands' left leaves, the next eight their right ones; 1 opens by 5 mm, -1
    closes by 5 mm. The last multiplies the interval's monitor units, by 1.2 ** a. These are the source's steps, as a
    public re-implementation gives them (leaves 5 mm, dose rate 20 %, two rotations), continuous and for each band.
    Zero leaves the arc as it is. Leaves move at the end of the interval; in the first interval at both its ends.

    ## Observation Space
    A flat `Dict` of `Box`, float32. Rasters have 32 rows of leaves by 33 columns of bixels, 5 mm each, about the axis.

    | key      | range   | shape   | content                                                                    |
    |----------|---------|---------|----------------------------------------------------------------------------|
    | prices   | -1 to 1 | (1056,) | how the objective would change if the bixel were opened (negative: better),|
    |          |         |         | tanh of multiples of the conformal arc's root mean square; 0 where none is |
    | aperture | 0 to 1  | (1056,) | share of each bixel that the interval opens                                |
    | units    | 0 to 1  | (2,)    | the interval's share of the arc's monitor units, times 10, clipped; those  |
    |          |         |         | of the arc over the most it may need                                       |
    | gantry   | -1 to 1 | (2,)    | cosine and sine of the interval's angle                                    |
    | progress | 0 to 1  | (1,)    | share of the episode's steps that are done                                 |

    Prices are the gradient of the objective with respect to fluence, in the interval's beam's eye view: of Eq. 1, and
    of the coverage that the scale of the dose follows.

    ## Rewards
    The potential of a state is -F / F0: Eq. 1 with the protocol's start parameters, of the dose scaled to D95 = Rx of
    the primary target on the planner's points, over that of the conformal arc. A step earns the potential's difference
    (Ng, Harada & Russell, ICML 1999), so the return is 1 - F / F0, whichever path led there.

    The verdict sees more: `verdict` judges by the protocol's scorecard, on the verdict's own points, by the full dose
    instead of K, and takes the mean over all leaves 1 mm to the left and to the right.

    ## Episode End
    Truncated after the last interval of the last rotation. `info` holds the objective F / F0 and the arc's
    monitor_units; from `reset` also case and intervals, from `step` also refused.

    Parameters
    ----------
    protocol : str, Path or Protocol
    cases : iterable of Case, optional
        By default those of `RadPlanEnv`.
    machine : Machine or str
    passes : int
        Rotations of an episode.

    Raises
    ------
    ValueError
        If an argument is not as above; from `reset`, if a case's target does not fit the collimator or the raster.
    """

    metadata = {"render_modes": []}  # noqa: RUF012, as Gymnasium declares it

    def __init__(
        self,
        *,
        protocol: str | Path | Protocol = "prostate",
        cases: Iterable[Case] | None = None,
        machine: Machine | str = "millennium120",
        passes: int = PASSES,
    ) -> None:
        if isinstance(passes, bool) or not isinstance(passes, int | np.integer) or passes < 1:
            raise ValueError(f"passes is a whole number of rotations, at least 1; got {passes!r}")
        self.protocol = protocol if isinstance(protocol, Protocol) else load_protocol(protocol)
        self.machine = machine_named(machine) if isinstance(machine, str) else machine
        self.passes = int(passes)
        self._cases, self._ids = cohort_of(default_cases(self.protocol) if cases is None else cases, self.protocol)
        self.action_space: spaces.Box = _box(-1, 1, 2 * BANDS + 1)  # type: ignore[assignment]  # a Box of float32
        self.observation_space = spaces.Dict(  # type: ignore[assignment]  # Dict is typed by its spaces
            {
                "prices": _box(-1, 1, ROWS * COLUMNS),
                "aperture": _box(0, 1, ROWS * COLUMNS),
                "units": _box(0, 1, 2),
                "gantry": _box(-1, 1, 2),
                "progress": _box(0, 1, 1),
            }
        )
        self._tasks = lru_cache(_KEPT_TASKS)(partial(_Setting.of, self._cases, self.protocol, self.machine))
        self._setting: _Setting | None = None
        self._arc: Arc | None = None
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, Info]:
        """Begin with the conformal arc of a case drawn from the cohort, or of ``options["case"]``."""
        super().reset(seed=seed)
        self._setting = setting = self._tasks(choose_case(options or {}, self._ids, self.np_random))
        self._arc, self._steps = setting.start, 0
        return self._observe(), {"case": setting.task.case.id, "intervals": setting.task.intervals, **self._info()}

    def step(self, action: Array) -> tuple[Observation, float, bool, bool, Info]:
        """Move leaves and change units of the next interval."""
        before, setting = self.arc, self._running()
        if not self.action_space.contains(action := np.asarray(action, dtype=np.float32)):
            raise ValueError(f"an action is {self.action_space.shape[0]} numbers from -1 to 1, got {action!r}")
        left, right = (LEAF_MM * action.astype(float)[side * BANDS + setting.band] for side in (0, 1))
        self._arc = after = before.changed(self.interval, left, right, UNITS ** float(action[-1]))
        self._steps += 1
        reward = (before.objective - after.objective) / setting.start.objective
        over = self._steps == self.passes * setting.task.intervals
        return self._observe(), reward, False, over, {**self._info(), "refused": after is before}

    @property
    def arc(self) -> Arc:
        """The arc as it is now.

        Raises
        ------
        ResetNeeded
            Before the first `reset`.
        """
        if self._arc is None:
            raise ResetNeeded("call reset before step")
        return self._arc

    @property
    def interval(self) -> int:
        """The interval that the next step changes."""
        return self._steps % self.arc.task.intervals

    def verdict(self, kind: VerdictKind = "sampled") -> ArcVerdict:
        """Judge the arc as it is now."""
        return self.arc.task.verdict(self.arc.apertures, kind)

    def _running(self) -> _Setting:
        if self._setting is None or self._steps >= self.passes * self.arc.task.intervals:
            raise ResetNeeded("the episode is over: call reset")
        return self._setting

    def _observe(self) -> Observation:
        arc, n = self.arc, self.interval
        setting = self._setting
        assert setting is not None
        task, columns = arc.task, arc.task.columns
        place = setting.place[columns.begin[n] : columns.end[n]]
        prices, aperture = np.zeros(ROWS * COLUMNS, np.float32), np.zeros(ROWS * COLUMNS, np.float32)
        prices[place] = np.tanh(arc.prices(n) / setting.price_scale)
        aperture[place] = np.clip(arc.openness(n), 0, 1)
        units = arc.leaves.units
        total = arc.factor * units.sum() / task.mu_to_units / task.most_mu
        angle = np.radians(columns.beams[n].gantry_deg)
        return {
            "prices": prices,
            "aperture": aperture,
            "units": np.clip([10 * units[n] / units.sum(), total], 0, 1).astype(np.float32),
            "gantry": np.array([np.cos(angle), np.sin(angle)], np.float32),
            "progress": np.array([self._steps / (self.passes * task.intervals)], np.float32),
        }

    def _info(self) -> Info:
        assert self._setting is not None
        arc = self.arc
        units = float(arc.factor * arc.leaves.units.sum() / arc.task.mu_to_units)
        return {"objective": arc.objective / self._setting.start.objective, "monitor_units": units}


class _Setting:
    """A case's task with its start, and what actions and observations need of it."""

    def __init__(self, task: ArcTask) -> None:
        self.task, self.start = task, Arc.of(task, task.conformal())
        self.band, self.place = band_of_pair(task), raster_places(task)
        prices = np.concatenate([self.start.prices(n) for n in range(task.intervals)])
        self.price_scale = float(np.sqrt(np.mean(prices**2))) or 1.0

    @classmethod
    def of(cls, cases: Any, protocol: Protocol, machine: Machine, index: int) -> _Setting:
        return cls(ArcTask(cases[index], protocol, machine))


def _box(low: float, high: float, size: int) -> spaces.Box:
    return spaces.Box(low, high, (size,), np.float32)
