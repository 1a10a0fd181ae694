import numpy as np
import pytest

from radplan_env.render.planes import planes_of, primary_target


@pytest.fixture(scope="module")
def planes(case):
    return {plane.name: plane for plane in planes_of(case)}


def test_planes_cross_in_the_primary_target(case, planes):
    assert primary_target(case) == "PTV_7000"
    assert [planes[name].index for name in ("Axial", "Coronal", "Sagittal")] == [15, 20, 25]
    for plane in planes.values():
        assert plane.take(case.structures["PTV_7000"]).any()


@pytest.mark.parametrize(
    ("letter", "axis", "end"),
    [("I", 0, 0), ("S", 0, -1), ("A", 1, 0), ("P", 1, -1), ("R", 2, 0), ("L", 2, -1)],
)
def test_each_letter_stands_at_the_edge_of_its_side(case, planes, letter, axis, end):
    volume = np.zeros(case.grid.shape, bool)
    np.moveaxis(volume, axis, 0)[end] = True
    for plane in planes.values():
        if plane.axis == axis:
            assert letter not in plane.edges
            continue
        picture = plane.take(volume)
        edges = {"top": picture[0], "bottom": picture[-1], "left": picture[:, 0], "right": picture[:, -1]}
        assert [side for side, edge in edges.items() if edge.all()] == [plane.edges._fields[plane.edges.index(letter)]]


def test_clinical_view(planes):
    assert "".join(planes["Axial"].edges) == "APRL"
    assert "".join(planes["Coronal"].edges) == "SIRL"
    assert "".join(planes["Sagittal"].edges) == "SIAP"


def test_spacing_and_positions_are_physical(case, planes):
    assert planes["Coronal"].spacing_mm == (5.0, 2.0)
    assert planes["Sagittal"].spacing_mm == (5.0, 3.0)
    rows = planes["Coronal"].rows_mm()
    assert rows[0] == case.grid.coordinates_mm(0)[-1]
    assert planes["Axial"].position_mm == pytest.approx(case.grid.coordinates_mm(0)[15])


def test_window_holds_every_structure_and_stays_within_the_body(case, planes):
    for plane in planes.values():
        rows, columns = plane.window
        assert plane.take(case.structures["Body"])[rows, columns].all()
        shown = sum(plane.take(mask)[rows, columns].sum() for mask in case.structures.values())
        outside_body = sum(plane.take(m).sum() for n, m in case.structures.items() if n != "Body")
        assert shown == plane.take(case.structures["Body"])[rows, columns].sum() + outside_body


def test_a_target_of_two_parts_is_cut_where_it_has_voxels(make_case, block):
    structures = {"Body": np.ones((30, 40, 50), bool), "PTV": block((6, 20, 10), 2) | block((24, 20, 40), 2)}
    case = make_case(structures=structures)
    for plane in planes_of(case):
        assert plane.take(case.structures["PTV"]).any()


def test_a_case_without_targets_is_cut_through_the_body(make_case, block):
    case = make_case(structures={"Body": np.ones((30, 40, 50), bool), "Rectum": block((6, 20, 10), 2)})
    assert primary_target(case) is None
    assert planes_of(case)[0].index in (14, 15)
