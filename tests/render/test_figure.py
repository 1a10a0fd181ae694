import itertools
import threading

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_hex
from matplotlib.text import Annotation, Text

from radplan_env.render import dvh_curves, dvh_figure, figure_to_rgb, plan_figure
from radplan_env.render.colors import rgb, structure_colors

RX_GY = 70.0
PLANES = ("Axial", "Coronal", "Sagittal")


@pytest.fixture(scope="module")
def figure(case, dose, summary):
    return plan_figure(case, dose, summary, prescription_gy=RX_GY, title="A plan")


@pytest.fixture(scope="module")
def pixels(figure):
    return figure_to_rgb(figure)


def panel(figure, name):
    return next(axes for axes in figure.axes if any(t.get_text().startswith(name) for t in axes.texts))


def crop(figure, pixels, axes):
    """The pixels of one axes."""
    box = axes.get_window_extent()
    top, bottom = pixels.shape[0] - box.y1, pixels.shape[0] - box.y0
    return pixels[round(top) : round(bottom), round(box.x0) : round(box.x1)]


def test_pixels(pixels):
    assert pixels.shape == (960, 1600, 3)
    assert pixels.dtype == np.uint8


def test_the_same_plan_gives_the_same_pixels(case, dose, summary, pixels):
    again = figure_to_rgb(plan_figure(case, dose, summary, prescription_gy=RX_GY, title="A plan"))
    np.testing.assert_array_equal(again, pixels)


@pytest.mark.slow
def test_threads_do_not_disturb_each_other(case, dose, summary, pixels):
    results = {}

    def draw(key):
        results[key] = figure_to_rgb(plan_figure(case, dose, summary, prescription_gy=RX_GY, title="A plan"))

    threads = [threading.Thread(target=draw, args=(key,)) for key in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(result, pixels) for result in results.values())
    assert len(results) == 3


def test_pyplot_and_its_settings_are_left_alone(case, dose, summary):
    before = dict(matplotlib.rcParams)
    plan_figure(case, dose, summary, prescription_gy=RX_GY)
    assert pyplot.get_fignums() == []
    assert dict(matplotlib.rcParams) == before


# Where a hot block at anterior-left-superior of the centre must appear: A is up and L right in the axial
# picture, S up and L right in the coronal one, S up and A left in the sagittal one.
QUADRANTS = {"Axial": ("top", "right"), "Coronal": ("top", "right"), "Sagittal": ("top", "left")}


@pytest.mark.parametrize("name", PLANES)
def test_anterior_left_superior_dose_appears_where_it_belongs(make_case, block, summary, name):
    case = make_case(structures={"Body": make_case().structures["Body"], "PTV_7000": block((15, 20, 25), 1)})
    dose = np.zeros(case.grid.shape, np.float32)
    z, y, x = (slice(17, 24), slice(10, 18), slice(28, 40))  # superior, anterior, left
    dose[z, y, x] = RX_GY
    # Each plane passes through the centre, so let the block reach it along that plane's own axis.
    axis = PLANES.index(name)
    reach = [z, y, x]
    reach[axis] = slice(5, 35)
    dose[tuple(reach)] = RX_GY
    figure = plan_figure(case, dose, summary, prescription_gy=RX_GY)
    picture = crop(figure, figure_to_rgb(figure), panel(figure, name)).astype(int)
    washed = picture[..., 0] - picture[..., 2] > 60  # 100 % is red
    rows, columns = np.nonzero(washed)
    vertical = "top" if np.median(rows) < 0.47 * picture.shape[0] else "bottom"
    horizontal = "left" if np.median(columns) < 0.5 * picture.shape[1] else "right"
    assert washed.sum() > 500
    assert (vertical, horizontal) == QUADRANTS[name]


@pytest.mark.parametrize("name", PLANES)
def test_pictures_are_not_distorted(figure, name):
    axes = panel(figure, name)
    box = axes.get_window_extent()
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert box.width / (right - left) == pytest.approx(box.height / (bottom - top), rel=1e-6)


