"""Fluence optimisation: our solver against pyRadPlan's own, on the same matrix and the same objective.

    python benchmarks/fluence.py --case tg119
    python benchmarks/fluence.py --case openkbp --data ../shared/data/openkbp/provided-data --patient pt_17
    python benchmarks/fluence.py --against main --case synthetic --patients 0 1 2

With --against, our inner loop of another revision is the peer: see `benchmarks/against.py`.

Cold: a fresh solver and no start. Warm: from the solution before, along a random walk that multiplies each weight and
each objective dose by 0.5 to 1.5 a step. Batch: 16 such parameter sets at once, against one after the other, all cold.
Peers are timed in their solver only, without setting up; ours with all it prepares for a patient. The last line is
one JSON object of the figures.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import numba
import numpy as np
import tyro
from scipy import sparse
from threadpoolctl import threadpool_info

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.against import against
from benchmarks.machine import peak_memory_gb, print_figures, print_machine
from benchmarks.profiling import shares
from radplan_env import threads
from radplan_env.beams import Bixels
from radplan_env.fluence import (
    FluenceProblem,
    FluenceSolution,
    InnerSolver,
    Term,
    inner_solver,
    lagrangian,
)

BATCH = 16
PATIENTS = {
    "openkbp": ("pt_5", "pt_9", "pt_13", "pt_17", "pt_18", "pt_20"),
    "synthetic": ("0", "1", "2", "3", "4", "5"),
}


@dataclass
class Args:
    """Time the inner loop against pyRadPlan's."""

    case: Literal["tg119", "openkbp", "synthetic"] = "tg119"
    """The problem of FACTS: TG-119 with 7 beams at 5 mm; or an OpenKBP patient with 9 beams; with --against, training
    patients of OpenKBP or synthetic prostates."""
    against: str | None = None
    """Revision whose solver to compare with, on `patients`."""
    patients: tuple[str, ...] = ()
    """Of --against: OpenKBP's names or numbers of synthetic prostates; six of either by default."""
    data: Path = Path("../shared/data/openkbp/provided-data")
    """Folder of the OpenKBP patients."""
    patient: str = "pt_17"
    """OpenKBP patient."""
    fidelity: str = "standard"
    """Of the OpenKBP patient."""
    peers: tuple[str, ...] = ("scipy", "ipopt")
    """pyRadPlan's solvers to compare with."""
    peer_seconds: float = 150.0
    """Let IPOPT run no longer than this; SciPy's solver knows no such limit."""
    walk: int = 0
    """Steps of the random walk that SciPy solves as well; 0 picks 3 for TG-119 and 1 for a patient."""
    repeats: int = 3
    """Cold solves, of which the median counts."""
    seed: int = 0
    """Of the random walks."""


@dataclass(frozen=True)
class Peer:
    """pyRadPlan's problem, and the same in our terms."""

    ct: Any
    structures: Any
    steering: Any
    dij: Any
    plan: Any
    matrix: sparse.csr_array
    bixels: Bixels
    terms: tuple[Term, ...]

    def ours(self) -> InnerSolver:
        """Return our solver, fresh."""
        return inner_solver("newton", self.matrix, self.bixels)

    def solve(self, terms: Sequence[Term], name: str, seconds: float) -> tuple[np.ndarray, float]:
        """Have pyRadPlan optimise; return fluence and the seconds its solver took."""
        structures = self.structures.model_copy(deep=True)
        for term in terms:
            voi = next(voi for voi in structures.vois if voi.name == term.structure)
            voi.objectives = [_objective(term.weight, term.dose_gy, term.one_sided)]
        problem = _planning_problem(self.plan, name, seconds)
        with _quiet():
            fluence, _ = problem.solve(self.ct, structures, self.steering, self.dij)
        return np.asarray(fluence), float(problem._solve_time)


