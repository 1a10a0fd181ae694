"""From planning parameters to the inner loop's problem, on the rows of one case."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from radplan_env.fluence import CONSTRAINT_TOLERANCE, DoseConstraint, FluenceProblem, FluenceSolution, Smoothness, Term
from radplan_env.fluence.constraints import Relation
from radplan_env.influence.rows import Rows
from radplan_env.limits import Limit
from radplan_env.parameters import PlanningParameters
from radplan_env.protocol import OUTSIDE_TARGETS, BoundProtocol

Index = NDArray[np.int64]

SAMPLED_MARGIN = 0.01
"""Share of a limit's dose by which it is held more strictly on sampled rows: between them the dose is not seen."""


class InnerProblem:
    """Says planning parameters in the inner loop's terms.

    Parameters
    ----------
    protocol : BoundProtocol
    case_id : str
        For messages.
    rows : Rows
        What the inner loop sees of the case.
    """

    def __init__(self, protocol: BoundProtocol, case_id: str, rows: Rows) -> None:
        self._protocol, self._case_id, self._points = protocol, case_id, rows
        self._rows = with_outside(rows, protocol)
        self._term_rows = self._disjoint_rows()

    @property
    def target(self) -> DoseConstraint:
        """Coverage of the primary target."""
        primary = self._protocol.primary.structure
        return next(each for each in self._coverages() if each.structure == primary)

    def problem(
        self,
        parameters: PlanningParameters,
        start: FluenceSolution | None = None,
        smoothness: Smoothness | None = None,
        beyond_k: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
    ) -> FluenceProblem:
        """Return the problem that parameters pose.

        Raises
        ------
        ValueError
            If a structure has no parameters, or one with parameters or a limit is none of this case's.
        """
        self.check(parameters)
        held = [self._constraint(limit) for limit in parameters.limits]
        return FluenceProblem(self._terms(parameters), [*self._coverages(), *held], start, smoothness, beyond_k)

    def check(self, parameters: PlanningParameters) -> None:
        """Raise ValueError if parameters are not for the structures of this case."""
        wanted, given = set(self._protocol.structures), set(parameters.structures)
        if missing := wanted - given:
            raise ValueError(f"no parameters for {', '.join(sorted(missing))}; weight 0 leaves a structure out")
        if unknown := given - wanted:
            raise ValueError(
                f"parameters for {', '.join(sorted(unknown))}, which protocol {self._protocol.name!r} and case "
                f"{self._case_id!r} do not share; there are: {', '.join(self._protocol.structures)}"
            )

    def _disjoint_rows(self) -> dict[str, Index]:
        """Give each row to the first structure that holds it: targets by prescription, then organs, body last.

        As in matRad, so that an organ's objective does not pull at the target it overlaps; metrics see whole organs.
        """
        free = np.ones(self._points.index.size, dtype=bool)
        disjoint = {}
        for structure in self._protocol.structures:
            rows = self._rows[self._protocol.case_name[structure]]
            disjoint[structure] = rows[free[rows]]
            free[rows] = False
        return disjoint

    def _terms(self, parameters: PlanningParameters) -> list[Term]:
        targets = {target.structure for target in self._protocol.targets}
        return [
            Term(
                structure,
                rows,
                chosen.weight,
                chosen.objective_dose_gy,
                one_sided=structure not in targets,
                volumes_cc=self._points.volumes_of(rows),
            )
            for structure, rows in self._term_rows.items()
            if rows.size > 0
            for chosen in [parameters.structures[structure]]
        ]

    def _coverages(self) -> list[DoseConstraint]:
        primary = self._protocol.primary.structure
        return [
            DoseConstraint(
                target.structure,
                rows,
                "=" if target.structure == primary else "≥",
                target.prescription_gy,
                volumes_cc=self._points.volumes_of(rows),
                coverage=True,
            )
            for target in self._protocol.targets
            for rows in [self._rows[self._protocol.case_name[target.structure]]]
        ]

    def _constraint(self, limit: Limit) -> DoseConstraint:
        known = {**self._protocol.case_name, OUTSIDE_TARGETS: OUTSIDE_TARGETS}
        if limit.structure not in known:
            raise ValueError(
                f"limit on {limit.name}: protocol {self._protocol.name!r} and case {self._case_id!r} share no such "
                f"structure; there are: {', '.join(known)}"
            )
        rows = self._rows[known[limit.structure]]
        percent, dose_gy = limit.dose_bound(self._points.volume_cc(rows))
        # Voxels held at a dose lie about it as closely as the solver aims. Just beyond it, V_d would count them all.
        margin = 2 * CONSTRAINT_TOLERANCE if self._points.equal else SAMPLED_MARGIN
        bound_gy = dose_gy * (1 - margin) if limit.upper else dose_gy * (1 + margin)
        relation: Relation = "≤" if limit.upper else "≥"
        return DoseConstraint(limit.structure, rows, relation, bound_gy, percent, self._points.volumes_of(rows))


def with_outside(rows: Rows, protocol: BoundProtocol) -> Mapping[str, Index]:
    """Return the rows of each structure, with those outside the targets, as drawn, as another one."""
    outside = np.ones(rows.index.size, dtype=bool)
    for target in protocol.targets:
        name = protocol.case_name[target.structure]
        outside[rows.members.get(f"{target.structure}.whole", rows.members[name])] = False
    return {**rows.members, OUTSIDE_TARGETS: np.flatnonzero(outside)}
