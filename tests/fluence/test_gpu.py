"""The solver for a CUDA machine, on the CPU: the same plans as ours, certified in float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from solving import solve

from radplan_env.fluence import DoseConstraint, FluenceProblem, Smoothness, Term

pytest.importorskip("torch")

from benchmarks.gpu import solver


@pytest.mark.slow  # torch
@pytest.mark.parametrize("seed", range(2))
def test_it_finds_our_plans(seed: int) -> None:
    rng = np.random.default_rng(seed)
    target, organ, rest = np.split(np.arange(900), [200, 500])
    dense = rng.uniform(0, 1, (900, 60)) * (rng.uniform(size=(900, 60)) < 0.3)
    dense[target] += 0.5
    matrix = sparse.csr_array(dense.astype(np.float32))
    terms = [
        Term("PTV", target, 100, 60, one_sided=False),
        Term("Rectum", organ, 5, 10, one_sided=True),
        Term("Body", rest, 5, 20, one_sided=True),
    ]
    smoothness = Smoothness(1.0, np.array([[0, 1], [1, 2]]), 1.0, 60)
    coverage = DoseConstraint("PTV", target, "=", 60, coverage=True)
    mean_gy = float(solve(matrix, terms, [coverage]).dose_gy[organ].mean())
    constraints = [coverage, DoseConstraint("Rectum", organ, "≤", 0.97 * mean_gy, None)]
    there, problem = solver(matrix, device="cpu"), FluenceProblem(terms, constraints, smoothness=smoothness)
    start = None
    for weight in (100, 80):
        changed = [replace(terms[0], weight=weight), *terms[1:]]
        ours = solve(matrix, changed, constraints, start, smoothness=smoothness)
        (theirs,) = there.solve_batch([replace(problem, terms=changed, start=start)])
        assert theirs.converged
        assert theirs.objective == pytest.approx(ours.objective, rel=1e-3)
        start = ours
