"""What a model is shown of a dose: the pictures that planning agents are shown of their plans."""

from __future__ import annotations

import numpy as np

from radplan_agents.llm import Image, Text
from radplan_env.render.dvh import dvh_curves
from radplan_env.render.plots import dvh_view
from radplan_env.render.views import View, plan_views, slice_view
from radplan_experiments.reading.errors import Dose, Patient


def shown(patient: Patient, dose: Dose) -> list[Text | Image]:
    """Return three planes, slices of the primary target, its coldest and the hottest point outside, and the DVHs."""
    case, rx_gy = patient.case, patient.protocol.primary.prescription_gy
    primary, (mask, _) = next(iter(patient.targets.items()))
    coldest = int(np.argmin(np.where(mask, dose, np.inf)))
    outside = case.structures["Body"] & (patient.from_targets_mm > 5)
    hottest = int(np.argmax(np.where(outside, dose, -np.inf)))
    views = [
        *plan_views(case, dose, prescription_gy=rx_gy),
        _marked(patient, dose, coldest, f"coldest point of {primary}"),
        _marked(patient, dose, hottest, "hottest point outside the targets"),
        dvh_view(dvh_curves(case, dose), prescription_gy=rx_gy),
    ]
    return [part for view in views for part in (Text(text=view.caption), Image(png=view.png, name=view.caption))]


def _marked(patient: Patient, dose: Dose, flat: int, what: str) -> View:
    """The slice through a voxel, given by its flat index."""
    voxel = np.unravel_index(flat, dose.shape)
    z, y, x = (float(patient.case.grid.coordinates_mm(axis)[at]) for axis, at in enumerate(voxel))
    label = f"{what}: {float(dose[voxel]):.1f} Gy"
    rx_gy = patient.protocol.primary.prescription_gy
    return slice_view(patient.case, dose, prescription_gy=rx_gy, z_mm=z, cross_mm=(z, y, x), label=label)
