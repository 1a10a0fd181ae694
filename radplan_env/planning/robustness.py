"""What becomes of a delivered plan when leaves, monitor units or the patient's position are a little off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from radplan_env.delivery.apertures import Apertures
from radplan_env.delivery.delivered import Delivery
from radplan_env.evaluation import Evaluation
from radplan_env.grid import Triple
from radplan_env.verdict import Judge

LEAF_MM, UNITS, SHIFT_MM = 0.5, 0.01, 3.0
"""Errors of leaf ends, of monitor units (a share), and of the isocentre along each axis."""

NOMINAL = "nominal"


@dataclass(frozen=True)
class Robustness:
    """Verdicts of one delivered plan under errors; no error is scaled away.

    Parameters
    ----------
    evaluations : Mapping of str to Evaluation
        By error, the plan without any first: on the sampled points, at the planner's intervals.
    """

    evaluations: Mapping[str, Evaluation]

    @property
    def scores(self) -> dict[str, float]:
        """The score under each error."""
        return {name: evaluation.score for name, evaluation in self.evaluations.items()}

    @property
    def reasons(self) -> tuple[str, ...]:
        """What the plan would be screened for under an error, and is not without: such as a cold core or a hot cord."""
        known = {_what(reason) for reason in self.evaluations[NOMINAL].verdict.reasons}
        return tuple(
            f"{name}: {reason}"
            for name, evaluation in self.evaluations.items()
            for reason in evaluation.verdict.reasons
            if _what(reason) not in known
        )


def robustness(judge: Judge, delivery: Delivery) -> Robustness:
    """Return the verdicts of apertures under errors of leaves, monitor units and position.

    A shift moves the beams and leaves every point its radiological depth, which saves tracing them again. Against the
    full trace of one prostate that changed the score by 0.15 points at most; necks were not measured
    (docs/delivery.md).

    Parameters
    ----------
    judge : Judge
        Of the plan's case.
    delivery : Delivery
    """
    points = judge.sampled_points
    traced = judge.prepared(delivery.beams(), points)

    def judged(apertures: Apertures, isocentre_mm: Triple) -> NDArray[np.float32]:
        beams = tuple(replace(beam, isocentre_mm=isocentre_mm) for beam in traced.beams)
        rasters = replace(delivery, apertures=apertures).rasters(judge.beam_model)
        return replace(traced, beams=beams).dose(rasters)

    def doses() -> Iterator[tuple[str, NDArray[np.float32]]]:
        apertures, middle = delivery.apertures, delivery.isocentre_mm
        nominal = judged(apertures, middle)
        yield NOMINAL, nominal
        for sign in (-1, 1):
            yield f"leaves {sign * LEAF_MM:+g} mm", judged(opened(apertures, sign * LEAF_MM), middle)
            yield f"units {100 * sign * UNITS:+g} %", nominal * np.float32(1 + sign * UNITS)
            for axis, name in enumerate("zyx"):
                z, y, x = np.array(middle) + sign * SHIFT_MM * np.eye(3)[axis]
                yield f"{name} {sign * SHIFT_MM:+g} mm", judged(apertures, (float(z), float(y), float(x)))

    return Robustness(
        {name: judge.judge_dose(dose, points, "sampled", scale=False).evaluation for name, dose in doses()}
    )


def opened(apertures: Apertures, by_mm: float) -> Apertures:
    """Return apertures with every leaf further out by so much, or as far in as its pair lets it."""
    by = np.maximum(by_mm, -(apertures.right_mm - apertures.left_mm) / 2)
    return replace(apertures, left_mm=apertures.left_mm - by, right_mm=apertures.right_mm + by)


def _what(reason: str) -> str:
    return reason.partition(":")[0]
