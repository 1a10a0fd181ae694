"""Whose pictures are private: slices of a head show a face."""

from __future__ import annotations

from radplan_env.case import Case

PUBLIC_SOURCES = frozenset({"synthetic", "openkbp"})
"""Sources of invented and of published patients. Cases of every other source count as the user's own patients."""

TG119 = "matrad/TG119"
"""The phantom that comes with matRad, which is nobody's anatomy."""


def is_own_patient(case: Case) -> bool:
    """Return whether a case counts as a patient of the user's own: pictures stay on this machine unless asked for.

    So does everything read from DICOM, matRad files or arrays, unless the case says that its anatomy is invented.
    """
    return not (case.synthetic or case.source in PUBLIC_SOURCES or case.id == TG119)
