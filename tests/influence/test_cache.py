"""The dose-influence matrix: physics against known beam data, and the cache under every kind of damage."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from radplan_env import influence as module
from radplan_env.case import Case
from radplan_env.errors import CaseError
from radplan_env.influence import FIDELITIES, DoseInfluence, Fidelity, influence

COARSE = Fidelity("coarse", dose_grid_mm=10, bixel_mm=20)


def build(case: Case, cache: Path, angles: tuple[float, ...] = (0.0, 90.0)) -> DoseInfluence:
    return influence(case, angles, ["PTV_7020"], COARSE, cache_dir=cache, progress=False)


def entries(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.npz"))


def test_rows_are_body_voxels_and_columns_are_bixels(box_case: Case, tmp_path: Path) -> None:
    k = build(box_case, tmp_path)
    assert k.matrix.shape == (k.body.size, k.beam.size)
    assert k.matrix.dtype == np.float32
    assert k.matrix.data.min() >= 0
    assert set(k.beam) == {0, 1}
    assert k.grid.spacing_mm == (10, 10, 10)
    volume = k.body.size * k.grid.voxel_cc
    assert volume == pytest.approx(box_case.volume_cc("Body"), rel=0.05)


def test_beams_enter_where_their_gantry_angle_says_and_weaken_with_depth(box_case: Case, tmp_path: Path) -> None:
    k = build(box_case, tmp_path, (0.0, 90.0, 180.0, 270.0))
    z = k.grid.shape[0] // 2
    for beam, axis, sign in ((0, 0, 1), (1, 1, -1), (2, 0, -1), (3, 1, 1)):
        dose = k.volume(k.matrix @ (k.beam == beam).astype(np.float32))[z]
        middle = dose.shape[0] // 2
        line = dose[:, middle] if axis == 0 else dose[middle]
        along = line[::sign]
        inside = along[along > 0.05 * along.max()]
        # 0° comes from anterior (low y), 90° from the patient's left (high x): IEC 61217.
        assert inside[:3].mean() > 1.5 * inside[-3:].mean()


def test_depth_dose_in_water_is_that_of_a_6_mv_beam(box_case: Case, tmp_path: Path) -> None:
    fine = Fidelity("fine", dose_grid_mm=5, bixel_mm=10)
    k = influence(box_case, [0.0], ["PTV_7020"], fine, cache_dir=tmp_path, progress=False)
    dose = k.volume(k.matrix @ np.ones(k.beam.size, dtype=np.float32))
    line = dose[dose.shape[0] // 2, :, dose.shape[2] // 2]
    surface = np.flatnonzero(line > 0)[0]
    depth = 5.0 * (np.arange(line.size) - surface) + 2.5
    at = np.interp([15.0, 100.0, 150.0], depth, line)
    # Percentage depth dose of 6 MV at 100 mm, small field, SSD 90 to 100 cm: 60 to 70 % (BJR Suppl. 25).
    assert 0.56 < at[1] / at[0] < 0.72
    assert at[2] < at[1]


def test_dose_in_bone_and_air_differs_from_water(box_case: Case, tmp_path: Path) -> None:
    ct = np.array(box_case.ct_hu)
    ct[:, : ct.shape[1] // 2 - 4, :] = np.where(ct[:, : ct.shape[1] // 2 - 4, :] > -500, 800, -1000)
    shielded = Case("phantom/bone", ct, box_case.structures, box_case.grid)
    water, bone = (build(case, tmp_path, (0.0,)) for case in (box_case, shielded))
    fluence = np.ones(water.beam.size, dtype=np.float32)
    behind = water.grid.shape[1] * 2 // 3
    middle = water.grid.shape[0] // 2, behind, water.grid.shape[2] // 2
    assert bone.volume(bone.matrix @ fluence)[middle] < 0.95 * water.volume(water.matrix @ fluence)[middle]
    assert len(entries(tmp_path)) == 2


def test_a_second_call_reads_what_the_first_one_wrote(
    box_case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(box_case, tmp_path)
    monkeypatch.setattr(module, "_compute", lambda *_: pytest.fail("computed again"))
    second = build(box_case, tmp_path)
    assert (first.matrix != second.matrix).nnz == 0
    np.testing.assert_array_equal(first.beam, second.beam)
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("damage", ["half", "flipped", "empty"])
def test_a_damaged_entry_is_rebuilt_and_never_used(box_case: Case, tmp_path: Path, damage: str) -> None:
    good = build(box_case, tmp_path)
    (path,) = entries(tmp_path)
    content = bytearray(path.read_bytes())
    if damage == "half":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        content[len(content) // 3] ^= 0xFF
    else:
        content = bytearray()
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="damaged"):
        again = build(box_case, tmp_path)
    assert (good.matrix != again.matrix).nnz == 0
    np.testing.assert_array_equal(build(box_case, tmp_path).matrix.data, good.matrix.data)


def test_an_unwritable_cache_warns_and_plans_all_the_same(box_case: Case, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.warns(UserWarning, match="cannot keep"):
        k = build(box_case, blocked / "cache")
    assert k.matrix.nnz > 0


def test_a_full_disk_warns_and_leaves_no_debris(
    box_case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.warns(UserWarning, match="No space left"):
        k = build(box_case, tmp_path)
    assert k.matrix.nnz > 0
    assert not entries(tmp_path) and not list(tmp_path.glob("*.tmp"))


def test_everything_that_matters_changes_the_key(box_case: Case) -> None:
    def key(case: Case = box_case, angles: tuple[float, ...] = (0.0,), fidelity: Fidelity = COARSE) -> str:
        return module._key(case, angles, ["PTV_7020"], fidelity)

    warmer = Case("other", box_case.ct_hu + 1, box_case.structures, box_case.grid)
    moved = Case(
        "other", box_case.ct_hu, {**box_case.structures, "PTV_7020": box_case.structures["Rectum"]}, box_case.grid
    )
    fewer = {name: mask for name, mask in box_case.structures.items() if name != "Rectum"}
    organ_only = Case("other", box_case.ct_hu, fewer, box_case.grid)
    different = {key(), key(warmer), key(moved), key(angles=(10.0,)), *(key(fidelity=f) for f in FIDELITIES.values())}
    assert len(different) == 4 + len(FIDELITIES)
    assert key(organ_only) == key()


def _build_in_process(case: Case, cache: Path, log: Path) -> None:
    compute = module._compute

    def logged(*args: object) -> object:
        with log.open("a") as file:
            file.write("computed\n")
        return compute(*args)  # type: ignore[arg-type]

    module._compute = logged  # type: ignore[assignment]
    build(case, cache)


@pytest.mark.slow
def test_two_processes_that_ask_for_the_same_matrix_build_it_once(box_case: Case, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    log = tmp_path / "log"
    workers = [context.Process(target=_build_in_process, args=(box_case, tmp_path / "cache", log)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    assert log.read_text() == "computed\n"


def test_bad_requests_are_named(box_case: Case, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="choose from fast"):
        influence(box_case, [0], ["PTV_7020"], "finest", cache_dir=tmp_path)
    with pytest.raises(ValueError, match="finite"):
        influence(box_case, [float("nan")], ["PTV_7020"], COARSE, cache_dir=tmp_path)
    with pytest.raises(ValueError, match="share a gantry angle"):
        influence(box_case, [0, 360], ["PTV_7020"], COARSE, cache_dir=tmp_path)
    with pytest.raises(CaseError, match="no target"):
        influence(box_case, [0], ["PTV_7000"], COARSE, cache_dir=tmp_path)
