"""The Gymnasium environment: an agent's actions become plans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy, deepcopy
from functools import partial
from pathlib import Path
from typing import Any, Self

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from radplan_env.actions import ActionMap
from radplan_env.case import Case
from radplan_env.cohorts import choose_case, cohort_of, default_cases
from radplan_env.delivery.machine import Machine
from radplan_env.delivery.techniques import DeliverWhen
from radplan_env.episode import Episode
from radplan_env.influence import Fidelity, fidelity_named
from radplan_env.observations import Observation, ObservationMap
from radplan_env.parameters import PlanningParameters
from radplan_env.planning import DeliverySettings, Plan, PlanningSystem, PlanRequest
from radplan_env.protocol import Protocol, load_protocol
from radplan_env.render.image import IMAGE_SIZE, CaseImage
from radplan_env.render.text import plan_text
from radplan_env.rewards import Reward, ScoreImprovement
from radplan_env.scorecards import Scorecard, check_scorecard, load_scorecard, scorecard_for
from radplan_env.systems import SystemCache
from radplan_env.verdict import VerdictKind

Action = NDArray[np.float32]
Parameters = PlanningParameters | Mapping[str, Any]
"""Planning parameters, or the plain values that `PlanningParameters.from_dict` reads."""
Info = dict[str, Any]


class RadPlanEnv(gym.Env[Observation, Action]):
    """Radiotherapy treatment planning: say what the optimiser is to aim for, look at the plan, say it better.

    ## Description
    The agent takes the planner's place in the outer loop of inverse planning (GPT-RadPlan, arXiv
    2406.15609v1). It sets the weight and the objective dose of each target and organ at risk. The inner loop
    then optimises the fluence of the beams for them (Eq. 1 of the paper: squared deviation in targets,
    squared overdose elsewhere, D95 of the targets held to their prescription), and the dose is judged by the
    criteria of a clinical protocol. One step is one such solve, the unit of every budget, warm-started from
    the one before.

    Doses are those of the ideal fluence, before sequencing, or with `technique` those of the delivered plan;
    ``info["plan"]["stage"]`` says which.

    ## Action Space
    `Box(-1, 1, (2 * slots + 1,), float32)`: weight and objective dose of each slot (structure) of the protocol,
    as `[weight, dose, weight, dose, …]`. -1 and 1 are the ends of the protocol's ranges; in between, weights
    go by their logarithm and doses linearly. Coordinates of structures the patient lacks have no effect. Where the
    protocol has a `smoothness`, one more coordinate, the last, is the weight of the fluence's roughness.

    | id                     | shape | slots                                                               |
    |------------------------|-------|---------------------------------------------------------------------|
    | RadPlan/Prostate-v0    | (13,) | PTV_7020, Bladder, Rectum, Femur_Head_L, Femur_Head_R, Body         |
    | RadPlan/HeadAndNeck-v0 | (27,) | PTV_7000, PTV_6300, PTV_5600, PTV_5200, SpinalCord, Brainstem,      |
    |                        |       | Parotid_L, Parotid_R, Cavity_Oral, Larynx, Esophagus, Bone_Mandible, |
    |                        |       | Body                                                                |
    | RadPlan/TG119-v0       | (7,)  | PTV_5000, Core, Body                                                |

    An action of another shape, with NaN or outside the box raises ValueError; `gymnasium.wrappers.ClipAction`
    clips. `env.unwrapped.action_map` (`radplan_env.actions.ActionMap`) turns actions into `PlanningParameters` and
    back; its `names` say what each coordinate is.

    `step` also takes `PlanningParameters` themselves, for planners that need more than the box can say: a `Limit`,
    such as "Rectum V31Gy at most 34 %", is held by the inner loop whatever the weights. Weights and objective doses
    keep to the same ranges, and it is one solve like any other. So does ``info["start_parameters"]``, or any dict that
    `PlanningParameters.from_dict` reads.

    With `relative_step` an action is a change of the current parameters: ``relative_step * action`` is added
    to ``observation["planning_parameters"]`` and the sum stops at the ends of the box. Zero plans again with the
    same parameters; on the first step of an episode, with the protocol's start parameters. Human planners work
    this way, and so do the reinforcement-learning planners, whose actions scale a weight up or down (Shen 2020,
    doi 10.1002/mp.14114; PMC12258009: times 1.65 or 0.6).

    ## Observation Space
    A flat `Dict` of `Box`, float32 but for the image. Its sizes depend on the protocol, not on the patient.

    | key                 | range   | shape         | content                                              |
    |---------------------|---------|---------------|------------------------------------------------------|
    | dvh                 | 0 to 1  | (slots * 61,) | share of each slot's volume that receives at least   |
    |                     |         |               | 0, 2, … 120 % of the highest prescription            |
    | criteria            | 0 to 2  | (criteria,)   | value as a multiple of its limit, clipped; in the    |
    |                     |         |               | protocol's order                                     |
    | criteria_present    | 0 or 1  | (criteria,)   | whether the patient has the criterion's structure    |
    | planning_parameters | -1 to 1 | as an action  | current parameters, as an action                     |
    | present             | 0 or 1  | (slots,)      | whether the patient has the slot's structure         |
    | progress            | 0 to 1  | (1,)          | share of the budget used                             |
    | image               | uint8   | (128, 384, 3) | with `observe_image=True`: dose over CT and contours |

    `info` says it in plain Python, for agents that read. Structures stand in the order of the slots, criteria in
    that of the protocol; what the patient lacks is left out. Parameters are ``{structure: {"weight": …,
    "objective_dose_gy": …}}``, which `action_map.to_action` takes as they are.

    From `reset`:

    | key              | content                                                                           |
    |------------------|-----------------------------------------------------------------------------------|
    | case             | id, source, synthetic, structures, missing                                        |
    | protocol         | name, title, fractions, prescriptions_gy by target, criteria (structure, metric,  |
    |                  | upper, limit, unit, priority)                                                     |
    | scorecard        | name, version                                                                     |
    | start_parameters | the template plan's parameters                                                    |
    | ranges           | ``{structure: {"weight": [lowest, highest], "objective_dose_gy": …}}``            |
    | budget           | solves                                                                            |

    From `step`: `reward_terms`, and `plan`, which is `Plan.summary()` with the episode's history:

    | key of `plan`         | content                                                                      |
    |-----------------------|------------------------------------------------------------------------------|
    | stage                 | "ideal", before sequencing, or "deliverable"                                 |
    | score, met            | 0 to 100; whether every criterion is passed                                  |
    | screened, reasons     | whether the scorecard's screening is passed, None where it does not screen;  |
    |                       | why not                                                                      |
    | scaled_by             | factor to D95 = Rx of the primary target on the verdict's points             |
    | as_drawn              | d95_gy of the primary target with its skin; cropped_cc of each target        |
    | own_rows_score        | score of the unscaled dose where it was optimised: a diagnostic              |
    | complexity            | mu_per_fraction, by sliding windows; highest_over_median, of bixels. What    |
    |                       | rounding costs is told where it is asked for: `PlanningSystem.with_rounding` |
    | verdict               | "full" or "sampled"                                                          |
    | criteria              | a list of dicts: structure, metric, upper (is the limit an upper one?),      |
    |                       | limit, value, unit, priority, passed, margin (room to the limit, negative    |
    |                       | beyond it), relative_margin (by the limit). `passed` counts a tolerance in,  |
    |                       | so a coverage of 99.95 % of its limit may pass. "OutsideTargets" is no slot: |
    |                       | it answers to the parameters of Body, as does a target's CI                  |
    | metrics               | by structure and name, such as ``["Rectum"]["D5%"]``                         |
    | parameters, limits,   | what the plan was made with                                                  |
    | gantry_angles_deg,    |                                                                              |
    | collimator_angles_deg |                                                                              |
    | terms                 | by criterion: points earned, and available                                   |
    | solver                | converged, iterations, objective, kkt_residual, constraints                  |
    | delivered             | None for an ideal plan, or score, screened, technique, machine, arcs, mu and |
    |                       | seconds a fraction, mean_gap_mm, modulation_complexity, violations,          |
    |                       | ideal_score (of the fluence it was optimised from), sub_angles; robustness   |
    |                       | (of the plan that is handed over: scores and worst_shift, under errors)      |
    | history               | a dict for each solve so far: step, score, met, parameters                   |

    ## Rewards
    The improvement of the plan score, which goes from 0 to 100, over the previous step, divided by 100.
    Before the first step the score counts as 0, so the return of an episode is its last plan's score / 100.
    Another reward can be given: see `radplan_env.rewards`.

    ## Starting State
    A case is drawn from the cohort, or picked with `reset(options={"case": id})`. No solve has been spent:
    `dvh`, `criteria` and `progress` are 0, `planning_parameters` are the protocol's start parameters, with
    which no plan has been made yet, and the image shows the CT with contours and no dose.

    ## Episode End
    Truncates when the budget of solves is spent. With `terminate_when_met`, terminates when the plan meets every
    criterion of the protocol whose structure the patient has.

    ## Arguments
    `gymnasium.make("radplan_env:RadPlan/Prostate-v0", fidelity="fast", budget=10)`

    Parameters
    ----------
    protocol : str, Path or Protocol
        Name of a protocol, path of its YAML file, or the protocol itself; set by the id.
    cases : iterable of Case, optional
        Cohort to draw from. One with `ids`, such as those of `radplan_env.sources`, is read case by case. By
        default, 20 synthetic training cases for prostate, the phantom for TG-119 and none for head & neck.
    fidelity : str or Fidelity
        "coarse" (for training), "fast", "standard" or "paper": dose grid and bixel size.
    budget : int
        Solves of an episode.
    observe_image : bool
        Whether observations hold an image.
    scorecard : Scorecard or str, optional
        What scores plans, or its name: see `radplan_env.scorecards`. By default v1, or v0 for a protocol without a
        section of v1.
    verdict : {"full", "sampled"}
        Whether plans are judged on all points of the verdict or, for training, on a fixed subset of them; the last
        plan of an episode is judged in full.
    technique : {"none", "vmat", "step-and-shoot"}
        How plans are delivered, and so judged: see `PlanningSystem.deliver`. "none" leaves them ideal.
    machine : Machine or str
        Of the delivery, its name or its YAML file.
    arcs : int
        How many, with "vmat".
    deliver : {"each", "final"}
        Whether every plan is delivered, or only the last of an episode.
    terminate_when_met : bool
        Whether a plan that meets the whole protocol ends the episode.
    beam_model : str, optional
        Of every dose: see `PlanningSystem`.
    reward : Reward, optional
        `ScoreImprovement` by default.
    relative_step : float, optional
        Makes actions relative: largest change of a coordinate, above 0 and up to 2, the whole range. 0.1
        changes a weight that ranges over four decades by a factor of up to 1.58.
    render_mode : str, optional
        "rgb_array", a figure with dose on three planes, DVH and criteria, or "ansi", the same facts as text.
    gantry_angles_deg : sequence of float, optional
        Coplanar beams; the protocol's by default.
    collimator_angles_deg : float or sequence of float, optional
        One for all beams or one for each; the protocol's by default, or 0 where `gantry_angles_deg` are given.
    backend : str
        Solver of the inner loop.
    cache_dir : str or Path, optional
        Where dose-influence matrices are kept: see `radplan_env.influence.influence`. Nowhere by default.
    progress : bool
        Whether work of more than a few seconds shows a progress bar.

    Raises
    ------
    ValueError
        If an argument is not as above, or the protocol has no default cases; from `reset`, for an unknown
        option or case; from `step`, for an invalid action.
    CaseError
        If a case lacks the protocol's primary target.
    gymnasium.error.ResetNeeded
        From `step` and `render`, outside an episode.

    ## Version History
    * v0: initial version
    """

    metadata = {"render_modes": ["rgb_array", "ansi"], "render_fps": 1}  # noqa: RUF012, as Gymnasium declares it

    def __init__(
        self,
        *,
        protocol: str | Path | Protocol = "prostate",
        cases: Iterable[Case] | None = None,
        fidelity: str | Fidelity = "fast",
        budget: int = 10,
        observe_image: bool = False,
        scorecard: Scorecard | str | None = None,
        verdict: VerdictKind = "full",
        technique: str = "none",
        machine: Machine | str = "millennium120",
        arcs: int = 1,
        deliver: DeliverWhen = "each",
        terminate_when_met: bool = False,
        beam_model: str | None = None,
        reward: Reward | None = None,
        relative_step: float | None = None,
        render_mode: str | None = None,
        gantry_angles_deg: Sequence[float] | None = None,
        collimator_angles_deg: float | Sequence[float] | None = None,
        backend: str = "newton",
        cache_dir: str | Path | None = None,
        progress: bool = True,
    ) -> None:
        modes = self.metadata["render_modes"]
        if render_mode not in (None, *modes):
            raise ValueError(f"unknown render_mode {render_mode!r}: choose from {', '.join(modes)}")
        if isinstance(budget, bool) or not isinstance(budget, int | np.integer) or budget < 1:
            raise ValueError(f"budget is a whole number of solves, at least 1; got {budget!r}")
        if relative_step is not None and not 0 < relative_step <= 2:
            raise ValueError(f"relative_step must be above 0 and at most 2, got {relative_step!r}")
        fidelity = fidelity_named(fidelity)  # an unknown one is refused here, not at the first reset
        self.protocol = protocol if isinstance(protocol, Protocol) else load_protocol(protocol)
        self.scorecard = scorecard_for(self.protocol) if scorecard is None else load_scorecard(scorecard)
        check_scorecard(self.scorecard, self.protocol)
        self.budget = int(budget)
        self.terminate_when_met = terminate_when_met
        self.render_mode = render_mode
        self.action_map = ActionMap(self.protocol)
        self.action_space = self.action_map.space
        self._observations = ObservationMap(self.protocol, self.budget, IMAGE_SIZE if observe_image else None)
        self.observation_space = self._observations.space  # type: ignore[assignment]  # Dict is typed by its spaces
        self.relative_step = relative_step
        self._reward = ScoreImprovement() if reward is None else reward
        cases, self._ids = cohort_of(default_cases(self.protocol) if cases is None else cases, self.protocol)
        self._episode: Episode | None = None

        settings: dict[str, Any] = {"fidelity": fidelity, "gantry_angles_deg": gantry_angles_deg, "backend": backend}
        settings |= {"collimator_angles_deg": collimator_angles_deg, "scorecard": self.scorecard}
        settings |= {"verdict": verdict, "beam_model": beam_model}
        settings |= {"delivery": DeliverySettings(technique, machine, arcs, deliver)}
        settings |= {"cache_dir": cache_dir, "progress": progress}
        self._systems = SystemCache(partial(_system, cases, self.protocol, settings))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, Info]:
        """Begin an episode on a case drawn from the cohort, or on ``options["case"]``; see the class."""
        super().reset(seed=seed)
        system = self._systems(choose_case(options or {}, self._ids, self.np_random))
        self._episode = episode = Episode(system, system.protocol.start_parameters())
        if self._observations.image_size is not None:
            rx_gy = self.protocol.primary.prescription_gy
            episode.image = CaseImage(system.case, rx_gy, self._observations.image_size, system.grid)
        return self._observe(episode), {**episode.task(self.action_map, self.budget)}

    def step(self, action: Action | Parameters) -> tuple[Observation, float, bool, bool, Info]:
        """Plan with the parameters the action stands for, or with parameters as they are: one solve; see the class."""
        plan = self._make_plan(self.request(action))
        episode = self._running()
        before = episode.plan
        terminated = self.terminate_when_met and plan.evaluation.met
        truncated = not terminated and len(episode.history) + 1 == self.budget
        if terminated or truncated:
            plan = self.system.judged_in_full(plan)
        reward, terms = self._reward(None if before is None else before.evaluation, plan.evaluation)
        episode.add(plan)
        episode.over = terminated or truncated
        info: Info = {"plan": episode.summary(), "reward_terms": terms}
        return self._observe(episode), float(reward), terminated, truncated, info

    def request(self, action: Action | Parameters) -> PlanRequest:
        """What `step` would ask the planning system for this action; nothing is solved and nothing changes.

        Raises
        ------
        ValueError
            For an invalid action, or parameters that no action stands for, limits and gantry angles apart.
            For gantry angles that `check_beams` refuses.
        gymnasium.error.ResetNeeded
            Outside an episode.
        """
        episode = self._running()
        if episode.over:
            raise ResetNeeded("the episode is over: call reset before the next step")
        structures = episode.system.protocol.structures
        if isinstance(action, Mapping):
            action = PlanningParameters.from_dict(action)
        if isinstance(action, PlanningParameters):
            self.action_map.to_action(action.of_action())  # the same ranges for everyone
            episode.check_beams(action.gantry_angles_deg)
            parameters = action
        elif self.relative_step is None:
            parameters = self.action_map.to_parameters(action, structures)
        else:
            parameters = self.action_map.moved(episode.parameters, action, self.relative_step, structures)
        return PlanRequest(parameters, warm_start=episode.plan)

    def check_beams(self, *sets: tuple[float, ...] | None) -> None:
        """See that the episode may plan with these gantry angles: raise ValueError where it may not.

        An episode may plan with two sets of its own beside the environment's, each of as many beams.
        """
        self._running().check_beams(*sets)

    def sibling(self) -> Self:
        """Return another environment with the same arguments that shares this one's cases in memory."""
        sibling = copy(self)
        sibling.action_space, sibling.observation_space = deepcopy((self.action_space, self.observation_space))
        sibling._episode = sibling._np_random = sibling._np_random_seed = None
        return sibling

    def render(self) -> Any:
        """Return the current plan as pixels or text; before the first step, the case without a dose."""
        episode = self._running()
        if self.render_mode == "ansi":
            return plan_text(episode.summary())
        if self.render_mode == "rgb_array":
            return self._pixels(episode)
        gym.logger.warn('render() needs a mode: gymnasium.make(…, render_mode="rgb_array") or "ansi"')
        return None

    def close(self) -> None:
        """Let go of the cases kept in memory."""
        self._episode = None
        self._systems.clear()

    @property
    def plan(self) -> Plan | None:
        """The current plan, to save or to look into; None before the first step."""
        return None if self._episode is None else self._episode.plan

    @property
    def over(self) -> bool:
        """Whether the episode has ended, or none has begun."""
        return self._episode is None or self._episode.over

    @property
    def system(self) -> PlanningSystem:
        """The planning system of the episode's case."""
        return self._running().system

    def _make_plan(self, request: PlanRequest) -> Plan:
        return self.system.plan_batch([request])[0]

    def _running(self) -> Episode:
        if self._episode is None:
            raise ResetNeeded("there is no episode yet: call reset first")
        return self._episode

    def _observe(self, episode: Episode) -> Observation:
        plan, image = episode.plan, None
        if episode.image is not None:
            dose = np.zeros(episode.system.grid.shape, np.float32) if plan is None else plan.dose_gy
            image = episode.image.render(dose)
        return self._observations.observe(
            episode.system.protocol,
            episode.parameters,
            None if plan is None else plan.evaluation,
            solves=len(episode.history),
            image=image,
        )

    def _pixels(self, episode: Episode) -> NDArray[np.uint8]:
        from radplan_env.render import figure_to_rgb, plan_figure  # matplotlib is slow to import

        case, plan = episode.system.case, episode.plan
        dose = np.zeros(case.grid.shape, np.float32) if plan is None else plan.dose_on(case.grid)
        solves = len(episode.history)
        figure = plan_figure(
            case,
            dose,
            episode.summary(),
            prescription_gy=self.protocol.primary.prescription_gy,
            title=f"{case.id}, " + (f"solve {solves} of {self.budget}" if solves else "no plan yet"),
            dvh=None if plan is None else plan.evaluation.dvh,
        )
        return figure_to_rgb(figure)


def _system(cases: Sequence[Case], protocol: Protocol, settings: Mapping[str, Any], index: int) -> PlanningSystem:
    return PlanningSystem(cases[index], protocol, **settings)
