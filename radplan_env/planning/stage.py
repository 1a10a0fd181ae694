"""Stages of a plan: the ideal fluence that the inner loop makes, and what a machine can deliver of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radplan_env.evaluation import Evaluation
from radplan_env.info import StageKind

Volume = NDArray[np.float32]

_CAPTIONS: dict[StageKind, str] = {"ideal": "before sequencing", "deliverable": ""}


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of a plan.

    Parameters
    ----------
    kind : {"ideal", "deliverable"}
    dose_gy : ndarray of float32, shape (z, y, x)
        Total dose on the dose grid, 0 outside the body.
    evaluation : Evaluation
    """

    kind: StageKind
    dose_gy: Volume
    evaluation: Evaluation

    @property
    def score(self) -> float:
        """Score from 0 to 100."""
        return self.evaluation.score

    @property
    def caption(self) -> str:
        """What must be said wherever the stage is shown; see `caption`."""
        return caption([self.kind])


def caption(stages: Iterable[StageKind]) -> str:
    """Return what must be said beside plans of these stages: "before sequencing"; nothing if all are deliverable."""
    return next((text for kind in stages if (text := _CAPTIONS[kind])), "")


def captioned(text: str, stages: Iterable[StageKind]) -> str:
    """Return a text with the caption of these stages behind it, where there is one."""
    said = caption(stages)
    return f"{text}, {said}" if said else text
