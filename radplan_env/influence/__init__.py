"""The dose-influence matrix K of a case and its beams: dose in Gy per unit fluence.

By the singular-value decomposed pencil beam (Bortfeld, Schlegel & Rhein 1993) with a beam model's data
(`radplan_env.beam_models`), on the case's CT.

    matrix        Fidelity, DoseInfluence, ENGINES, and `influence`, which computes K or finds it in the cache
    setup         what an engine computes K from
    pencil_beam   our engine: bixels (which cover the target), depth (pyRadPlan's ray tracing)
    pyradplan     pyRadPlan's engine, the reference
    cache         matrices on the disk
"""

from radplan_env.influence.matrix import (
    ENGINES,
    FIDELITIES,
    DoseInfluence,
    Fidelity,
    default_cache_dir,
    dose_grid,
    fidelity_named,
    influence,
    rows_of,
)
from radplan_env.influence.pencil_beam import goes_beyond_k

__all__ = [
    "ENGINES",
    "FIDELITIES",
    "DoseInfluence",
    "Fidelity",
    "default_cache_dir",
    "dose_grid",
    "fidelity_named",
    "goes_beyond_k",
    "influence",
    "rows_of",
]
