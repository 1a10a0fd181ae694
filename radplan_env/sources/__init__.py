"""Where cases come from, one module each: OpenKBP, DICOM, matRad and synthetic anatomies; `SOURCES` by name."""

from radplan_env.sources.cohort import Cohort
from radplan_env.sources.registry import SOURCES, CohortRequest, Source, source_of

__all__ = ["SOURCES", "Cohort", "CohortRequest", "Source", "source_of"]
