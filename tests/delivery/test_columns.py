"""K by leaf pair is the dose of the apertures; slopes are those of finite differences; optimising on it improves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from radplan_env.beam_models import beam_model_named
from radplan_env.case import Case
from radplan_env.delivery.blocks import Angles, BlocksOfK
from radplan_env.delivery.columns import ApertureColumns, Beyond, Leaves
from radplan_env.delivery.coverage import Coverage
from radplan_env.delivery.limits import repaired, violations
from radplan_env.delivery.machine import machine_named
from radplan_env.delivery.optimise import ApertureOptimiser, Bounds, Effort
from radplan_env.delivery.planner import ExactDose
from radplan_env.delivery.techniques import Layout, arcs, segments
from radplan_env.dose import Raster, prepare
from radplan_env.fluence import DoseConstraint, FluenceProblem, Term
from radplan_env.influence import DoseInfluence, Fidelity, influence
from radplan_env.influence.rows import rows_of_grid

MACHINE = machine_named("millennium120")
MODEL = beam_model_named("generic-6x")
ARC = Layout(((350.0, 355.0, 360.0, 365.0),), (30.0,), (357.5,), (30.0,))
SEGMENTS = segments([0.0, 90.0], [0.0, 90.0], 3)


@lru_cache
def cylinder() -> Case:
    """A water cylinder with a ball to treat, on 10 mm voxels."""
    z, y, x = np.meshgrid(*[10.0 * np.arange(-7, 8)] * 3, indexing="ij")
    ball = z**2 + y**2 + x**2 <= 25**2
    body = y**2 + x**2 <= 65**2
    return Case.from_arrays(
        id="cylinder",
        ct_hu=np.where(body, 0.0, -1000.0),
        structures={"Body": body, "PTV": ball},
        voxel_size_mm=(10.0,) * 3,
    )


def k_of(case: Case, angles: Sequence[Angles], fidelity: Fidelity) -> DoseInfluence:
    gantry, collimator = zip(*angles, strict=True)
    settings: dict[str, Any] = {"collimator_angles_deg": collimator, "beam_model": MODEL.name, "progress": False}
    return influence(case, gantry, ["PTV"], fidelity, rows=rows_of_grid(case, case.grid), **settings)


@lru_cache
def columns(layout: Layout, cutoff_mm: float = 150.0) -> ApertureColumns:
    fidelity = Fidelity("test", 10.0, 5.0, (0.0, 0.5), cutoff_mm=cutoff_mm)
    k = BlocksOfK.computed(layout.beams_deg, lambda angles: k_of(cylinder(), angles, fidelity))
    return ApertureColumns(k, layout, MACHINE, MODEL.mlc_transmission)


def nothing_beyond(held: ApertureColumns) -> Beyond:
    return np.zeros((len(held.beams), held.rows), dtype=np.float32)


def some_leaves(held: ApertureColumns, seed: int = 0) -> Leaves:
    rng = np.random.default_rng(seed)
    shape = held.lowest.shape
    middle = (held.lowest + held.highest) / 2 + rng.uniform(-4, 4, shape)
    half = rng.uniform(4, 12, shape)
    return Leaves(middle - half, middle + half, rng.uniform(1, 3, held.first.size))


@pytest.mark.parametrize("layout", [ARC, SEGMENTS], ids=["arc", "segments"])
def test_dose_is_that_of_the_apertures_without_k(layout: Layout) -> None:
    held = columns(layout)
    leaves = some_leaves(held)
    rows = rows_of_grid(cylinder(), cylinder().grid)
    fractions = 20
    apertures = held.apertures(leaves, MODEL.monitor_units_per_fluence / fractions)
    rasters = apertures.rasters(MODEL, MACHINE.dosimetric_leaf_gap_mm, fractions)
    by_beam = prepare(cylinder(), held.beams, rows.points_mm, beam_model=MODEL).dose_by_beam(rasters)
    exact = by_beam.sum(axis=0)
    ours = held.dose(leaves, nothing_beyond(held))
    np.testing.assert_allclose(leaves.units @ held.unit_doses(leaves), ours, rtol=1e-4, atol=1e-4 * ours.max())
    ball = rows.members["PTV"]
    assert np.sqrt(np.mean((ours - exact) ** 2)) < 0.02 * exact.max()  # bixels of 5 mm and blurred ends
    assert ours[ball].mean() == pytest.approx(exact[ball].mean(), rel=0.02)
    whole = held.dose(leaves, held.beyond(leaves, by_beam))
    np.testing.assert_allclose(whole, exact, atol=1e-5 * exact.max())
    np.testing.assert_allclose(
        held.leaves(apertures, 1 / (MODEL.monitor_units_per_fluence / fractions)).left, leaves.left
    )


@pytest.mark.parametrize("layout", [ARC, SEGMENTS], ids=["arc", "segments"])
def test_blocks_of_k_give_what_the_whole_gives(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = columns(layout)
    monkeypatch.setattr("radplan_env.delivery.blocks._BEAMS", 1)
    parts = columns.__wrapped__(layout)
    assert len(parts._k.blocks) == len(whole.beams)
    leaves, pull = some_leaves(whole), np.random.default_rng(0).normal(size=whole.rows)
    nothing = nothing_beyond(whole)
    np.testing.assert_array_equal(parts.dose(leaves, nothing), whole.dose(leaves, nothing))
    np.testing.assert_array_equal(parts.unit_doses(leaves), whole.unit_doses(leaves))
    for ours, theirs in zip(parts.slopes(leaves, pull, nothing), whole.slopes(leaves, pull, nothing), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("layout", [ARC, SEGMENTS], ids=["arc", "segments"])
def test_slopes_are_those_of_finite_differences(layout: Layout) -> None:
    held, step = columns(layout), 1e-2
    leaves, rng = some_leaves(held, seed=1), np.random.default_rng(2)
    pull = rng.normal(size=held.rows)
    beyond = rng.uniform(0, 1e-4, (len(held.beams), held.rows)).astype(np.float32)
    by_left, by_right, by_units = held.slopes(leaves, pull, beyond)
    for side, found in (("left", by_left), ("right", by_right), ("units", by_units)):
        for place in rng.integers(found.size, size=6):
            values = []
            for sign in (1, -1):
                moved = getattr(leaves, side).copy()
                moved.flat[place] += sign * step
                values.append(pull @ held.dose(replace(leaves, **{side: moved}), beyond))
            expected = (values[0] - values[1]) / (2 * step)
            assert found.flat[place] == pytest.approx(expected, abs=2e-3 * abs(found).max())


def test_arcs_have_intervals_of_four_degrees_at_most_and_coarse_fields_in_their_middles() -> None:
    layout = arcs(MACHINE, 2, 18)
    there, back = layout.gantry_deg
    assert back == there[::-1]
    assert max(abs(np.diff(there))) <= 4
    middles = {angle for angle, _ in layout.beams_deg}
    assert len(layout.coarse_gantry_deg) == 18
    assert set(layout.coarse_gantry_deg) <= middles
    assert np.ptp(np.diff(np.unwrap(np.deg2rad(layout.coarse_gantry_deg)))) <= np.deg2rad(4) + 1e-9
    with pytest.raises(ValueError, match="3 arcs"):
        arcs(MACHINE, 3, 18)


def test_a_target_beyond_the_leaf_bank_is_refused() -> None:
    with pytest.raises(ValueError, match="along the leaf bank"):
        MACHINE.pair_at(np.array([0.0, 212.5]))


def test_no_leaf_is_asked_further_than_its_carriage_lets_it() -> None:
    z, y, x = np.meshgrid(*[10.0 * np.arange(-7, 8)] * 3, indexing="ij")
    ends = ((z - side * 35) ** 2 + y**2 + (x - side * 45) ** 2 <= 12**2 for side in (-1, 1))
    case = Case.from_arrays(
        id="dumbbell",
        ct_hu=np.zeros(z.shape),
        structures={"Body": np.ones(z.shape, dtype=bool), "PTV": np.logical_or(*ends)},
        voxel_size_mm=(10.0,) * 3,
    )
    layout, short = segments([0.0], [0.0], 3), replace(MACHINE, leaf_span_mm=80.0)
    fidelity = Fidelity("test", 10.0, 5.0, (0.0, 0.5), cutoff_mm=20.0)
    k = BlocksOfK.computed(layout.beams_deg, lambda angles: k_of(case, angles, fidelity))
    held, gap_mm = ApertureColumns(k, layout, short, MODEL.mlc_transmission), 2.0
    assert (held.highest < held.fields[0].jaws_mm[1] - 80).any()  # pairs whose right leaf cannot cover their bixels
    rng = np.random.default_rng(0)
    for _ in range(20):
        wanted = np.sort(rng.uniform(-80, 80, (2, *held.lowest.shape)), axis=0)
        left, right = (np.clip(ends, *ranges) for ends, ranges in zip(wanted, held.reach(gap_mm), strict=True))
        leaves = Leaves(*repaired(left, right, gap_mm, np.inf), np.ones(3))
        assert not violations(held.apertures(leaves, 1.0), short)


def test_what_lies_beyond_k_follows_the_leaves() -> None:
    held = columns(ARC, 15.0)
    rows, fractions = rows_of_grid(cylinder(), cylinder().grid), 20
    traced = prepare(cylinder(), held.beams, rows.points_mm, beam_model=MODEL)

    def exact(leaves: Leaves) -> np.ndarray:
        apertures = held.apertures(leaves, MODEL.monitor_units_per_fluence / fractions)
        return traced.dose_by_beam(apertures.rasters(MODEL, MACHINE.dosimetric_leaf_gap_mm, fractions))

    known, other = some_leaves(held), some_leaves(held, seed=5)
    beyond, expected = held.beyond(known, exact(known)), exact(other).sum(axis=0)
    missed = [abs(held.dose(other, each) - expected) for each in (beyond, 0 * beyond)]
    assert np.sqrt(np.mean(missed[0] ** 2)) < 0.5 * np.sqrt(np.mean(missed[1] ** 2))


@pytest.mark.parametrize("layout", [ARC, SEGMENTS], ids=["arc", "segments"])
def test_exact_doses_are_right_whether_leaves_move_or_units_alone_change(layout: Layout) -> None:
    held = columns(layout)
    rows, fractions = rows_of_grid(cylinder(), cylinder().grid), 20
    traced = prepare(cylinder(), held.beams, rows.points_mm, beam_model=MODEL)

    def rasters(leaves: Leaves) -> list[Raster]:
        apertures = held.apertures(leaves, MODEL.monitor_units_per_fluence / fractions)
        return apertures.rasters(MODEL, MACHINE.dosimetric_leaf_gap_mm, fractions)

    exact, known = ExactDose(traced, rasters, held.beam), some_leaves(held)
    by_interval = np.random.default_rng(1).uniform(0.5, 2.0, known.units.size)
    for leaves in (
        known,
        *(replace(known, units=known.units * each) for each in (1.3, by_interval)),
        some_leaves(held, 5),
    ):
        expected = traced.dose_by_beam(rasters(leaves))
        np.testing.assert_allclose(exact(leaves), expected, atol=2e-6 * expected.max())


DOSE_GY = 60.0


def rows_in(name: str) -> np.ndarray:
    held = rows_of_grid(cylinder(), cylinder().grid)
    return np.setdiff1d(held.members["Body"], held.members["PTV"]) if name == "Body" else held.members["PTV"]


def optimiser(total: float) -> ApertureOptimiser:
    held, target = columns(ARC), DoseConstraint("PTV", rows_in("PTV"), "=", DOSE_GY)
    terms = [Term("PTV", rows_in("PTV"), 10.0, DOSE_GY, False), Term("Body", rows_in("Body"), 1.0, 20.0, True)]
    bounds = Bounds(2.0, 30.0, 0.1, total, total)
    beyond = np.zeros((len(held.beams), held.rows), dtype=np.float32)

    def exact(leaves: Leaves) -> np.ndarray:
        return np.stack([held.dose(_only(held, leaves, n), beyond) for n in range(len(held.beams))]).astype(np.float32)

    return ApertureOptimiser(held, FluenceProblem(terms, [target]), target, bounds, exact)


def _only(held: ApertureColumns, leaves: Leaves, beam: int) -> Leaves:
    return Leaves(leaves.left, leaves.right, np.where(held.beam == beam, leaves.units, 0.0))


@pytest.mark.parametrize("covered", [False, True])
def test_slopes_of_the_objective_are_those_of_finite_differences(covered: bool) -> None:
    found, leaves = optimiser(5.0), some_leaves(columns(ARC))
    state = found.state(leaves)
    coverage = Coverage.near(found._target, state.dose) if covered else None
    descent = found._descent(state, found._loss(covered), coverage, 50.0)
    moved = np.random.default_rng(1).normal(size=2 * leaves.left.size + leaves.units.size)
    at = np.concatenate([(leaves.left + leaves.right).ravel() / 2, (leaves.right - leaves.left).ravel() / 2])
    at = np.concatenate([at, leaves.units])

    def value(x: np.ndarray) -> tuple[float, np.ndarray]:
        centre, half = x[: leaves.left.size], x[leaves.left.size : 2 * leaves.left.size]
        ends = (each.reshape(leaves.left.shape) for each in (centre - half, centre + half))
        return descent._value_and_slope(Leaves(*ends, x[2 * leaves.left.size :]))

    step = 1e-3
    ahead, behind = (value(at + sign * step * moved)[0] for sign in (1, -1))
    assert value(at)[1] @ moved == pytest.approx((ahead - behind) / (2 * step), rel=5e-3)


def test_covered_rounds_improve_what_covers_the_target() -> None:
    found = optimiser(1e4)
    start = found._covering(found.state(some_leaves(columns(ARC))))
    state = found.state(found.optimise(start.leaves, Effort(rounds=0, covered=1, covered_steps=20)))
    assert found._target.achieved_gy(state.dose) == pytest.approx(DOSE_GY, rel=1e-3)
    assert found.value(state.dose) < 0.9 * found.value(start.dose)
