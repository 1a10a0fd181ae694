import io

import numpy as np
import pytest
from pictures import NEAR, band, contours_found, decoded, position_mm, within
from PIL import Image

from radplan_env.render import plan_views
from radplan_env.render.bands import CHANGE
from radplan_env.render.views import NAMES, SIDE, change_view, slice_view

RX_GY = 70.0


@pytest.fixture(scope="module")
def views(case, dose):
    return {view.name: view for view in plan_views(case, dose, prescription_gy=RX_GY)}


def test_the_pictures_there_are(views):
    assert tuple(views) == NAMES
    assert [len(view.panels) for view in views.values()] == [3, 4]


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_a_png_of_a_size_that_models_take(views, name):
    assert decoded(views[name].png).shape == (SIDE, SIDE, 3)
    assert len(views[name].png) < 200_000


def test_the_same_plan_gives_the_same_bytes(case, dose, views):
    again = plan_views(case, dose, prescription_gy=RX_GY)
    assert [view.png for view in again] == [view.png for view in views.values()]


def test_a_picture_may_be_asked_for_by_name(case, dose, views):
    [slices] = plan_views(case, dose, prescription_gy=RX_GY, names=["slices"])
    assert slices == views["slices"]
    with pytest.raises(ValueError, match="no picture dvh: choose from planes, slices"):
        plan_views(case, dose, prescription_gy=RX_GY, names=["dvh"])


def test_a_file_holds_the_picture_and_nothing_else(views):
    for view in views.values():
        assert Image.open(io.BytesIO(view.png)).info == {}


def test_who_the_patient_is_makes_no_difference(make_case, dose, views):
    stranger = make_case(id="Doe^John 1950-01-01", source="dicom", unmapped=("Dr. Smith's PTV",))
    for view, other in zip(plan_views(stranger, dose, prescription_gy=RX_GY), views.values(), strict=True):
        assert (view.png, view.caption) == (other.png, other.caption)


@pytest.mark.parametrize("name", NAMES)
def test_contours_are_where_the_case_has_them(case, views, name):
    picture, checked = decoded(views[name].png), set()
    for panel in views[name].panels:
        for structure, share in contours_found(picture, panel, case).items():
            assert share > 0.6, (structure, panel.plane.name)  # others' contours may cover some of it, never most
            checked.add(structure)
    assert {"PTV_7000"} <= checked
    assert checked == set(case.structures)


def test_dose_colour_is_where_the_dose_is_and_only_there(make_case, block):
    body = make_case().structures["Body"]
    case = make_case(structures={"Body": body, "PTV": block((15, 20, 25), 4)})
    spot = (slice(12, 19), slice(10, 15), slice(12, 19))  # anterior right of the centre, clear of the target
    dose = np.zeros(case.grid.shape, np.float32)
    dose[spot] = 0.85 * RX_GY
    for view in plan_views(case, dose, prescription_gy=RX_GY):
        picture = decoded(view.png)
        for panel in view.panels:
            if not dose.take(panel.plane.index, axis=panel.plane.axis).any():
                continue
            hot = panel.pixel(position_mm(case, (15, 12, 15)))
            mirrored = panel.pixel(position_mm(case, (15, 28, 35)))  # posterior left
            if within(panel, hot):
                np.testing.assert_allclose(picture[hot], band(85), atol=NEAR)
            if within(panel, mirrored):
                assert np.ptp(picture[mirrored]) < 0.05, "grey"


def test_without_dose_there_is_no_colour_but_contours(case):
    for view in plan_views(case, np.zeros(case.grid.shape), prescription_gy=RX_GY):
        for panel in view.panels:
            picture = decoded(view.png)[panel.box.top :, panel.box.left :][: panel.box.height, : panel.box.width]
            assert (np.ptp(picture, axis=2) > 0.1).mean() < 0.2


