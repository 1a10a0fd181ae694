"""How fast the dose-influence matrix K is, and how near to pyRadPlan's own.

The peer is pyRadPlan's SVD pencil beam with its default settings, on the same case, beams, bixels and dose grid. Both
engines are called once before, so that neither import nor compilation counts.

Accuracy is that of K (each entry, relative to its bixel's highest) and of a plan: the protocol's start parameters are
solved on each K; the dose of the fluence solved on ours is computed with both (voxel by voxel, gamma 1 %/1 mm, DVH),
and the two solved plans are judged by the protocol. Voxels at the skin that pyRadPlan does not count as body are left
out of it, and counted.

  python benchmarks/influence.py --case tg119
  python benchmarks/influence.py --case openkbp --data open-kbp/provided-data --patient pt_17
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Literal

# Run as a script: find our packages from any directory.
if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np
import pymedphys
import tyro
from scipy import sparse

from benchmarks.machine import peak_memory_gb, print_figures, print_machine
from radplan_env import PlanningSystem
from radplan_env.case import Case
from radplan_env.influence import ENGINES, Fidelity
from radplan_env.influence.matrix import setup_of
from radplan_env.influence.setup import Matrix, Setup
from radplan_env.planning import Plan
from radplan_env.protocol import Protocol, load_protocol
from radplan_env.sources import matrad, openkbp, synthetic


@dataclass
class Args:
    case: Literal["tg119", "openkbp", "synthetic"] = "tg119"
    """The TG-119 phantom, an OpenKBP patient, or a synthetic prostate."""
    data: Path | None = None
    """Folder of OpenKBP's provided-data."""
    patient: str = "pt_17"
    """OpenKBP patient."""
    fidelity: str = "fast"
    """Dose grid and bixels: fast, standard or paper."""
    repeats: int = 5
    """How often our engine is timed; the median counts."""
    plan: bool = True
    """Whether to compare plans too, which takes minutes at standard and paper fidelity."""


def load(args: Args) -> tuple[Case, Protocol]:
    if args.case == "tg119":
        return matrad.tg119(), load_protocol("tg119")
    if args.case == "synthetic":
        return synthetic.load("test")[0], load_protocol("prostate")
    if args.data is None:
        raise SystemExit("--case openkbp needs --data, the provided-data folder of github.com/ababier/open-kbp")
    folders = sorted(args.data.glob(f"**/{args.patient}"))
    if not folders:
        raise SystemExit(f"no {args.patient} below {args.data}")
    return openkbp.load_patient(folders[0]), load_protocol("head_and_neck")


def main(args: Args) -> None:
    print_machine()
    os.environ.pop("RADPLAN_CACHE_DIR", None)  # nothing is read from the disk
    case, protocol = load(args)
    targets = [protocol.bind(case).case_name[target.structure] for target in protocol.bind(case).targets]
    setup = setup_of(case, protocol.gantry_angles_deg, targets, args.fidelity)
    for warm_up in ENGINES.values():
        warm_up(setup_of(case, [0.0], targets, Fidelity("warm-up", 10.0, 20.0)), False)

    seconds = []
    ours = ENGINES["radplan"](setup, False)
    for _ in range(args.repeats):
        del ours  # one K at a time, or the memory reported is that of two
        start = perf_counter()
        ours = ENGINES["radplan"](setup, False)
        seconds.append(perf_counter() - start)
    memory_gb = peak_memory_gb()
    start = perf_counter()
    theirs = ENGINES["pyradplan"](setup, True)
    their_seconds = perf_counter() - start
    bixels = ours[0].shape[1]
    ms, their_ms = (1000 * s / bixels for s in (float(np.median(seconds)), their_seconds))
    print(f"{case.id}, {args.fidelity}: {bixels} bixels, {ours[0].shape[0]} voxels, {ours[0].nnz / 1e6:.1f} M entries")
    print(f"pyRadPlan {their_seconds:.1f} s, {their_ms:.2f} ms per bixel")
    print(f"radplan_env {np.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f}), {ms:.3f} ms per bixel")
    print(f"ratio {their_ms / ms:.0f}; peak memory of the process until then {memory_gb:.2f} GB")

    computed = np.diff(theirs[0].indptr) > 0
    extra = np.count_nonzero(~computed & (np.diff(ours[0].indptr) > 0))
    entries, beyond = compare_entries(ours[0], theirs[0], computed)
    print(f"entries: largest difference {entries:.2f} % of the bixel's highest; beyond 0.1 %: {beyond:.1e} of them")
    print(f"left out: {extra} body voxels with dose in our K and none in pyRadPlan's")
    both = np.zeros(setup.dose_grid.shape, dtype=bool)
    both.flat[setup.rows[computed]] = True
    matrices = {"radplan_env": ours, "pyRadPlan": theirs}
    figures = compare_plans(case, protocol, args.fidelity, matrices, both) if args.plan else {}
    print_figures(
        "influence",
        {
            "case": case.id,
            "fidelity": args.fidelity,
            "bixels": bixels,
            "pyradplan_ms_per_bixel": their_ms,
            "radplan_env_ms_per_bixel": ms,
            "ratio": their_ms / ms,
            "peak_memory_gb": memory_gb,
            "entry_max_difference_percent": entries,
            **figures,
        },
    )


