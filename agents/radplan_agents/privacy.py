"""Whose pictures are private: slices of a head show a face."""

from __future__ import annotations

from radplan_env.case import Case
from radplan_env.sources import source_of

TG119 = "matrad/TG119"
"""The phantom that comes with matRad, which is nobody's anatomy."""


def is_own_patient(case: Case) -> bool:
    """Return whether a case counts as a patient of the user's own: pictures stay on this machine unless asked for.

    So does every case of a source that is not `public` (DICOM, matRad files, arrays), unless the case says that its
    anatomy is invented.
    """
    source = source_of(case)
    return not (case.synthetic or (source is not None and source.public) or case.id == TG119)