def main(args: Args) -> None:
    print_machine()
    if args.against is not None or args.case == "synthetic":
        if args.against is None or args.case == "tg119":
            raise SystemExit("--against takes --case openkbp or synthetic, and --case synthetic takes --against")
        patients = args.patients or PATIENTS[args.case]
        print(
            f"BLAS: {', '.join(sorted({blas['architecture'] for blas in threadpool_info() if 'architecture' in blas}))}"
        )
        print_figures("fluence", {**against(args.against, args.case, args.data, patients, args.seed)})
        return
    peer = tg119() if args.case == "tg119" else openkbp(args)
    terms = peer.terms
    print(
        f"{args.case}: {peer.matrix.shape[1]} bixels, {peer.matrix.nnz / 1e6:.1f} M non-zeros in the objective's rows"
    )
    solve(peer.ours(), terms)  # compiles

    cold_seconds, ours = _median(lambda: solve(peer.ours(), terms), args.repeats)
    print(f"ours, cold: {cold_seconds:.2f} s, objective {ours.objective:.3f}, {ours.iterations} Newton steps")
    parts = shares(lambda: solve(peer.ours(), terms))
    print("share of a cold solve: " + ", ".join(f"{part} {share:.0%}" for part, share in parts.items()))
    optimum = _optimum(peer)

    results = {}
    for name in args.peers:
        fluence, seconds = peer.solve(terms, name, args.peer_seconds)
        objective = value(peer.matrix, terms, fluence)
        results[name] = seconds
        print(f"pyRadPlan {name}: {seconds:.1f} s, objective {objective:.3f} ({objective / optimum - 1:+.2%})")
        optimum = min(optimum, objective)
    ended = [name for name in results if name == "scipy" or results[name] < args.peer_seconds]
    fastest = min(ended or results, key=lambda name: results[name])

    warm_ratio = _walk(args, peer, ours, fastest)
    batch_ratio = _batch(args, peer)
    bandwidth_ratio = _bandwidth(peer.matrix, ours, cold_seconds)
    peak_gb = _peak_of_a_patient(peer)
    print(f"memory of a process that holds the patient and solves: {peak_gb:.2f} GB")
    print_figures(
        "fluence",
        {
            "case": args.case if args.case == "tg119" else args.patient,
            "peer": f"pyRadPlan {fastest}",
            "peer_seconds": round(results[fastest], 2),
            "cold_seconds": round(cold_seconds, 3),
            "cold_ratio": round(results[fastest] / cold_seconds, 1),
            "warm_ratio": round(warm_ratio, 1),
            "batch_ratio": round(batch_ratio, 2),
            "objective_gap": float(f"{ours.objective / optimum - 1:.1e}"),
            "bandwidth_ratio": round(bandwidth_ratio, 1),
            "peak_gb": round(peak_gb, 2),
        },
    )


def solve(ours: InnerSolver, terms: Sequence[Term], start: FluenceSolution | None = None) -> FluenceSolution:
    """Solve one problem without constraints."""
    (solution,) = ours.solve_batch([FluenceProblem(terms, start=start)])
    return solution


def value(matrix: sparse.csr_array, terms: Sequence[Term], fluence: np.ndarray) -> float:
    """Return Eq. 1 by SciPy and numpy alone."""
    dose = matrix @ fluence
    total = 0.0
    for term in terms:
        excess = dose[term.rows] - term.dose_gy
        excess = np.maximum(excess, 0) if term.one_sided else excess
        total += term.weight * float(np.mean(excess**2))
    return total


def _walk(args: Args, peer: Peer, start: FluenceSolution, name: str) -> float:
    """Return the median ratio of the peer's time to our warm one, each on the same problem."""
    rng = np.random.default_rng(args.seed)
    ours = peer.ours()
    solve(ours, peer.terms)
    terms, ratios = peer.terms, []
    for step in range(args.walk or (3 if args.case == "tg119" else 1)):
        terms = _changed(terms, rng)
        seconds, solution = _median(lambda t=terms, s=start: solve(ours, t, s), args.repeats)  # type: ignore[misc]
        fluence, theirs = peer.solve(terms, name, args.peer_seconds)
        ratios.append(theirs / seconds)
        print(
            f"walk, step {step + 1}: ours warm {seconds:.2f} s to {solution.objective:.3f} "
            f"(certified within {solution.kkt_residual:.0e}), "
            f"pyRadPlan {name} {theirs:.1f} s to {value(peer.matrix, terms, fluence):.3f}"
        )
        start = solution
    return float(np.median(ratios))


def _batch(args: Args, peer: Peer) -> float:
    rng = np.random.default_rng(args.seed + 1)
    problems = [FluenceProblem(_changed(peer.terms, rng)) for _ in range(BATCH)]
    ours = peer.ours()
    solve(ours, peer.terms)
    began = time.perf_counter()
    singles = [solve(ours, problem.terms) for problem in problems]
    single_seconds = time.perf_counter() - began
    began = time.perf_counter()
    together = ours.solve_batch(problems)
    batch_seconds = time.perf_counter() - began
    same = all(np.array_equal(one.fluence, other.fluence) for one, other in zip(singles, together, strict=True))
    print(f"{BATCH} parameter sets: singly {single_seconds:.1f} s, as a batch {batch_seconds:.1f} s; equal: {same}")
    return single_seconds / batch_seconds


