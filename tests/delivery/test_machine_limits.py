"""What a machine can do: known violations are found, repaired plans have none, times add up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from radplan_env.delivery.apertures import Apertures, Field
from radplan_env.delivery.complexity import mean_gap_mm, modulation_complexity
from radplan_env.delivery.limits import interval_seconds, repaired, rounded, total_seconds, violations
from radplan_env.delivery.machine import machine_named

MACHINE = machine_named("millennium120")
JAWS = (-50.0, 50.0, -50.0, 50.0)
ARC = Field((350.0, 354.0, 358.0, 362.0, 366.0), 0.0, JAWS)
STATIC = Field((90.0, 90.0), 0.0, JAWS)


def open_square(field: Field = ARC, units: float = 10.0, half_mm: float = 30.0) -> Apertures:
    """A square field on every control point; pairs beyond it are closed."""
    bounds = MACHINE.boundaries_mm
    inside = (bounds[:-1] >= -half_mm) & (bounds[1:] <= half_mm)
    right = np.tile(np.where(inside, half_mm, 0.0), (field.control_points, 1))
    return Apertures((field,), bounds, -right, right, np.full(field.intervals, units))


def limits_broken(apertures: Apertures) -> set[str]:
    return {each.limit for each in violations(apertures, MACHINE)}


def test_the_machine_is_a_millennium() -> None:
    widths = np.diff(MACHINE.boundaries_mm)
    assert MACHINE.pairs == 60
    assert sorted(set(widths)) == [5, 10]
    assert (widths == 5).sum() == 40


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("leaf_speed_mm_per_s: 25", "missing keys: leaf_speed_mm_per_s"),
        ("-100, -95,", "none of which is more than twice"),  # a hole of 15 mm in the leaf bank
    ],
)
def test_a_machine_file_with_a_hole_is_refused(tmp_path: Path, line: str, said: str) -> None:
    text = (Path(__file__).parents[2] / "radplan_env/delivery/machines/millennium120.yaml").read_text("utf-8")
    (tmp_path / "mine.yaml").write_text(text.replace(line, ""), "utf-8")
    with pytest.raises(ValueError, match=said):
        machine_named(str(tmp_path / "mine.yaml"))


def test_an_unknown_machine_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown machine 'agility'"):
        machine_named("agility")


def test_an_open_arc_across_zero_breaks_nothing() -> None:
    plan = open_square()
    assert not violations(plan, MACHINE)
    np.testing.assert_allclose(plan.middle_deg, [352, 356, 0, 4])


def test_the_slowest_of_gantry_leaves_and_dose_rate_decides() -> None:
    plan = open_square(units=2.0)
    np.testing.assert_allclose(interval_seconds(plan, MACHINE), 4 / 6)
    plan = open_square(units=10.0)
    np.testing.assert_allclose(interval_seconds(plan, MACHINE), 1.0)  # 600 MU a minute
    moved = plan.left_mm.copy()
    moved[2:] -= 50.0  # 2 s at 25 mm/s, and the gantry slows down before and after
    seconds = interval_seconds(replace(plan, left_mm=moved), MACHINE)
    assert seconds[1] == pytest.approx(2.0)
    assert (abs(np.diff(4 / seconds)) <= 0.75 + 1e-9).all()


def test_a_static_field_takes_its_units_and_the_leaves_way_between_segments() -> None:
    plan = open_square(STATIC)
    wider = plan.right_mm.copy()
    wider[1] += 25.0
    assert total_seconds(replace(plan, right_mm=wider), MACHINE) == pytest.approx(2 * 1.0 + 1.0)


def test_each_limit_is_found_where_it_is_broken() -> None:
    plan = open_square()
    left, right = plan.left_mm.copy(), plan.right_mm.copy()
    left[1, 30], right[1, 30] = 10.0, 10.2
    assert limits_broken(replace(plan, left_mm=left, right_mm=right)) == {"gap"}
    left, right = plan.left_mm.copy(), plan.right_mm.copy()
    left[:, 30] -= 121.0
    assert limits_broken(replace(plan, left_mm=left)) == {"span"}
    assert limits_broken(open_square(units=0.1)) == {"dose rate"}


@given(st.integers(0, 2**32 - 1), st.floats(0.5, 10), st.floats(1, 40))
def test_repaired_leaves_keep_gap_and_travel_and_what_is_right_already(seed: int, gap: float, travel: float) -> None:
    rng = np.random.default_rng(seed)
    left, right = np.sort(rng.uniform(-80, 80, (2, 12, 5)), axis=0)
    once = repaired(left, right, gap, travel)
    assert (once[1] - once[0] >= gap - 1e-9).all()
    assert (abs(np.diff(once, axis=1)) <= travel + 1e-9).all()
    np.testing.assert_allclose(repaired(*once, gap, travel), once, atol=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_rounded_plans_of_an_optimiser_break_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = np.sort(rng.uniform(-70, 70, (2, 5, 60)), axis=0)
    left, right = repaired(left, right, 0.5, 30.0)
    plan = Apertures((ARC,), MACHINE.boundaries_mm, left, right, rng.uniform(0, 25, 4))
    fixed = rounded(plan, MACHINE)
    assert not violations(fixed, MACHINE)
    assert abs(fixed.left_mm - left).max() <= 0.01 + 1e-9
    assert np.allclose(fixed.left_mm, np.round(fixed.left_mm, 2), atol=0)


def test_complexity_of_an_open_rectangle_is_one_and_falls_with_modulation() -> None:
    plan = open_square()
    jaws = replace(ARC, jaws_mm=(-30, 30, -30, 30))
    plan = replace(plan, fields=(jaws,))
    assert modulation_complexity(plan) == pytest.approx(1)
    assert mean_gap_mm(plan, MACHINE.smallest_gap_mm) == pytest.approx(60)
    ragged: NDArray[np.float64] = plan.right_mm.copy()
    ragged[:, 24:36:2] -= 25.0
    assert modulation_complexity(replace(plan, right_mm=ragged)) < 0.6
