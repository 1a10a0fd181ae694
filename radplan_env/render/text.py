"""A plan as aligned plain text: the facts of the figure, for terminals and language models."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radplan_env.info import PlanSummary, TermReport

DVH_PERCENT = (20, 40, 60, 80, 90, 95, 98, 102, 105, 107)
"""Doses that DVH tables are read at, in % of the prescription: few enough for a model to find its way.

Not at 100 %: the inner loop holds D95 there, many voxels lie on it to the last digit, and V100 % hangs on rounding.
"""


def plan_text(summary: PlanSummary) -> str:
    """Return a plan's summary as text.

    Parameters
    ----------
    summary : Mapping
        What `Plan.summary()` returns: case, score, met, metrics, criteria, parameters, terms, solver.

    Returns
    -------
    str
        Score and verdict, then a table each of the criteria, the metrics, the planning parameters and the
        score's terms, the constraints of the inner loop, and a line on the solver. Doses in Gy, volumes in %.
    """
    parts = [
        f"{summary['case']}: {verdict(summary)}",
        _criteria(summary["criteria"]),
        _metrics(summary["metrics"]),
        _parameters(summary["parameters"]),
        _terms(summary["terms"]),
        _constraints(summary["solver"].get("constraints", ())),
        solver_line(summary["solver"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def dvh_text(curves: Mapping[str, tuple[NDArray[Any], NDArray[Any]]], *, prescription_gy: float) -> str:
    """Return dose-volume histograms as a table: what each structure receives at least, in % of its volume.

    Language models read numbers off a plot poorly; a table gives them.

    Parameters
    ----------
    curves : Mapping
        Structure name to (doses in Gy, ascending; volume in %): what `Evaluation.dvh` holds.
    prescription_gy : float
        Prescription of the primary target, Gy: the doses of the columns are round percentages of it.
    """
    doses = [percent * prescription_gy / 100 for percent in DVH_PERCENT]
    rows = [[name, *(number(volume, 1) for volume in np.interp(doses, *curve))] for name, curve in curves.items()]
    header = [["% of volume at", *(f"{dose:.1f}" for dose in doses)], ["% of Rx", *map(str, DVH_PERCENT)]]
    return aligned([*header, *rows], "<" + ">" * len(doses)) + f"\n(doses in Gy; Rx = {prescription_gy:g} Gy)"


def verdict(summary: PlanSummary) -> str:
    """Return "score 77.5 of 100, 14 of 18 criteria met", or that there is no plan yet."""
    criteria = summary["criteria"]
    if not criteria:
        return "no plan yet"
    met = sum(bool(criterion["passed"]) for criterion in criteria)
    return f"score {summary['score']:.1f} of 100, {met} of {len(criteria)} criteria met"


def solver_line(solver: Mapping[str, Any]) -> str:
    """Return one line on how the inner loop ended; nothing where it has not run."""
    if math.isnan(solver["objective"]):
        return ""
    how = "converged" if solver["converged"] else "did NOT converge"
    return (
        f"solver {how} in {solver['iterations']} iterations, objective {solver['objective']:.6g}, "
        f"KKT residual {solver['kkt_residual']:.1e}"
    )


def criterion_row(criterion: Mapping[str, Any]) -> tuple[str, str, str, str, str, str]:
    """Return verdict, structure, metric, limit, value and margin (positive on the good side) as text."""
    limit, value, unit = float(criterion["limit"]), float(criterion["value"]), str(criterion["unit"])
    digits = _digits(limit, value, unit, passed=bool(criterion["passed"]))
    suffix = f" {unit}" if unit else ""
    return (
        "PASS" if criterion["passed"] else "FAIL",
        str(criterion["structure"]),
        str(criterion["metric"]),
        f"{'≤' if criterion['upper'] else '≥'} {number(limit, digits)}{suffix}",
        f"{number(value, digits)}{suffix}",
        number(float(criterion["margin"]), f"{{:+z.{digits}f}}"),
    )


def number(value: float | None, how: int | str = 2) -> str:
    """Return a number with so many decimals, or in a format; a dash where there is none."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.{how}f}" if isinstance(how, int) else how.format(value)


def _digits(limit: float, value: float, unit: str, *, passed: bool) -> int:
    """Return the usual number of decimals, or more: a value that fails must not look like its limit."""
    usual = {"Gy": 2, "%": 1}.get(unit, 3 if abs(limit) < 1 else 2)
    if passed:
        return usual
    return next((d for d in range(usual, 6) if number(value, d) != number(limit, d)), 6)


def _criteria(criteria: Sequence[Mapping[str, Any]]) -> str:
    header = ("criteria", "structure", "metric", "limit", "value", "margin", "priority")
    table = aligned([header, *((*criterion_row(c), str(c["priority"])) for c in criteria)], "<<<>>>>")
    if any(c["passed"] and c["margin"] < 0 for c in criteria):
        table += "\n(PASS with a negative margin: within the criterion's tolerance)"
    return table


def _metrics(metrics: Mapping[str, Mapping[str, float]]) -> str:
    """Return a block for each set of structures that share their metrics, so that no table has holes."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for structure, values in metrics.items():
        groups.setdefault(tuple(values), []).append(structure)
    blocks = []
    for names, structures in groups.items():
        digits = [_METRIC_DIGITS.get(name[0], 2) for name in names]
        rows = [[s, *map(number, metrics[s].values(), digits)] for s in structures]
        blocks.append(aligned([["metrics", *names], *rows], "<" + ">" * len(names)))
    units = "(doses in Gy; volumes V in % of the structure; HI and CI are indices)"
    return "\n\n".join([*blocks, units]) if blocks else ""


_METRIC_DIGITS = {"V": 1, "C": 3}
"""Decimals by a metric's first letter: volumes, conformity index."""


def _parameters(parameters: Mapping[str, Mapping[str, float]]) -> str:
    header = ("parameters", "weight", "objective dose [Gy]")
    rows = [(s, number(p["weight"], "{:.4g}"), number(p["objective_dose_gy"])) for s, p in parameters.items()]
    return aligned([header, *rows], "<>>")


def _terms(terms: Mapping[str, TermReport]) -> str:
    rows = [(name, number(term["points"]), number(term["available"])) for name, term in terms.items()]
    return aligned([("score terms", "points", "of"), *rows], "<>>")


def _constraints(constraints: Sequence[Mapping[str, Any]]) -> str:
    header = ("constraints", "metric", "bound", "reached", "")
    rows = [
        (
            c["structure"],
            c["metric"],
            f"{c['relation']} {number(c['dose_gy'])} Gy",
            f"{number(c['achieved_gy'], 3)} Gy",
            "met" if c["met"] else "NOT met",
        )
        for c in constraints
    ]
    return aligned([header, *rows], "<<>><")


def aligned(rows: Sequence[Iterable[str]], aligns: str) -> str:
    """Return rows as aligned columns, the first row being the header; nothing if there is only that."""
    cells = [list(row) for row in rows]
    if len(cells) == 1:
        return ""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    formats = [f"{{:{align}{width}}}" for align, width in zip(aligns, widths, strict=True)]
    lines = ("  ".join(f.format(cell) for f, cell in zip(formats, row, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)
