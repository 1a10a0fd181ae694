"""RTPLANs: for research only, and read back to the same plan by a reader that shares no code with the writer."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dciodvfy import errors_of

from radplan_env.case import Case
from radplan_env.delivery.apertures import Apertures, Field
from radplan_env.delivery.delivered import Delivery
from radplan_env.delivery.limits import repaired, rounded, violations
from radplan_env.delivery.machine import machine_named
from radplan_env.delivery.read_rtplan import read_rtplan
from radplan_env.export_plan import export_rtplan

MACHINE = machine_named("millennium120")
JAWS = (-45.0, 45.0, -30.0, 30.0)
FIELDS = (
    Field(tuple(np.arange(182.0, 539.0, 4.0)), 30.0, JAWS),
    Field(tuple(np.arange(538.0, 181.0, -4.0)), 0.0, JAWS),
    Field((90.0,) * 3, 90.0, JAWS),
)


def delivery(seed: int = 0) -> Delivery:
    rng = np.random.default_rng(seed)
    points, intervals = sum(f.control_points for f in FIELDS), sum(f.intervals for f in FIELDS)
    left, right = np.sort(rng.uniform(-40, 40, (2, points, 60)), axis=0)
    plan = Apertures(FIELDS, MACHINE.boundaries_mm, *repaired(left, right, 1.0, 30.0), rng.uniform(5, 15, intervals))
    return Delivery("vmat", MACHINE, rounded(plan, MACHINE), (12.3456, -7.0, 3.21), 1000.0, 26, 2, 90.0)


@pytest.fixture(scope="module")
def written(box_case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_rtplan(box_case, delivery(), {"PTV_7020": 70.2}, tmp_path_factory.mktemp("plan") / "RTPLAN.dcm")


def test_the_file_says_that_it_is_for_research_only(written: Path) -> None:
    dataset = pydicom.dcmread(written)
    assert dataset.PlanIntent == "RESEARCH"
    assert dataset.ApprovalStatus == "UNAPPROVED"
    assert dataset.RTPlanLabel == "RESEARCH ONLY"
    assert all(beam.TreatmentMachineName.startswith("RADPLAN") for beam in dataset.BeamSequence)


def test_the_plan_comes_back_as_it_was(written: Path) -> None:
    original, read = delivery(), read_rtplan(written)
    np.testing.assert_array_equal(read.apertures.left_mm, original.apertures.left_mm)
    np.testing.assert_array_equal(read.apertures.right_mm, original.apertures.right_mm)
    np.testing.assert_allclose(read.apertures.monitor_units, original.apertures.monitor_units, atol=2e-4)
    apart = (read.apertures.gantry_deg - original.apertures.gantry_deg) / 360
    np.testing.assert_allclose(apart, np.round(apart), atol=1e-6)
    assert [np.sign(f.gantry_deg[1] - f.gantry_deg[0]) for f in read.apertures.fields] == [1, -1, 0]
    np.testing.assert_allclose(read.isocentre_mm, original.isocentre_mm, atol=1e-3)
    assert [f.jaws_mm for f in read.apertures.fields] == [f.jaws_mm for f in FIELDS]
    assert [f.collimator_deg for f in read.apertures.fields] == [30, 0, 90]
    assert not violations(read.apertures, MACHINE)


def test_dose_and_structures_of_the_file_belong_together(written: Path) -> None:
    dataset = pydicom.dcmread(written)
    (group,) = dataset.FractionGroupSequence
    metersets = [float(beam.BeamMeterset) for beam in group.ReferencedBeamSequence]
    assert sum(metersets) == pytest.approx(delivery().monitor_units, abs=2e-3)
    assert all(float(beam.ControlPointSequence[-1].CumulativeMetersetWeight) == 1 for beam in dataset.BeamSequence)
    assert all(str(beam.ControlPointSequence[-1].GantryRotationDirection) == "NONE" for beam in dataset.BeamSequence)


def test_another_kind_of_file_is_refused(tmp_path: Path, written: Path) -> None:
    dataset = pydicom.dcmread(written)
    dataset.Modality = "RTDOSE"
    dataset.save_as(tmp_path / "dose.dcm")
    with pytest.raises(ValueError, match="is no RTPLAN"):
        read_rtplan(tmp_path / "dose.dcm")


def test_a_clinical_arc_is_read(shared_data: Path, tmp_path: Path) -> None:
    shutil.unpack_archive(shared_data / "alderson" / "mr_alderson.zip", tmp_path)
    paths = [p for p in tmp_path.rglob("*.dcm") if pydicom.dcmread(p, stop_before_pixels=True).Modality == "RTPLAN"]
    read = read_rtplan(paths[0])
    assert read.apertures.monitor_units.sum() == pytest.approx(390, abs=2)
    assert read.apertures.fields[0].control_points == 76
    assert read.fractions == 20


def test_dciodvfy_finds_no_error(written: Path) -> None:
    assert errors_of(written) == []