def compare_entries(ours: sparse.csr_array, theirs: sparse.csr_array, rows: np.ndarray) -> tuple[float, float]:
    """Largest difference in % of each bixel's highest entry, and the share of entries that differ by over 0.1 %."""
    highest = theirs.max(axis=0).toarray().ravel()
    largest, beyond = 0.0, 0
    for block in np.array_split(np.flatnonzero(rows), 64):
        difference = (ours[block] - theirs[block]).tocoo()
        percent = 100 * np.abs(difference.data) / highest[difference.col]
        largest = max(largest, float(percent.max(initial=0.0)))
        beyond += int(np.count_nonzero(percent > 0.1))
    return largest, beyond / theirs.nnz


def _computed(matrix: Matrix, setup: Setup, progress: bool) -> Matrix:
    """An engine that has its K already."""
    return matrix


def compare_plans(
    case: Case, protocol: Protocol, fidelity: str, matrices: dict[str, Matrix], both: np.ndarray
) -> dict[str, float]:
    """Solve the protocol's start parameters on each K; compare the plans, and the dose of one fluence by both."""
    plans: dict[str, Plan] = {}
    systems: dict[str, PlanningSystem] = {}
    for name, matrix in matrices.items():
        ENGINES[name] = partial(_computed, matrix)
        systems[name] = PlanningSystem(case, protocol, fidelity=fidelity, engine=name)
        plans[name] = systems[name].plan(systems[name].protocol.start_parameters())
    ours, theirs = plans["radplan_env"], systems["pyRadPlan"].replay(plans["radplan_env"])
    grid = ours.grid
    difference = 100 * np.abs(ours.dose_gy - theirs.dose_gy)[both] / theirs.dose_gy.max()
    axes = tuple(grid.coordinates_mm(axis) for axis in range(3))
    gamma = pymedphys.gamma(
        axes,
        theirs.dose_gy,
        axes,
        np.where(both, ours.dose_gy, 0),
        1,
        1,
        lower_percent_dose_cutoff=10,
        max_gamma=1.1,
        skip_once_passed=True,
        quiet=True,
    )
    passed = 100 * float(np.mean(gamma[np.isfinite(gamma)] <= 1))
    print(f"dose of one fluence: largest difference {difference.max():.3f} % of the highest dose, gamma {passed:.2f} %")
    same_fluence = compare_criteria(ours, theirs)
    solved = compare_criteria(ours, plans["pyRadPlan"])
    scores = [plan.evaluation.score for plan in plans.values()]
    print(f"criteria, one fluence: differ by at most {same_fluence:.3f} % of their limit")
    print(f"criteria, each K solved: by at most {solved:.3f} %; scores {scores[0]:.2f} and {scores[1]:.2f}")
    return {
        "gamma_pass_percent": passed,
        "max_difference_percent": float(difference.max()),
        "criteria_max_difference_percent": same_fluence,
        "criteria_max_difference_solved_percent": solved,
        "score": scores[0],
        "pyradplan_score": scores[1],
    }


def compare_criteria(plan: Plan, other: Plan) -> float:
    """Largest difference of a criterion's value, in % of its limit."""
    pairs = zip(plan.evaluation.criteria, other.evaluation.criteria, strict=True)
    return max(100 * abs(a.value - b.value) / a.criterion.limit for a, b in pairs)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