def test_body_fits_into_the_pictures(case, figure):
    axes = panel(figure, "Axial")
    assert axes.get_xlim()[1] - axes.get_xlim()[0] >= 46 * 2.0
    assert axes.get_ylim()[0] - axes.get_ylim()[1] >= 36 * 3.0


def test_contours_have_the_colours_of_their_structures(case, figure, pixels):
    picture = crop(figure, pixels, panel(figure, "Axial")).reshape(-1, 3).astype(int)
    for name, color in structure_colors(case.structures).items():
        assert (np.abs(picture - 255 * rgb(color)).max(axis=1) <= 3).sum() > 20, name


def test_every_structure_of_the_slice_is_named_once(case, figure):
    names = [text.get_text() for text in panel(figure, "Axial").texts if isinstance(text, Annotation)]
    assert sorted(names) == sorted(set(case.structures) - {"Body"})


def test_no_text_overlaps_or_leaves_the_figure(figure):
    canvas = figure.canvas
    canvas.draw()
    renderer = canvas.get_renderer()
    texts = [*figure.texts, *(text for axes in figure.axes for text in (*axes.texts, axes.title))]
    boxes = [(t.get_text(), Text.get_window_extent(t, renderer)) for t in texts if t.get_text()]
    for text, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= 1600 and box.y1 <= 960, f"{text!r} leaves the figure"
    for (a, box_a), (b, box_b) in itertools.combinations(boxes, 2):
        width = min(box_a.x1, box_b.x1) - max(box_a.x0, box_b.x0)
        height = min(box_a.y1, box_b.y1) - max(box_a.y0, box_b.y0)
        assert min(width, height) < 1.5, f"{a!r} and {b!r} overlap"


def test_criteria_score_and_parameters_are_written(figure, summary):
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert texts.count("PASS") == sum(c["passed"] for c in summary["criteria"])
    assert texts.count("FAIL") == sum(not c["passed"] for c in summary["criteria"])
    assert any("71.2" in text and "of 20 criteria met" in text for text in texts)
    assert texts.count("1234") == 13  # weights, four digits


def test_tables_show_the_colours_of_the_slices(make_case, block, summary):
    """Also for organs that no protocol knows, of which only some have criteria."""
    body = make_case().structures["Body"]
    organs = ("Colon", "Liver", "Spleen", "Stomach", "Heart", "PenileBulb")
    case = make_case(
        structures={"Body": body, "PTV": block((15, 20, 25), 3)} | {o: block((15, 20, 12), 3) for o in organs}
    )
    criteria = [{**summary["criteria"][0], "structure": name} for name in ("Stomach", "PenileBulb")]
    parameters = dict.fromkeys(("PTV_7020", "Stomach", "Brain", "Aorta"), summary["parameters"]["Body"])
    plan = {**summary, "criteria": criteria, "parameters": parameters}
    figure = plan_figure(case, np.zeros(case.grid.shape), plan, prescription_gy=RX_GY)
    shown = {to_hex(patch.get_facecolor()).upper() for patch in figure.axes[-1].patches}
    assert {structure_colors(case.structures)[organ] for organ in organs} <= shown
    boxes = [patch for patch in figure.axes[-1].patches if patch.get_width() == 0.02]
    assert [to_hex(box.get_facecolor()).upper() for box in boxes] == [
        structure_colors(case.structures)[c["structure"]] for c in criteria
    ]
    texts = [text.get_text() for text in figure.axes[-1].texts]
    assert "PTV_7020" in texts
    assert "PTV" not in texts


def test_a_reference_plan_is_drawn_dashed(case, dose, summary):
    def dashed(figure):
        axes = next(a for a in figure.axes if a.get_xlabel() == "Dose [Gy]")
        return sum(line.is_dashed() for line in axes.lines)

    alone = dashed(plan_figure(case, dose, summary, prescription_gy=RX_GY))
    both = dashed(plan_figure(case, dose, summary, prescription_gy=RX_GY, reference_dose_gy=0.9 * dose))
    assert both - alone == len(case.structures)


