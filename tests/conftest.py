"""Fixtures that every test may use: data where there is any, small phantoms, one cache for the session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from radplan_env.case import Case

# The same examples in every run; `--hypothesis-profile=default` looks for new ones.
settings.register_profile("radplan_env", deadline=None, derandomize=True)
settings.load_profile("radplan_env")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real patients: RADPLAN_SHARED_DATA, or ../shared/data beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("RADPLAN_SHARED_DATA") or beside)
    if not folder.is_dir():
        pytest.skip(f"no patient data at {folder}: set RADPLAN_SHARED_DATA to a folder with openkbp/ and alderson/")
    return folder


@pytest.fixture(scope="session", autouse=True)
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep dose-influence matrices of the whole session, worker processes included, in a folder of its own."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RADPLAN_CACHE_DIR", str(folder))
        yield folder / "influence"


@pytest.fixture(scope="session")
def box_case() -> Case:
    """A pelvis reduced to balls in water: target between bladder and rectum."""
    return _phantom(
        "phantom/pelvis",
        {
            "PTV_7020": ((0, 0, 0), 24),
            "Bladder": ((12, -34, 0), 22),
            "Rectum": ((0, 30, 0), 14),
            "Femur_Head_L": ((0, 0, 70), 18),
            "Femur_Head_R": ((0, 0, -70), 18),
        },
    )


@pytest.fixture(scope="session")
def head_and_neck_case() -> Case:
    """A neck reduced to balls in water: two target levels, cord, parotid, larynx; several organs missing."""
    return _phantom(
        "phantom/neck",
        {
            "PTV_7000": ((0, -15, 20), 18),
            "PTV_5600": ((0, -10, -28), 16),
            "SpinalCord": ((0, 25, 0), 9),
            "Parotid_L": ((25, 0, 45), 14),
            "Larynx": ((-40, -20, 0), 14),
        },
        radius_mm=75,
    )


def _phantom(case_id: str, balls: dict[str, tuple[tuple[float, float, float], float]], radius_mm: float = 100) -> Case:
    """A water cylinder along z with balls (centre z, y, x and radius in mm) on 5 mm voxels."""
    spacing = 5.0
    across = int(2 * (radius_mm + 10) / spacing) // 2 * 2 + 1
    shape = (41, across, across)
    z, y, x = np.meshgrid(*(spacing * (np.arange(n) - (n - 1) / 2) for n in shape), indexing="ij")
    body: NDArray[np.bool_] = y**2 + x**2 <= radius_mm**2
    masks = {
        name: (z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 <= radius**2
        for name, ((cz, cy, cx), radius) in balls.items()
    }
    return Case.from_arrays(
        id=case_id,
        ct_hu=np.where(body, 0.0, -1000.0),
        structures={"Body": body, **masks},
        voxel_size_mm=(spacing,) * 3,
        source="phantom",
    )
