"""Beams and bixels: geometry with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from radplan_env.beams import Beam, Bixels

ISOCENTRE_MM = (10.0, 20.0, 30.0)


@pytest.mark.parametrize(
    ("gantry_deg", "source_zyx_mm"),
    [(0, (10, -980, 30)), (90, (10, 20, 1030)), (180, (10, 1020, 30)), (270, (10, 20, -970))],
)
def test_the_gantry_turns_as_in_iec_61217(gantry_deg: float, source_zyx_mm: tuple[float, float, float]) -> None:
    beam = Beam(gantry_deg, ISOCENTRE_MM, 1000.0)
    np.testing.assert_allclose(beam.from_source(*map(np.float64, source_zyx_mm)), 0, atol=1e-9)
    np.testing.assert_allclose(beam.from_source(*map(np.float64, ISOCENTRE_MM)), (0, 1000, 0), atol=1e-9)


def test_the_collimator_turns_its_x_axis_towards_the_head() -> None:
    beam = Beam(77.0, ISOCENTRE_MM, 1000.0, collimator_deg=90.0)
    np.testing.assert_allclose(beam.from_collimator(np.float64(3), np.float64(0)), (0, 3), atol=1e-12)
    turned = Beam(0.0, ISOCENTRE_MM, 1000.0, collimator_deg=31.0)
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(2, 5))
    np.testing.assert_allclose(turned.from_collimator(*turned.onto_collimator(x, z)), (x, z))


def test_bixels_know_their_edges_their_order_and_their_neighbours() -> None:
    #  two beams, columns shuffled: beam 0 has an L of three bixels, beam 1 one bixel at the same place
    bixels = Bixels(np.array([0, 1, 0, 0]), np.array([[1, 0], [0, 0], [0, 1], [0, 0]]), 5.0, (0.0, 0.5))
    np.testing.assert_allclose(bixels.centres_mm, [[5, 2.5], [0, 2.5], [0, 7.5], [0, 2.5]])
    np.testing.assert_allclose(bixels.edges_mm[2], [[-2.5, 2.5], [5, 10]])
    assert bixels.order.tolist() == [3, 2, 0, 1]
    assert bixels.of_beam(0).tolist() == [0, 2, 3]
    assert {frozenset(pair) for pair in bixels.neighbours().tolist()} == {frozenset({3, 2}), frozenset({3, 0})}


def test_what_is_no_beam_and_what_are_no_bixels_is_refused() -> None:
    with pytest.raises(ValueError, match="couch angle must be 0"):
        Beam(0.0, ISOCENTRE_MM, 1000.0, couch_deg=10.0)
    with pytest.raises(ValueError, match="finite"):
        Beam(float("nan"), ISOCENTRE_MM, 1000.0)
    with pytest.raises(ValueError, match="share a place"):
        Bixels(np.array([0, 0]), np.array([[1, 1], [1, 1]]), 5.0)
    with pytest.raises(ValueError, match="every bixel needs"):
        Bixels(np.array([0, 0]), np.array([[1, 1]]), 5.0)
