import numpy as np
import pytest

from radplan_env.grid import resample
from radplan_env.render import CaseImage, observation_image
from radplan_env.render.colors import dose_colormap, rgb, structure_colors

RX_GY = 70.0


@pytest.fixture(scope="module")
def image(case):
    return CaseImage(case, RX_GY)


def tiles(picture):
    return dict(zip(("Axial", "Coronal", "Sagittal"), np.split(picture, 3, axis=1), strict=True))


@pytest.mark.parametrize("size", [(128, 384), (64, 192), (40, 300), (36, 108)])
def test_shape_and_type(case, dose, size):
    picture = observation_image(case, dose, prescription_gy=RX_GY, size=size)
    assert picture.shape == (*size, 3)
    assert picture.dtype == np.uint8


def test_the_same_dose_gives_the_same_picture_and_is_left_as_it_was(image, dose, case):
    before = dose.copy()
    first = image.render(dose)
    image.render(0 * dose)
    np.testing.assert_array_equal(image.render(dose), first)
    np.testing.assert_array_equal(observation_image(case, dose, prescription_gy=RX_GY), first)
    np.testing.assert_array_equal(dose, before)


def test_colour_appears_where_there_is_dose_and_only_there(make_case, block):
    case = make_case(structures={"Body": make_case().structures["Body"], "PTV": block((15, 20, 25), 1)})
    image = CaseImage(case, RX_GY)
    dose = np.zeros(case.grid.shape, np.float32)
    dose[:, 6:12, 8:20] = 0.5 * RX_GY
    without, with_dose = (tiles(image.render(d))["Axial"].astype(int) for d in (0 * dose, dose))
    changed = (without != with_dose).any(axis=2)
    rows, columns = np.nonzero(changed)
    expected = 0.5 * rgb("#000000") + 0.5 * np.array(dose_colormap()(0.4)[:3])
    middle = with_dose[int(rows.mean()), int(columns.mean())] / 255
    assert middle - without[int(rows.mean()), int(columns.mean())] / 255 * 0.5 == pytest.approx(expected, abs=0.02)
    assert changed[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].mean() > 0.9
    assert rows.max() < 64  # anterior is at the top
    assert columns.max() < 64  # the patient's right is on the left


def test_faint_dose_and_dose_outside_the_body_are_not_shown(image, case):
    nothing = image.render(np.zeros(case.grid.shape, np.float32))
    np.testing.assert_array_equal(image.render(np.full(case.grid.shape, 0.09 * RX_GY, np.float32)), nothing)
    outside = np.where(case.structures["Body"], 0, RX_GY).astype(np.float32)
    difference = (image.render(outside) != nothing).any(axis=2)
    assert difference.mean() < 0.06  # a voxel's width at the surface, by interpolation


def test_dose_beyond_the_colour_bar_keeps_its_last_colour(image, case):
    hot, hotter = (np.full(case.grid.shape, f * RX_GY, np.float32) for f in (1.1, 5.0))
    np.testing.assert_array_equal(image.render(hot), image.render(hotter))


@pytest.mark.parametrize(
    ("name", "vertical", "horizontal"),
    [("Axial", "top", "right"), ("Coronal", "top", "right"), ("Sagittal", "top", "left")],
)
def test_anterior_left_superior_appears_where_it_belongs(make_case, block, name, vertical, horizontal):
    case = make_case(structures={"Body": make_case().structures["Body"], "PTV": block((15, 20, 25), 1)})
    reach = [slice(18, 26), slice(6, 15), slice(32, 44)]  # superior, anterior, left
    axis = ("Axial", "Coronal", "Sagittal").index(name)
    reach[axis] = slice(None)
    dose = np.zeros(case.grid.shape, np.float32)
    dose[tuple(reach)] = RX_GY
    image = CaseImage(case, RX_GY)
    changed = (tiles(image.render(dose))[name] != tiles(image.render(0 * dose))[name]).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert (rows.max() < 64) == (vertical == "top")
    assert (rows.min() >= 64) == (vertical == "bottom")
    assert (columns.max() < 64) == (horizontal == "left")
    assert (columns.min() >= 64) == (horizontal == "right")


def test_contours_lie_over_the_dose_in_their_colours(image, case, dose):
    picture = image.render(np.full(case.grid.shape, RX_GY, np.float32)).reshape(-1, 3)
    for name, color in structure_colors(case.structures).items():
        assert (picture == np.rint(255 * rgb(color))).all(axis=1).any(), name


def test_a_coarser_dose_grid_gives_nearly_the_same_picture(case, dose, image):
    coarse = case.grid.coarsened(4.0)
    other = CaseImage(case, RX_GY, dose_grid=coarse)
    a, b = image.render(dose), other.render(resample(dose, case.grid, coarse))
    assert np.abs(a.astype(int) - b.astype(int)).mean() < 6


def test_mistakes_are_refused(image, case, dose):
    with pytest.raises(ValueError, match="divisible by three"):
        CaseImage(case, RX_GY, size=(128, 128))
    with pytest.raises(ValueError, match="prescription_gy"):
        CaseImage(case, 0.0)
    with pytest.raises(ValueError, match="dose_gy"):
        image.render(dose[1:])