def test_the_verdicts_dvhs_are_drawn_where_they_are_known(case, dose, summary):
    def curves(figure):
        axes = next(a for a in figure.axes if a.get_xlabel() == "Dose [Gy]")
        return [tuple(line.get_ydata()) for line in axes.lines]

    edges, judged = np.arange(0.0, 80.0, 1.0), np.linspace(100.0, 0.0, 80)
    figure = plan_figure(case, dose, summary, prescription_gy=RX_GY, dvh={"Rectum": (edges, judged)})
    on_the_grid = curves(plan_figure(case, dose, summary, prescription_gy=RX_GY))
    changed = [curve for curve in curves(figure) if curve not in on_the_grid]
    assert changed == [tuple(judged)]


def test_a_case_before_its_first_plan(case, summary):
    nothing = {**summary, "criteria": [], "metrics": {}, "terms": {}}
    nothing["solver"] = {"converged": False, "iterations": 0, "objective": np.nan, "kkt_residual": np.nan}
    figure = plan_figure(case, np.zeros(case.grid.shape), nothing, prescription_gy=RX_GY)
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert "No plan yet" in texts
    assert not any("nan" in text for text in texts)


def test_synthetic_cases_say_so(make_case, dose, summary):
    figure = plan_figure(make_case(synthetic=True), dose, summary, prescription_gy=RX_GY)
    assert any("synthetic" in text.get_text() for text in figure.texts)


def test_a_long_title_keeps_clear_of_the_score(case, dose, summary):
    figure = plan_figure(case, dose, summary, prescription_gy=RX_GY, title="A title of many words " * 6)
    title, score, *_ = (text.get_window_extent() for text in figure.texts)
    assert title.x1 < score.x0


@pytest.mark.parametrize("wrong", [np.zeros((3, 3, 3)), np.full((30, 40, 50), np.nan)])
def test_doses_off_the_grid_or_not_finite_are_refused(case, dose, summary, wrong):
    with pytest.raises(ValueError, match="dose_gy"):
        plan_figure(case, wrong, summary, prescription_gy=RX_GY)
    with pytest.raises(ValueError, match="reference_dose_gy"):
        plan_figure(case, dose, summary, prescription_gy=RX_GY, reference_dose_gy=wrong)


@pytest.mark.parametrize("rx_gy", [0.0, -1.0, float("nan")])
def test_a_prescription_must_be_positive(case, dose, summary, rx_gy):
    with pytest.raises(ValueError, match="prescription_gy"):
        plan_figure(case, dose, summary, prescription_gy=rx_gy)


def test_dvh_curves_count_voxels(case, dose):
    curves = dvh_curves(case, dose)
    assert set(curves) == set(case.structures)
    edges, percent = curves["PTV_6300"]
    inside = dose[case.structures["PTV_6300"]]
    assert percent[0] == 100
    assert percent[-1] == 0
    assert percent[40] == pytest.approx(100 * (inside >= edges[40]).mean())


def test_dvh_figure_names_every_structure(case, dose):
    figure = dvh_figure(dvh_curves(case, dose), prescription_gy=RX_GY, title="DVH")
    assert figure_to_rgb(figure).shape == (480, 860, 3)
    assert {text.get_text() for text in figure.legends[0].get_texts()} == set(case.structures)


def test_limits_asked_for_are_written_with_whether_they_were_held(figure):
    tables = next(axes for axes in figure.axes if any(t.get_text() == "Criterion" for t in axes.texts))
    texts = [text.get_text() for text in tables.texts]
    start = texts.index("Brainstem max", texts.index("Structure"))
    assert texts[start : start + 3] == ["Brainstem max", "≤ 54 Gy", "held"]
    assert texts[start + 3 : start + 6] == ["Larynx V30Gy", "≤ 40 %", "not held"]
