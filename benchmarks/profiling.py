"""Which part of some work takes how much of its time."""

from __future__ import annotations

import cProfile
import os
import pstats
from collections.abc import Callable, Mapping
from unittest import mock

from radplan_env import threads

PARTS = {
    "K x": ("fluence/matrix.py", "dose"),
    "gradient": ("fluence/matrix.py", "adjoint_and_diagonal"),
    "gradient, no diagonal": ("fluence/matrix.py", "adjoint"),
    "Hessian": ("fluence/gram.py", "update"),
    "quadratic program": ("fluence/bounded_qp.py", "minimise"),
    "line search": ("fluence/loss.py", "best_step"),
    "coarse start": ("fluence/coarse.py", "start"),
    "dose beyond K": ("planning/beam_set.py", "_beyond_k"),
    "verdict": ("verdict/judge.py", "judge"),
    "dose shown": ("planning/beam_set.py", "dose_shown"),
}
"""What a solve or a step spends its time on: file and function."""
PRODUCTS = ("K x", "gradient", "gradient, no diagonal")
"""Those that are products with K."""


def shares(work: Callable[[], object]) -> Mapping[str, float]:
    """Return the share of each of `PARTS` in the time of some work, done on one core.

    A part's time holds that of the parts it calls: the quadratic program's holds some of K x.
    """
    profile = cProfile.Profile()
    with mock.patch.object(threads, "cores", lambda: 1):
        profile.runcall(work)
    stats = pstats.Stats(profile)
    total = stats.total_tt  # type: ignore[attr-defined]
    spent = dict.fromkeys(PARTS, 0.0)
    for (file, _, function), (_, _, _, cumulative, _) in stats.stats.items():  # type: ignore[attr-defined]
        for part, (its_file, its_function) in PARTS.items():
            if function == its_function and file.replace(os.sep, "/").endswith(its_file):
                spent[part] += cumulative
    return {part: seconds / total for part, seconds in spent.items() if seconds > 0}
