"""Compiled kernels: what some columns of K add to the dose, and what they are worth."""

from __future__ import annotations

from radplan_env.compiled import compiled


@compiled
def add(indptr, indices, data, begin, change, dose):  # type: ignore[no-untyped-def] # pragma: no cover
    """Add the dose of a change of fluence in the columns from `begin` on."""
    for c in range(change.size):
        if change[c] != 0.0:
            for at in range(indptr[begin + c], indptr[begin + c + 1]):
                dose[indices[at]] += data[at] * change[c]


@compiled
def prices(indptr, indices, data, begin, pull, out):  # type: ignore[no-untyped-def] # pragma: no cover
    """Write what a unit of fluence in each column from `begin` on changes, given the pull of each row."""
    for c in range(out.size):
        total = 0.0
        for at in range(indptr[begin + c], indptr[begin + c + 1]):
            total += data[at] * pull[indices[at]]
        out[c] = total
