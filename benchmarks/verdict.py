"""Does the dose that judges plans agree with the K that they are made with, and what does it cost?

For one case, its protocol's beams and a rough random fluence (the hardest to resolve):

- `dose_at` against K x at K's voxels with the same conventions: beam model matrad-generic, K's own depth. They may
  differ by 0.1 % of the maximum (root mean square), and 0.7 % at worst.
- The same with generic-6x, and what K's lateral cutoff of 50 mm leaves out of it.
- CPU seconds and memory of the whole body at 2.5 mm: tracing once, then the dose of a fluence, and the adjoint.
- How the dose converges with the spacing of the lattice in the isocentre plane.

  python benchmarks/verdict.py
  python benchmarks/verdict.py --case openkbp --data open-kbp/provided-data --patient pt_17
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any, Literal

# Run as a script: find our packages from any directory.
if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np
import tyro
from numpy.typing import NDArray

from benchmarks.machine import peak_memory_gb, print_figures, print_machine
from radplan_env.case import Case
from radplan_env.dose import Prepared, prepare
from radplan_env.grid import Grid, resample
from radplan_env.influence import DoseInfluence, influence
from radplan_env.influence.matrix import setup_of
from radplan_env.influence.pencil_beam import row_depths
from radplan_env.sources import openkbp, synthetic

Array = NDArray[np.float64]

NO_DOSE_DEPTH_MM = 4000.0
"""Where K has no depth, it has no dose."""


@dataclass
class Args:
    case: Literal["synthetic", "openkbp"] = "synthetic"
    """A synthetic prostate, or an OpenKBP training patient."""
    data: Path | None = None
    """Folder of OpenKBP's provided-data."""
    patient: str = "pt_17"
    """OpenKBP training patient."""
    fidelity: str = "fast"
    """Dose grid and bixels of K: fast, standard or paper."""
    beams: int = 9
    """Equally spaced beams."""
    repeats: int = 5
    """How often each is timed; the median counts."""


def main(args: Args) -> None:
    print_machine()
    case = load(args)
    targets = [name for name in case.targets if name.startswith("PTV")]
    angles = tuple(360.0 * b / args.beams for b in range(args.beams))
    figures: dict[str, Any] = {"case": case.id, "fidelity": args.fidelity, "beams": args.beams}
    for model in ("matrad-generic", "generic-6x"):
        k = influence(case, angles, targets, args.fidelity, beam_model=model, progress=False)
        fluence = np.random.default_rng(0).gamma(2.0, 1.0, len(k.bixels))
        difference = against_k(case, k, targets, args.fidelity, model, fluence)
        figures |= {f"{model}_{name}": value for name, value in difference.items()}
    points = centres(case.grid.coarsened(2.5), case)
    figures |= cost(case, k, fluence, points, args.repeats)
    figures |= convergence(case, k, fluence, points)
    print_figures("verdict", figures)


def load(args: Args) -> Case:
    if args.case == "synthetic":
        return synthetic.generate(seed=1)
    if args.data is None:
        raise SystemExit("--case openkbp needs --data: the folder of OpenKBP's provided-data")
    return openkbp.load_patient(args.data / "train-pats" / args.patient)


def centres(grid: Grid, case: Case) -> Array:
    """Centres of the body's voxels on a grid, shape (voxels, 3)."""
    return _centres(grid, np.flatnonzero(resample(case.structures["Body"], case.grid, grid)))


def _centres(grid: Grid, flat: NDArray[np.int64]) -> Array:
    index = np.unravel_index(flat, grid.shape)
    return np.stack([grid.coordinates_mm(axis)[index[axis]] for axis in range(3)], axis=1)


def against_k(
    case: Case, k: DoseInfluence, targets: list[str], fidelity: str, model: str, fluence: Array
) -> dict[str, float]:
    """Dose at K's voxels, by K's own depth, against K x."""
    points = _centres(k.grid, k.body)
    prepared = prepare(case, k.beams, points, beam_model=model)
    setup = setup_of(case, [beam.gantry_deg for beam in k.beams], targets, fidelity, beam_model=model)
    depth, ssd = zip(*row_depths(setup, k.bixels), strict=True)
    depth_mm = np.nan_to_num(np.stack(depth), nan=NO_DOSE_DEPTH_MM).astype(np.float32)
    same = replace(prepared, depth_mm=depth_mm, ssd_mm=ssd, _convolutions={})
    from_k = k.matrix @ fluence
    difference = 100 * (same.dose_of_bixels(k.bixels, fluence) - from_k) / from_k.max()
    rms, worst = float(np.sqrt((difference**2).mean())), float(abs(difference).max())
    print(
        f"{model}: dose - K x at {len(points)} voxels, {len(fluence)} bixels: mean {difference.mean():+.3f} %, "
        f"rms {rms:.3f} %, at worst {worst:.2f} % of the maximum"
    )
    return {"mean_percent": float(difference.mean()), "rms_percent": rms, "worst_percent": worst}


def cost(case: Case, k: DoseInfluence, fluence: Array, points: Array, repeats: int) -> dict[str, float]:
    """CPU seconds (median) and memory of the whole body."""
    small = prepare(case, k.beams, points[:8])  # compiles
    small.adjoint(k.bixels, small.forward(k.bixels, fluence))
    trace, apply, adjoint = [], [], []
    for _ in range(repeats):
        start = process_time()
        prepared = prepare(case, k.beams, points)
        trace.append(process_time() - start)
    prepared.dose_of_bixels(k.bixels, fluence)  # the kernels' spectra, once
    for _ in range(repeats):
        start = process_time()
        dose = prepared.dose_of_bixels(k.bixels, fluence)
        apply.append(process_time() - start)
        start = process_time()
        prepared.adjoint(k.bixels, dose.astype(np.float64))
        adjoint.append(process_time() - start)
    depth_mb = prepared.depth_mm.nbytes / 1e6
    result = {
        "points": len(points),
        "trace_cpu_s": float(np.median(trace)),
        "apply_cpu_s": float(np.median(apply)),
        "adjoint_cpu_s": float(np.median(adjoint)),
        "depth_mb": depth_mb,
        "peak_memory_gb": peak_memory_gb(),
    }
    print(
        f"{len(points)} points at 2.5 mm: trace {result['trace_cpu_s']:.2f} s, dose {result['apply_cpu_s']:.2f} s, "
        f"adjoint {result['adjoint_cpu_s']:.2f} s of CPU; depths {depth_mb:.0f} MB, peak {peak_memory_gb():.2f} GB"
    )
    return result


def convergence(case: Case, k: DoseInfluence, fluence: Array, points: Array) -> dict[str, float]:
    """Difference from a lattice of 0.5 mm, in % of the maximum."""
    some = points[:: max(1, len(points) // 50_000)]

    def dose(spacing_mm: float) -> NDArray[np.float32]:
        prepared: Prepared = prepare(case, k.beams, some, spacing_mm=spacing_mm)
        return prepared.dose_of_bixels(k.bixels, fluence)

    finest = dose(0.5)
    result: dict[str, float] = {}
    for spacing_mm in (2.0, 1.5, 1.0):
        difference = 100 * (dose(spacing_mm) - finest) / finest.max()
        rms, worst = float(np.sqrt((difference**2).mean())), float(abs(difference).max())
        result |= {f"lattice_{spacing_mm:g}_mm_rms_percent": rms, f"lattice_{spacing_mm:g}_mm_worst_percent": worst}
        print(f"lattice of {spacing_mm:g} mm against 0.5 mm: rms {rms:.3f} %, at worst {worst:.2f} %")
    return result


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
