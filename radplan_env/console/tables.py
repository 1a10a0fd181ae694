"""What is told of a plan, in plain values: its outcome, criteria, score terms and limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from radplan_env.evaluation import CriterionResult
from radplan_env.fluence.solver import ConstraintReport

from .desk import Desk, Solved

DIGITS = 4
"""Significant digits of what is told."""

COSTLIEST = 6
"""Terms of the score that an outcome lists."""


_LEAST = 1e-12  # an objective of less is none


def figure(value: float) -> float:
    """Return a number with as many digits as a planner reads."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else value


def outcome(desk: Desk, solved: Solved) -> dict[str, Any]:
    """Return what a solve came to: the answer of `plan`."""
    judged = solved.plan.evaluation
    told: dict[str, Any] = {
        "plan": solved.number,
        "base": "start" if solved.base is None else solved.base.number,
        "score": round(solved.score, 2),
        "solves_left": desk.solves_left,
    }
    if solved.base is not None:
        told["score_change"] = round(solved.score - solved.base.score, 2)
    if best := desk.best:
        told["best_plan"] = best.number
    if solved.plan.gantry_angles_deg != desk.system.gantry_angles_deg:
        told["gantry_angles_deg"] = list(solved.plan.gantry_angles_deg)
    if solved.clamped:
        told["clamped"] = list(solved.clamped)
    told["criteria_met"] = f"{sum(each.passed for each in judged.criteria)} of {len(judged.criteria)}"
    told["failing"] = [_spoken(each) for each in judged.criteria if not each.passed]
    if flips := [row for row in criteria(solved) if "flipped" in row]:
        told["flipped"] = [f"{row['criterion']} {row['flipped']}" for row in flips]
    told["costliest_terms"] = [
        f"{row['term']}: {row['points_lost']:g} of {row['of']:g} points lost" for row in points(solved)[:COSTLIEST]
    ]
    if not_held := [name for name, report in _reports(solved) if not report.met]:
        told["limits_not_held"] = not_held
    if judged.screened is False:
        told["refused"] = list(judged.verdict.reasons)
    return told


def _spoken(result: CriterionResult) -> str:
    unit = f" {result.criterion.unit}".rstrip()
    return f"{result.criterion.bound.words}: {figure(result.value):g}{unit}, beyond by {figure(-result.margin):g}{unit}"


def criteria(solved: Solved) -> list[dict[str, Any]]:
    """Return the protocol's criteria, those that fail first; "flipped" where passing has changed since the base."""
    before = {} if solved.base is None else {each.criterion.name: each for each in solved.base.plan.evaluation.criteria}
    rows = []
    for each in sorted(solved.plan.evaluation.criteria, key=lambda each: (each.passed, each.criterion.priority)):
        row = {
            "criterion": each.criterion.name,
            "passed": each.passed,
            "value": figure(each.value),
            "limit": each.criterion.bound.side,
            "room": figure(each.margin),
            "priority": each.criterion.priority,
        }
        if (old := before.get(each.criterion.name)) is not None:
            row["change"] = figure(each.value - old.value)
            if old.passed != each.passed:
                row["flipped"] = "now passes" if each.passed else "now fails"
        rows.append(row)
    return rows


def points(solved: Solved) -> list[dict[str, Any]]:
    """Return points lost and available by term of the score, the costliest first."""
    judged = solved.plan.evaluation
    rows = [
        {"term": name, "points_lost": round(judged.available[name] - earned, 2), "of": round(judged.available[name], 2)}
        for name, earned in judged.terms.items()
    ]
    return sorted(rows, key=lambda row: -row["points_lost"])


def terms(desk: Desk, solved: Solved) -> list[dict[str, Any]]:
    """Return the terms of the score: value, points lost of those available, and where they earn most and least."""
    scorecard, protocol = desk.system.scorecard, desk.system.protocol
    known = {term.name: term for term in scorecard.terms(protocol)}
    all_at, none_at = scorecard.ends
    rows = []
    for row in points(solved):
        term = known[row["term"]]
        unit = f" {term.unit}".rstrip()
        row["value"] = measured(desk, solved, term.name)
        rows.append({**row, all_at: f"{figure(term.all_at):g}{unit}", none_at: f"{figure(term.none_at):g}{unit}"})
    return rows


