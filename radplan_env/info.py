"""What travels as plain values: what `RadPlanEnv` tells in `info`, what records keep, what agents read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

PlainParameters = dict[str, dict[str, float]]
"""Weight and objective dose by structure: ``{"Rectum": {"weight": 5, "objective_dose_gy": 0}, …}``."""

StageKind = Literal["ideal", "deliverable"]


class CriterionTask(TypedDict):
    """A criterion before there is a plan."""

    structure: str
    metric: str
    upper: bool
    """Whether the limit is an upper one."""
    limit: float
    unit: str
    priority: int


class CriterionReport(CriterionTask):
    """How a plan does on a criterion."""

    value: float
    passed: bool
    """Tolerance counted in."""
    margin: float
    """Room to the limit in the metric's unit, negative beyond it."""
    relative_margin: float
    """The margin as a fraction of the limit."""


class TermReport(TypedDict):
    """A term of the score: points earned, and points there are."""

    points: float
    available: float


class Complexity(TypedDict):
    """What delivering a fluence would take."""

    mu_per_fraction: float
    highest_over_median: float
    """Highest bixel over the median of those above 0."""
    rounding_costs: NotRequired[float]
    """Points that rounding to ten levels costs, where it was asked for: `PlanningSystem.with_rounding`."""


class AsDrawn(TypedDict):
    """Targets with what lies under the skin, which is neither planned nor judged."""

    d95_gy: float
    """D95 of the primary target as drawn, after scaling."""
    cropped_cc: dict[str, float]
    """What cropping takes from each target."""


class RobustnessSummary(TypedDict):
    """What becomes of a delivered plan that is handed over under errors; nothing is scaled afterwards."""

    scores: dict[str, float]
    """By error, such as "leaves +0.5 mm", and "nominal": on the sampled points, at the planner's angles."""
    worst_shift: dict[str, float]
    """Worst value under shifts of 3 mm of what the screen asks then, such as "SpinalCord D0.1cc"."""


class DeliverySummary(TypedDict):
    """How a plan is delivered, and what the verdict says of that."""

    score: float
    screened: bool | None
    technique: str
    machine: str
    arcs: int
    mu: float
    """In one fraction."""
    seconds: float
    """How long a fraction takes."""
    mean_gap_mm: float
    """Of exposed open leaf pairs, weighted by monitor units."""
    modulation_complexity: float
    """1 for an open field, less for more modulation: McNiven 2010."""
    violations: int
    """Limits of the machine that it breaks."""
    ideal_score: float
    """Of the fluence that its apertures were optimised from."""
    sub_angles: int
    """Into how many parts an interval of an arc was divided for the dose."""
    robustness: RobustnessSummary | None
    """None within an episode."""


class PlanSummary(TypedDict):
    """A plan as `Plan.summary` gives it: ``info["plan"]``, and a step of a record."""

    case: str
    stage: StageKind
    """What the plan's dose is of: an ideal fluence, or a deliverable plan; see `radplan_env.planning.caption`."""
    score: float
    screened: bool | None
    """Whether the plan passes the scorecard's screen; a plan that does not ranks below all that do."""
    reasons: list[str]
    """Why it does not."""
    verdict: Literal["full", "sampled"]
    """Whether it was judged on all points of the verdict."""
    scaled_by: float
    """Factor to D95 = Rx of the primary target on the verdict's points."""
    as_drawn: AsDrawn
    own_rows_score: float
    """Score of the unscaled dose where it was optimised: a diagnostic."""
    complexity: Complexity
    met: bool
    metrics: Mapping[str, Mapping[str, float]]
    criteria: list[CriterionReport]
    parameters: PlainParameters
    limits: list[dict[str, Any]]
    smoothness: float | None
    gantry_angles_deg: list[float]
    collimator_angles_deg: list[float]
    terms: dict[str, TermReport]
    solver: dict[str, Any]
    delivered: DeliverySummary | None
    """None for a plan that is ideal only."""
    history: NotRequired[list[HistoryEntry]]


class HistoryEntry(TypedDict):
    """A solve of an episode so far."""

    step: int
    score: float
    met: bool
    parameters: PlainParameters


class CaseTask(TypedDict):
    """The patient of an episode."""

    id: str
    source: str
    synthetic: bool
    structures: list[str]
    missing: list[str]


class ProtocolTask(TypedDict):
    """What an episode's plan is to achieve."""

    name: str
    title: str
    fractions: int
    prescriptions_gy: dict[str, float]
    criteria: list[CriterionTask]


class ScorecardTask(TypedDict):
    """By what an episode's plans are scored."""

    name: str
    version: str


class TaskInfo(TypedDict):
    """What `RadPlanEnv.reset` tells."""

    case: CaseTask
    protocol: ProtocolTask
    scorecard: ScorecardTask
    ranges: dict[str, dict[str, list[float]]]
    start_parameters: PlainParameters
    budget: int


class StepInfo(TypedDict):
    """What `RadPlanEnv.step` tells."""

    plan: PlanSummary
    reward_terms: dict[str, float]
