"""The cache of dose-influence matrices: what is found in it, and every kind of damage."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from radplan_env.case import Case
from radplan_env.influence import ENGINES, FIDELITIES, DoseInfluence, Fidelity, influence
from radplan_env.influence.matrix import _key, setup_of
from radplan_env.influence.setup import Matrix, Setup

COARSE = Fidelity("coarse", dose_grid_mm=10, bixel_mm=20)


def build(case: Case, cache: Path, angles: tuple[float, ...] = (0.0, 90.0)) -> DoseInfluence:
    return influence(case, angles, ["PTV_7020"], COARSE, cache_dir=cache, progress=False)


def entries(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.npz"))


def test_a_second_call_reads_what_the_first_one_wrote(
    box_case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(box_case, tmp_path)
    monkeypatch.setitem(ENGINES, "radplan", lambda *_: pytest.fail("computed again"))
    second = build(box_case, tmp_path)
    assert (first.matrix != second.matrix).nnz == 0
    np.testing.assert_array_equal(first.bixels.beam, second.bixels.beam)
    np.testing.assert_array_equal(first.bixels.edges_mm, second.bixels.edges_mm)
    assert first.beams == second.beams
    assert not list(tmp_path.glob("*.tmp"))


def test_each_engine_has_entries_of_its_own(box_case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    k = build(box_case, tmp_path)
    monkeypatch.setitem(ENGINES, "pyradplan", lambda *_: (2 * k.matrix, k.bixels))
    doubled = influence(
        box_case, (0.0, 90.0), ["PTV_7020"], COARSE, engine="pyradplan", cache_dir=tmp_path, progress=False
    )
    assert len(entries(tmp_path)) == 2
    assert doubled.matrix.sum() == pytest.approx(2 * k.matrix.sum())
    assert (build(box_case, tmp_path).matrix != k.matrix).nnz == 0


def test_nothing_is_kept_unless_a_folder_is_named(
    box_case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RADPLAN_CACHE_DIR")
    influence(box_case, (0.0,), ["PTV_7020"], COARSE, progress=False)
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("RADPLAN_CACHE_DIR", str(tmp_path / "kept"))
    influence(box_case, (0.0,), ["PTV_7020"], COARSE, progress=False)
    assert entries(tmp_path / "kept" / "influence")


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
    def key(
        case: Case = box_case, angles: tuple[float, ...] = (0.0,), fidelity: Fidelity = COARSE, collimator: float = 0.0
    ) -> str:
        return _key(setup_of(case, angles, ["PTV_7020"], fidelity, collimator), "radplan")

    warmer = Case("other", box_case.ct_hu + 1, box_case.structures, box_case.grid)
    moved = Case(
        "other", box_case.ct_hu, {**box_case.structures, "PTV_7020": box_case.structures["Rectum"]}, box_case.grid
    )
    fewer = {name: mask for name, mask in box_case.structures.items() if name != "Rectum"}
    organ_only = Case("other", box_case.ct_hu, fewer, box_case.grid)
    beside = key(fidelity=Fidelity("coarse", dose_grid_mm=10, bixel_mm=20, bixel_offset=(0, 0.5)))
    different = {key(), key(warmer), key(moved), key(angles=(10.0,)), key(collimator=10.0), beside}
    different |= {key(fidelity=f) for f in FIDELITIES.values()}
    assert len(different) == 6 + len(FIDELITIES)
    assert key(organ_only) == key()


def _build_in_process(case: Case, cache: Path, log: Path) -> None:
    compute = ENGINES["radplan"]

    def logged(setup: Setup, progress: bool) -> Matrix:
        with log.open("a") as file:
            file.write("computed\n")
        return compute(setup, progress)

    ENGINES["radplan"] = logged
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