def test_a_point_of_the_patient_is_found_in_the_picture(case, views):
    axial, coronal, sagittal = views["planes"].panels
    centre = position_mm(case, (15, 20, 25))
    left, anterior, superior = (
        tuple(c + step for c, step in zip(centre, shift, strict=True)) for shift in ((0, 0, 9), (0, -9, 0), (9, 0, 0))
    )
    assert axial.pixel(left)[1] > axial.pixel(centre)[1]
    assert axial.pixel(anterior)[0] < axial.pixel(centre)[0]
    assert coronal.pixel(superior)[0] < coronal.pixel(centre)[0]
    assert sagittal.pixel(anterior)[1] < sagittal.pixel(centre)[1]


def test_slices_are_spread_over_the_target_from_feet_to_head(case, views):
    indices = [panel.plane.index for panel in views["slices"].panels]
    assert indices == sorted(set(indices))
    for index in indices:
        assert case.structures["PTV_7000"][index].any()


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_a_target_of_few_slices_has_a_panel_for_each(make_case, dose, slices):
    target = np.zeros((30, 40, 50), bool)
    target[10 : 10 + slices, 15:25, 20:30] = True
    case = make_case(structures={"Body": make_case().structures["Body"], "PTV": target})
    view = plan_views(case, dose, prescription_gy=RX_GY)[1]
    assert [panel.plane.index for panel in view.panels] == list(range(10, 10 + slices))
    assert decoded(view.png).shape == (SIDE, SIDE, 3)


def test_a_case_without_targets_is_shown_through_its_body(make_case, dose):
    case = make_case(structures={"Body": make_case().structures["Body"]})
    assert [view.name for view in plan_views(case, dose, prescription_gy=RX_GY)] == list(NAMES)


def test_captions_say_what_is_shown(views):
    for view in views.values():
        assert "PTV_7000" in view.caption
        assert "70 Gy" in view.caption


def test_mistakes_are_refused(case, dose):
    with pytest.raises(ValueError, match="resample"):
        plan_views(case, dose[1:], prescription_gy=RX_GY)
    with pytest.raises(ValueError, match="NaN"):
        plan_views(case, np.where(dose > 60, np.nan, dose), prescription_gy=RX_GY)
    with pytest.raises(ValueError, match="prescription_gy"):
        plan_views(case, dose, prescription_gy=0)


def test_the_worst_point_is_marked_and_left_to_be_seen(case, dose):
    point = position_mm(case, (15, 22, 28))
    view = slice_view(case, dose, prescription_gy=RX_GY, z_mm=point[0], cross_mm=point, label="PTV_7000 D2%: 71.0 Gy")
    (panel,), picture = view.panels, decoded(view.png)
    row, column = panel.pixel(point)
    per_mm = panel.box.width / (panel.across_mm[1] - panel.across_mm[0])
    assert np.ptp(picture[row, column]) > 0.1, "the dose, not the cross"
    for arm in (-7, 7):  # mm
        assert picture[row, column + round(arm * per_mm)].min() > 0.85, "white"
    assert "PTV_7000 D2%: 71.0 Gy" in view.caption


def test_nothing_is_written_on_the_patient(make_case, dose):
    """Names and titles stand in strips above and below: between them are dose, contours and letters at the rims."""
    case = make_case(ct_hu=np.full(make_case().grid.shape, -1000.0))
    view = slice_view(case, np.zeros(case.grid.shape), prescription_gy=RX_GY, z_mm=position_mm(case, (15, 0, 0))[0])
    picture = decoded(view.png)[80:-80, 60 : view.panels[0].box.width - 60]
    assert not (picture.min(axis=2) > 0.9).any(), "white letters"


def test_change_is_shown_where_it_is_and_says_which_way(case, dose):
    after = dose.copy()
    after[:, :20] += 4.0
    after[:, 20:] -= 6.0
    view = change_view(case, after, dose, prescription_gy=RX_GY)
    picture, axial = decoded(view.png), view.panels[0]
    for voxel, change in (((15, 5, 25), 4.0), ((15, 35, 25), -6.0)):
        expected = CHANGE.rgba(np.array(change))[:3]
        np.testing.assert_allclose(picture[axial.pixel(position_mm(case, voxel))], expected, atol=NEAR)
