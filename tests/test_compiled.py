"""Compiled code leaves nothing beside the sources, and other packages' caches where they were."""

from __future__ import annotations

from pathlib import Path

import numba
import numpy as np
import pytest

import radplan_env
from radplan_env.compiled import compiled
from radplan_env.fluence.cholesky import _gather


def test_machine_code_lies_outside_the_package() -> None:
    package = Path(radplan_env.__file__).parent
    assert not Path(_gather.stats.cache_path).is_relative_to(package)


def test_a_folder_that_the_user_names_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    @compiled
    def twice(x: float) -> float:
        return 2 * x

    assert twice(21.0) == 42
    assert list(tmp_path.rglob("*.nbi"))


def test_division_by_zero_is_as_asked_for() -> None:
    @compiled
    def ratio(x: float, y: float) -> float:
        return x / y

    @compiled(error_model="numpy")
    def limit(x: float, y: float) -> float:
        return x / y

    assert np.isinf(limit(1.0, 0.0))
    with pytest.raises(ZeroDivisionError):
        ratio(1.0, 0.0)
