"""Actions stand for parameters one to one, within the protocol's ranges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from radplan_env.actions import ActionMap
from radplan_env.parameters import PlanningParameters, StructureParameters
from radplan_env.protocol import load_protocol
from radplan_env.slots import SmoothnessSlot

SITES = ("prostate", "head_and_neck", "tg119")
MAPS = {site: ActionMap(load_protocol(site)) for site in SITES}
SMOOTH = MAPS["prostate"].protocol.model_copy(update={"smoothness": SmoothnessSlot(start=3.0, range=(0.1, 100.0))})
ROUGH = SMOOTH.model_copy(update={"smoothness": None})
MAPS |= {"smooth": ActionMap(SMOOTH), "rough": ActionMap(ROUGH)}

sites = st.sampled_from(list(MAPS))


@st.composite
def maps_and_actions(draw: st.DrawFn) -> tuple[ActionMap, NDArray[np.float32]]:
    action_map = MAPS[draw(sites)]
    numbers = st.floats(-1, 1, width=32)
    return action_map, draw(arrays(np.float32, len(action_map.names), elements=numbers))


@st.composite
def maps_and_parameters(draw: st.DrawFn) -> tuple[ActionMap, PlanningParameters]:
    """Parameters as people write them: weights of up to five digits, doses to a hundredth of a Gy."""
    action_map = MAPS[draw(sites)]

    def chosen(low: float, high: float, text: str) -> float:
        return min(max(float(format(draw(st.floats(low, high)), text)), low), high)

    return action_map, PlanningParameters(
        {
            name: StructureParameters(chosen(*ranges["weight"], ".5g"), chosen(*ranges["objective_dose_gy"], ".2f"))
            for name, ranges in action_map.ranges().items()
        },
        smoothness=None if (own := action_map.protocol.smoothness) is None else chosen(*own.range, ".5g"),
    )


@given(maps_and_parameters())
def test_parameters_survive_the_round_trip_exactly(
    map_and_parameters: tuple[ActionMap, PlanningParameters],
) -> None:
    action_map, parameters = map_and_parameters
    action = action_map.to_action(parameters)
    assert action in action_map.space
    assert action_map.to_parameters(action) == parameters


@given(maps_and_actions())
def test_actions_survive_the_round_trip_to_rounding(
    map_and_action: tuple[ActionMap, NDArray[np.float32]],
) -> None:
    action_map, action = map_and_action
    parameters = action_map.to_parameters(action)
    back = action_map.to_action(parameters)
    assert back in action_map.space
    np.testing.assert_allclose(back, action, atol=5e-4)
    assert action_map.to_parameters(back) == parameters


@given(maps_and_actions())
def test_parameters_stay_in_the_protocols_ranges(
    map_and_action: tuple[ActionMap, NDArray[np.float32]],
) -> None:
    action_map, action = map_and_action
    ranges = action_map.ranges()
    for name, values in action_map.to_parameters(action).structures.items():
        assert ranges[name]["weight"][0] <= values.weight <= ranges[name]["weight"][1]
        low, high = ranges[name]["objective_dose_gy"]
        assert low <= values.objective_dose_gy <= high


@pytest.mark.parametrize("site", SITES)
def test_the_ends_of_the_box_are_the_ends_of_the_ranges(site: str) -> None:
    action_map = MAPS[site]
    for end, coordinate in enumerate((-1, 1)):
        parameters = action_map.to_parameters(np.full(len(action_map.names), coordinate, np.float32))
        for name, ranges in action_map.ranges().items():
            assert parameters.structures[name].weight == ranges["weight"][end]
            assert parameters.structures[name].objective_dose_gy == ranges["objective_dose_gy"][end]


def test_zero_is_the_geometric_mean_of_weights_and_the_middle_of_doses() -> None:
    action_map = MAPS["prostate"]
    parameters = action_map.to_parameters(np.zeros(len(action_map.names)))
    low, high = action_map.ranges()["Rectum"]["weight"]
    assert parameters.structures["Rectum"].weight == pytest.approx((low * high) ** 0.5, rel=1e-5)
    low, high = action_map.ranges()["Rectum"]["objective_dose_gy"]
    assert parameters.structures["Rectum"].objective_dose_gy == (low + high) / 2


@given(maps_and_actions(), st.data())
def test_every_coordinate_changes_its_own_parameter_alone(
    map_and_action: tuple[ActionMap, NDArray[np.float32]], data: st.DataObject
) -> None:
    action_map, action = map_and_action
    coordinate = data.draw(st.integers(0, len(action) - 1))
    moved = action.copy()
    moved[coordinate] += 0.1 if action[coordinate] < 0 else -0.1
    before, after = action_map.to_parameters(action), action_map.to_parameters(moved)
    changed = {
        f"{name} {quantity}"
        for name in before.structures
        for quantity in ("weight", "objective_dose_gy")
        if getattr(before.structures[name], quantity) != getattr(after.structures[name], quantity)
    }
    changed |= {"Fluence smoothness"} if before.smoothness != after.smoothness else set()
    assert changed == {action_map.names[coordinate]}


@pytest.mark.parametrize("site", SITES)
def test_start_parameters_are_an_action(site: str) -> None:
    start = MAPS[site].protocol.start_parameters()
    assert MAPS[site].to_parameters(MAPS[site].to_action(start)) == start


@given(maps_and_actions(), maps_and_parameters(), st.floats(0.01, 2))
def test_a_move_goes_as_far_as_the_ranges_allow(
    map_and_change: tuple[ActionMap, NDArray[np.float32]],
    map_and_parameters: tuple[ActionMap, PlanningParameters],
    step: float,
) -> None:
    action_map, parameters = map_and_parameters
    change = np.resize(map_and_change[1], len(action_map.names))
    moved = action_map.moved(parameters, change, step)
    expected = np.clip(action_map.to_action(parameters) + step * change, -1, 1)
    np.testing.assert_allclose(action_map.to_action(moved), expected, atol=3e-3)
    still = action_map.moved(moved, np.zeros(change.shape), step)
    assert still == moved


def test_a_move_up_multiplies_a_weight_and_a_move_down_divides_it() -> None:
    action_map = MAPS["prostate"]
    start = action_map.protocol.start_parameters()
    up = np.zeros(len(action_map.names))
    up[action_map.names.index("Rectum weight")] = 1
    moved = action_map.moved(start, up, 0.1)
    assert moved.structures["Rectum"].weight == pytest.approx(5 * 10000**0.05, rel=1e-4)
    assert moved.replace("Rectum", weight=start.structures["Rectum"].weight) == start
    assert action_map.moved(moved, -up, 0.1) == start


def test_plain_parameters_are_parameters_too() -> None:
    action_map = MAPS["prostate"]
    start = action_map.protocol.start_parameters()
    plain = start.to_dict()["structures"]
    np.testing.assert_array_equal(action_map.to_action(plain), action_map.to_action(start))
    del plain["Rectum"]["weight"]
    with pytest.raises(ValueError, match="weight"):
        action_map.to_action(plain)


def test_structures_a_case_lacks_are_left_out() -> None:
    action_map = MAPS["prostate"]
    present = ("PTV_7020", "Body")
    parameters = action_map.to_parameters(np.full(len(action_map.names), 0.5), present)
    assert tuple(parameters.structures) == present
    action = action_map.to_action(parameters)
    lacking = [not name.startswith((*present, "Fluence")) for name in action_map.names]
    assert (action[lacking] == 0).all()
    assert action_map.to_parameters(action, present) == parameters


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.001, -7])
def test_nan_and_values_outside_the_box_are_refused_by_name(value: float) -> None:
    action = np.zeros(len(MAPS["prostate"].names))
    action[3] = value
    with pytest.raises(ValueError, match=r"\[-1, 1\].* Bladder objective_dose_gy"):
        MAPS["prostate"].to_parameters(action)


@pytest.mark.parametrize("action", [np.zeros(11), np.zeros((1, 12)), np.float32(0), None, "up", [[0], [1, 2]]])
def test_other_shapes_are_refused(action: object) -> None:
    with pytest.raises(ValueError, match="an action"):
        MAPS["prostate"].to_parameters(action)  # type: ignore[arg-type]


def test_parameters_no_action_stands_for_are_refused() -> None:
    start = MAPS["prostate"].protocol.start_parameters()
    with pytest.raises(ValueError, match="weight 1e\\+09 of Rectum is outside its range"):
        MAPS["prostate"].to_action(start.replace("Rectum", weight=1e9))
    with pytest.raises(ValueError, match="objective_dose_gy 0 of PTV_7020 is outside"):
        MAPS["prostate"].to_action(start.replace("PTV_7020", objective_dose_gy=0))
    with pytest.raises(ValueError, match="no slot for Core.*its slots: PTV_7020, Bladder"):
        MAPS["prostate"].to_action(PlanningParameters({"Core": StructureParameters(1, 1)}))
    with pytest.raises(ValueError, match="beams"):
        MAPS["prostate"].to_action(PlanningParameters(start.structures, gantry_angles_deg=(0.0,)))


def test_smoothness_is_the_last_coordinate_where_the_protocol_leaves_it_open() -> None:
    smooth, plain = MAPS["smooth"], MAPS["rough"]
    assert smooth.names == (*plain.names, "Fluence smoothness")
    start = SMOOTH.start_parameters()
    assert start.smoothness == 3.0
    action = smooth.to_action(start)
    np.testing.assert_array_equal(action[:-1], plain.to_action(plain.protocol.start_parameters()))
    assert smooth.to_parameters(action) == start
    # Parameters that do not mention it have the protocol's.
    np.testing.assert_array_equal(smooth.to_action(start.to_dict()["structures"]), action)
    for end, coordinate in ((0.1, -1), (100.0, 1)):
        action[-1] = coordinate
        assert smooth.to_parameters(action).smoothness == end
    moved = smooth.moved(start, np.eye(len(smooth.names), dtype=np.float32)[-1], 0.2)
    assert moved.smoothness == pytest.approx(3.0 * 1000**0.1, rel=1e-3) and moved.structures == start.structures


def test_smoothness_out_of_range_or_where_there_is_none_is_refused() -> None:
    start = SMOOTH.start_parameters()
    with pytest.raises(ValueError, match="smoothness 500 is outside its range 0.1 to 100"):
        MAPS["smooth"].to_action(replace(start, smoothness=500))
    with pytest.raises(ValueError, match="leaves no smoothness to choose"):
        MAPS["rough"].to_action(start)
    with pytest.raises(ValueError, match="zero or greater"):
        replace(start, smoothness=-1)
    with pytest.raises(ValueError, match="not within a range"):
        SmoothnessSlot(start=3.0, range=(0.0, 10.0))