def _bandwidth(matrix: sparse.csr_array, solution: FluenceSolution, seconds: float) -> float:
    """Return how many times longer a cold solve takes than reading K once and its active rows once more.

    Less cannot be read to certify an optimum: one product for the dose, and one for the gradient.
    """
    entry = 4 + (2 if matrix.shape[1] <= 65536 else 4)
    active = np.flatnonzero(solution.dose_gy > 0)
    least = entry * (matrix.nnz + int(np.diff(matrix.indptr)[active].sum()))
    bandwidth = _stream_bandwidth()
    print(
        f"stream bandwidth {bandwidth / 1e9:.1f} GB/s; K {entry * matrix.nnz / 1e9:.2f} GB; "
        f"least reading {least / bandwidth * 1e3:.0f} ms of {seconds * 1e3:.0f} ms"
    )
    return seconds / (least / bandwidth)


@numba.njit(nogil=True, fastmath=True)
def _sum(values, start, stop):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for k in range(start, stop):
        total += values[k]
    return total


def _stream_bandwidth() -> float:
    """Return bytes a second that all cores read from memory."""
    values = np.ones(2**28, dtype=np.float32)
    best = np.inf
    for _ in range(5):
        began = time.perf_counter()
        threads.run_in_slices(lambda _, start, stop: _sum(values, start, stop), values.size)
        best = min(best, time.perf_counter() - began)
    return values.nbytes / best


def _optimum(peer: Peer) -> float:
    """Solve far beyond the usual tolerance."""
    with mock.patch.object(lagrangian, "KKT_TOLERANCE", 1e-6):
        exact = solve(peer.ours(), peer.terms)
    print(f"optimum: {exact.objective:.4f}, certified within {exact.kkt_residual:.0e}")
    return exact.objective


def _peak_of_a_patient(peer: Peer) -> float:
    """Solve in a process of its own that has never seen pyRadPlan; return its peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "patient.npz"
        matrix = peer.matrix
        np.savez(path, data=matrix.data, indices=matrix.indices, indptr=matrix.indptr, shape=np.array(matrix.shape))
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            return process.submit(_solve_alone, path, peer.bixels, peer.terms).result()


def _solve_alone(path: Path, bixels: Bixels, terms: Sequence[Term]) -> float:
    with np.load(path) as file:
        matrix = sparse.csr_array((file["data"], file["indices"], file["indptr"]), shape=tuple(file["shape"]))
    solve(inner_solver("newton", matrix, bixels), terms)
    return peak_memory_gb()


def _median(solve: Callable[[], FluenceSolution], repeats: int) -> tuple[float, FluenceSolution]:
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        solution = solve()
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds)), solution


def _changed(terms: Sequence[Term], rng: np.random.Generator) -> tuple[Term, ...]:
    return tuple(
        replace(term, weight=term.weight * rng.uniform(0.5, 1.5), dose_gy=term.dose_gy * rng.uniform(0.5, 1.5))
        for term in terms
    )


def tg119() -> Peer:
    """Return the problem of FACTS: pyRadPlan's phantom, its K, 7 beams, 5 mm bixels on a 5 mm grid."""
    import pyRadPlan

    ct, structures = pyRadPlan.load_tg119()
    plan = pyRadPlan.PhotonPlan(machine="Generic")
    plan.prop_stf = {"gantry_angles": np.linspace(0, 360, 7, endpoint=False), "couch_angles": np.zeros(7)}
    plan.prop_dose_calc = {"dose_grid": {"resolution": {"x": 5.0, "y": 5.0, "z": 5.0}}}
    aims = {"OuterTarget": (1000.0, 50.0, False), "Core": (300.0, 25.0, True), "BODY": (100.0, 30.0, True)}
    with _quiet():
        steering = pyRadPlan.generate_stf(ct, structures, plan)
        dij = pyRadPlan.calc_dose_influence(ct, structures, steering, plan)
    centres_mm = [ray.ray_pos_bev[[0, 2]] for beam in steering.beams for ray in beam.rays]
    places = np.rint(np.array(centres_mm) / steering.beams[0].bixel_width).astype(np.int64)
    bixels = Bixels(np.asarray(dij.beam_num, dtype=np.int64), places, float(steering.beams[0].bixel_width))
    return _peer(ct, structures, steering, dij, plan, bixels, aims)