def measured(desk: Desk, solved: Solved, name: str) -> float | None:
    """Return the value of "structure metric"; None where the patient has no such structure."""
    structure, _, metric = name.partition(" ")
    if (known := solved.plan.evaluation.metrics.get(structure, {}).get(metric)) is not None:
        return figure(known)
    view = desk.view(solved)
    if not view.has(structure):
        return None
    try:
        return figure(view.metric(structure, metric))
    except ValueError:  # a term of a scorecard that is no metric of one structure
        return None


def limits(desk: Desk, solved: Solved) -> list[dict[str, Any]]:
    """Return the plan's limits, and the coverage that is always held: held or not, at what value, and at what price.

    `held_in_solve` says that the inner loop met it on what it sees, with 1 % to spare; the value is that of the
    verdict, and `kept` whether that keeps the limit as well. The price is the Lagrange multiplier: by how much of
    itself, in %, the objective would fall if the limit's dose were moved by 1 Gy, to first order. For V_d at most v it
    is the dose d. None where multipliers are not known.
    """
    solution, held = solved.plan.solution, {each.bound.words: each for each in solved.plan.parameters.limits}
    rows = []
    for words, report in _reports(solved):
        pulls = solution.multipliers.get((report.structure, report.metric, report.relation))
        limit = held.get(words)
        name = f"{report.structure} {report.metric}" if limit is None else limit.name
        value = measured(desk, solved, name)
        rows.append(
            {
                "limit": words,
                "asked_by": "protocol" if limit is None else "planner",
                "held_in_solve": report.met,
                "as_judged": value,
                "kept": None if limit is None or value is None else limit.bound.passes(value),
                "unit": "Gy" if limit is None else limit.bound.unit,
                "price_percent_per_gy": None
                if pulls is None
                else figure(100 * price_per_gy(pulls) / max(solution.objective, _LEAST)),
            }
        )
    return rows


def _reports(solved: Solved) -> list[tuple[str, ConstraintReport]]:
    """The inner loop's constraints as planners write them: the targets' coverage, then the plan's limits."""
    reports, chosen = solved.plan.solution.constraints, solved.plan.parameters.limits
    coverages = [
        f"{c.structure} {c.metric} {c.relation} {c.dose_gy:g} Gy" for c in reports[: len(reports) - len(chosen)]
    ]
    return list(zip([*coverages, *(limit.bound.words for limit in chosen)], reports, strict=True))


def price_per_gy(multipliers: tuple[Any, Any]) -> float:
    """Return |Σλ|, by how much the objective changes, to first order, when a constraint's dose is moved by 1 Gy."""
    lower, upper = multipliers
    return abs(float(lower.sum() - upper.sum()))


def described(desk: Desk) -> Mapping[str, Any]:
    """Return what is to be planned: the answer of `task`. Nothing in it names the patient."""
    protocol, scorecard, env = desk.system.protocol, desk.system.scorecard, desk.env
    volumes, ranges = desk.system.judge.points.region_cc, env.action_map.ranges()
    own = protocol.protocol.smoothness
    described: dict[str, Any] = {
        "title": protocol.protocol.title,
        "fractions": protocol.protocol.fractions,
        "prescriptions_gy": {target.structure: target.prescription_gy for target in protocol.targets},
        "goal": "The highest score, of 100, of a plan that the scorecard does not refuse. Criteria tell what a clinic "
        "asks; passing all of them does not end the episode, and each point counts.",
        "criteria": [f"{each.bound.words} (priority {each.priority})" for each in protocol.criteria],
        "score_terms": [
            f"{t.name}: {t.points:.3g} points; {scorecard.ends[0]} {figure(t.all_at):g} {t.unit}".rstrip()
            + f", {scorecard.ends[1]} {figure(t.none_at):g} {t.unit}".rstrip()
            for t in scorecard.terms(protocol)
        ],
        "structures": {
            name: {
                "volume_cc": figure(volumes[name]),
                "template_weight": desk.start.structures[name].weight,
                "template_objective_dose_gy": desk.start.structures[name].objective_dose_gy,
                "weight_range": list(ranges[name]["weight"]),
                "objective_dose_range_gy": list(ranges[name]["objective_dose_gy"]),
            }
            for name in protocol.structures
        },
        "beams_gantry_deg": list(desk.system.gantry_angles_deg),
        "budget_solves": env.budget,
        "solves_left": desk.solves_left,
    }
    if own is not None:
        described["smoothness"] = {"template": own.start, "range": list(own.range)}
    return described