def openkbp(args: Args) -> Peer:
    """Return an OpenKBP patient with the head & neck protocol's beams and start parameters, and our K."""
    import pyRadPlan
    import SimpleITK as sitk
    from pyRadPlan.dij import Dij

    from radplan_env import load_protocol
    from radplan_env.influence import dose_grid, influence
    from radplan_env.sources.openkbp import load

    name = f"openkbp/{args.patient}"
    cohorts = [load(args.data, split) for split in ("train", "validation", "test")]
    case = next(cohort[cohort.ids.index(name)] for cohort in cohorts if name in cohort.ids)
    protocol = load_protocol("head_and_neck").bind(case)
    targets = [protocol.case_name[target.structure] for target in protocol.targets]
    k = influence(case, protocol.gantry_angles_deg, targets, args.fidelity)

    def image(array: np.ndarray, grid: Any) -> Any:
        picture = sitk.GetImageFromArray(array)
        picture.SetSpacing(grid.spacing_mm[::-1])
        picture.SetOrigin(grid.origin_mm[::-1])
        return picture

    ct = pyRadPlan.CT(cube_hu=image(case.ct_hu, case.grid))
    start = protocol.start_parameters().structures
    vois, aims = [], {}
    for rank, structure in enumerate(protocol.structures):
        mask = image(case.structures[protocol.case_name[structure]].astype(np.uint8), case.grid)
        target = structure in {target.structure for target in protocol.targets}
        kind = "TARGET" if target else "EXTERNAL" if structure == "Body" else "OAR"
        vois.append({"name": structure, "voi_type": kind, "ct_image": ct, "mask": mask, "overlap_priority": rank})
        aims[structure] = (start[structure].weight, start[structure].objective_dose_gy, not target)
    structures = pyRadPlan.validate_cst({"vois": vois, "ct_image": ct}, ct=ct)
    grid = dose_grid(case, args.fidelity)
    z, y, x = grid.spacing_mm
    fine = pyRadPlan.core.Grid(
        resolution={"x": x, "y": y, "z": z}, dimensions=grid.shape[::-1], origin=np.array(grid.origin_mm[::-1])
    )
    plan = pyRadPlan.PhotonPlan(machine="Generic")
    plan.prop_stf = {
        "gantry_angles": list(protocol.gantry_angles_deg),
        "couch_angles": [0.0] * len(protocol.gantry_angles_deg),
    }
    with _quiet():
        steering = pyRadPlan.generate_stf(ct, structures, plan)
    rows = k.matrix.tocoo()
    whole = sparse.csr_matrix(
        (rows.data, (k.body[rows.coords[0]], rows.coords[1])), shape=(fine.num_voxels, k.matrix.shape[1])
    )
    held = np.empty(1, dtype=object)
    held[0] = whole.tocsc()
    count = np.arange(k.matrix.shape[1])
    dij = Dij(
        dose_grid=fine,
        ct_grid=fine,
        physical_dose=held,
        num_of_beams=len(k.beams),
        bixel_num=0 * count,
        ray_num=count,
        beam_num=k.bixels.beam,
    )
    return _peer(ct, structures, steering, dij, plan, k.bixels, aims)


def _peer(
    ct: Any,
    structures: Any,
    steering: Any,
    dij: Any,
    plan: Any,
    bixels: Bixels,
    aims: dict[str, tuple[float, float, bool]],
) -> Peer:
    """Take the voxels of each objective from pyRadPlan's own problem, so that both solve the same."""
    for voi in structures.vois:
        voi.objectives = [_objective(*aims[voi.name])] if voi.name in aims else []
    problem = _planning_problem(plan, "scipy", 1.0)
    problem._ct, problem._cst, problem._stf, problem._dij = ct, structures, steering, dij
    with _quiet():
        problem._initialize()
    names = [voi.name for voi in problem._cst.vois if voi.objectives]
    masks = {name: mask for name, (mask, _) in zip(names, problem._objective_list, strict=True) if mask.any()}
    seen = np.flatnonzero(np.logical_or.reduce(list(masks.values())))
    place = np.full(next(iter(masks.values())).size, -1)
    place[seen] = np.arange(seen.size)
    terms = tuple(
        Term(name, place[np.flatnonzero(mask)], *aims[name][:2], one_sided=aims[name][2])
        for name, mask in masks.items()
    )
    matrix = sparse.csr_array(dij.physical_dose.flat[0].tocsr()[seen])
    return Peer(ct, structures, steering, dij, plan, matrix, bixels, terms)


def _objective(weight: float, dose_gy: float, one_sided: bool) -> Any:
    from pyRadPlan.optimization.objectives import SquaredDeviation, SquaredOverdosing

    return (
        SquaredOverdosing(priority=weight, d_max=dose_gy)
        if one_sided
        else SquaredDeviation(priority=weight, d_ref=dose_gy)
    )


def _planning_problem(plan: Any, name: str, seconds: float) -> Any:
    from pyRadPlan.optimization.problems import get_problem_from_pln

    plan = plan.model_copy(deep=True)
    plan.prop_opt = {"solver": name}
    problem = get_problem_from_pln(plan)
    problem.display = False
    from pyRadPlan.optimization.solvers import get_solver

    problem.solver = get_solver(name)
    problem.solver.max_time = seconds
    return problem


@contextlib.contextmanager
def _quiet() -> Any:
    from pyRadPlan.core._progress import ProgressReporter

    console, ProgressReporter.console_progress = ProgressReporter.console_progress, False
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        ProgressReporter.console_progress = console


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
