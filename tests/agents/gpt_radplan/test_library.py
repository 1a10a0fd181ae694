"""Past plans: kept, found by anatomy, and without a trace of who the patients are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from radplan_agents.gpt_radplan.anatomy import Anatomy
from radplan_agents.gpt_radplan.library import MOST_EFFECTS, Library, LibraryError, ReferencePlan, effects_of
from radplan_env.case import Case
from radplan_env.env import RadPlanEnv
from radplan_env.planning import Plan
from radplan_env.protocol import Protocol, load_protocol
from radplan_env.sources import synthetic

IDENTITY = "Doe^John/1950-01-01"
VOXEL_MM = 5.0


@pytest.fixture(scope="module")
def protocol(env: RadPlanEnv) -> Protocol:
    return env.protocol


@pytest.fixture(scope="module")
def episode(env: RadPlanEnv) -> list[Plan]:
    """Two plans of the small patient: the start parameters, and the body pressed harder."""
    env.reset(seed=0)
    start = env.protocol.start_parameters()
    return [env.system.plan(p) for p in (start, start.replace("Body", weight=1000))]


@pytest.fixture(scope="module")
def reference(episode: list[Plan], box_case: Case, protocol: Protocol) -> ReferencePlan:
    named = renamed(box_case, IDENTITY)
    return ReferencePlan.of(named, protocol, episode[1], [plan.summary() for plan in episode])


@pytest.fixture(scope="module")
def patients() -> list[Case]:
    return list(synthetic.load("train", 4, voxel_size_mm=VOXEL_MM))


@pytest.fixture(scope="module")
def library(patients: list[Case], episode: list[Plan], protocol: Protocol, reference: ReferencePlan) -> Library:
    """The library of four patients; only their anatomies differ."""
    return Library(tuple(with_anatomy(reference, case, protocol) for case in patients))


def with_anatomy(reference: ReferencePlan, case: Case, protocol: Protocol) -> ReferencePlan:
    return replace(reference, anatomy=Anatomy.of(case, protocol))


def renamed(case: Case, case_id: str, **structures: Any) -> Case:
    return Case(
        id=case_id, ct_hu=case.ct_hu, structures={**case.structures, **structures}, grid=case.grid, unmapped=(IDENTITY,)
    )


def test_a_plan_is_kept_with_what_led_to_it(reference: ReferencePlan, episode: list[Plan]) -> None:
    assert reference.parameters == episode[1].parameters.to_dict()["structures"]
    assert reference.summary["score"] == episode[1].evaluation.score
    assert [view.name for view in reference.views] == ["planes"]
    [effect] = reference.effects
    before, after = (plan.evaluation.score for plan in episode)
    assert effect.startswith(f"Body weight 100 → 1000 => score {before:.1f} → {after:.1f}")


def test_a_library_comes_back_from_the_disk(library: Library, tmp_path: Path) -> None:
    library.save(tmp_path / "library")
    back = Library.load(tmp_path / "library")
    for plan, again in zip(library.plans, back.plans, strict=True):
        assert again.protocol == plan.protocol
        assert again.parameters == plan.parameters
        assert again.summary == plan.summary
        assert again.effects == plan.effects
        assert again.anatomy.to_dict() == plan.anatomy.to_dict()
        assert [(v.name, v.png, v.caption) for v in again.views] == [(v.name, v.png, v.caption) for v in plan.views]


def test_nothing_in_it_names_a_patient(reference: ReferencePlan, box_case: Case, tmp_path: Path) -> None:
    Library((reference,)).save(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    for file in tmp_path.iterdir():
        for name in ("Doe", "John", "1950", box_case.id):
            assert name not in file.name
            assert name.encode() not in file.read_bytes()
    assert reference.summary["case"] == "reference plan"


@pytest.mark.parametrize("place", range(4))
def test_a_patient_of_the_library_is_most_like_itself(
    library: Library, patients: list[Case], protocol: Protocol, place: int
) -> None:
    assert library.nearest(patients[place], protocol, 1) == [library.plans[place]]


@pytest.mark.parametrize("place", range(4))
def test_so_is_one_contoured_a_little_differently(
    library: Library, patients: list[Case], protocol: Protocol, place: int
) -> None:
    case = patients[place]
    layer = binary_dilation(case.structures["Rectum"]) & case.structures["Body"]
    generous = renamed(case, "elsewhere/1", Rectum=layer, Bladder=np.roll(case.structures["Bladder"], 1, axis=0))
    assert library.nearest(generous, protocol, 1) == [library.plans[place]]


def test_the_nearest_come_in_order_of_their_distance(
    library: Library, patients: list[Case], protocol: Protocol
) -> None:
    found = library.nearest(patients[2], protocol, 3)
    distances = [found[0].anatomy.distance_mm(plan.anatomy) for plan in found]
    assert distances == sorted(distances)
    assert len({id(plan) for plan in found}) == 3
    left_out = next(plan for plan in library.plans if plan not in found)
    assert found[0].anatomy.distance_mm(left_out.anatomy) >= distances[-1]


def test_the_first_are_always_the_same(library: Library, protocol: Protocol) -> None:
    assert library.first(protocol, 2) == list(library.plans[:2])
    assert library.first(protocol, 9) == list(library.plans)


def test_plans_of_another_protocol_are_no_examples(library: Library, head_and_neck_case: Case) -> None:
    other = load_protocol("head_and_neck")
    assert library.first(other, 3) == []
    assert library.nearest(head_and_neck_case, other, 3) == []


def test_the_package_brings_examples_for_the_prostate(patients: list[Case], protocol: Protocol) -> None:
    own = Library.load()
    found = own.nearest(patients[1], protocol, 3)
    assert len(found) == 3
    assert found[0] is own.plans[1]  # made of the same patient, on a finer grid
    for plan in own.plans:
        assert set(plan.parameters) == set(protocol.slots)
        assert plan.summary["case"] == "reference plan"
        assert plan.effects
    root = Path(__file__).parents[3] / "agents" / "radplan_agents" / "gpt_radplan" / "libraries"
    assert sum(file.stat().st_size for file in root.rglob("*")) < 1_000_000


def test_effects_tell_what_each_change_did_to_the_best_plan_before_it() -> None:
    steps = [summary(80, 100), summary(85, 200), summary(70, 400), summary(86, 300)]
    assert [line.partition(";")[0] for line in effects_of(steps)] == [
        "Body weight 100 → 200 => score 80.0 → 85.0 (+5.0)",
        "Body weight 200 → 400 => score 85.0 → 70.0 (-15.0)",
        "Body weight 200 → 300 => score 85.0 → 86.0 (+1.0)",
    ]


def test_of_many_effects_the_largest_are_kept_in_their_order() -> None:
    steps = [summary(50, 1), *(summary(50 - drop, 2 + drop) for drop in (1, 9, 2, 8, 3, 7, 4, 6, 5))]
    drops = [line.partition("(-")[2][0] for line in effects_of(steps)]
    assert drops == ["9", "8", "7", "4", "6", "5"]
    assert len(drops) == MOST_EFFECTS


def test_unchanged_parameters_and_single_plans_teach_nothing() -> None:
    assert effects_of([]) == effects_of([summary(80, 100)]) == effects_of([summary(80, 100), summary(80, 100)]) == []


def summary(score: float, weight: float) -> dict[str, Any]:
    """A plan as far as effects look at it."""
    parameters = {"Body": {"weight": weight, "objective_dose_gy": 30.0}}
    beams = {"gantry_angles_deg": [0.0, 180.0], "collimator_angles_deg": [0.0, 0.0]}
    return {"score": score, "parameters": parameters, "limits": [], "smoothness": 3.0, "criteria": [], **beams}


def test_a_folder_without_plans_is_no_library(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match=r"build_library\.py"):
        Library.load(tmp_path)


@pytest.mark.parametrize(
    ("what", "damage"),
    [("*.json", b'{"format": 1}'), ("*.json", b"{"), ("*.json", b'{"format": 99}'), ("*.json", b"[]"), ("*.png", None)],
)
def test_a_damaged_plan_is_named(reference: ReferencePlan, tmp_path: Path, what: str, damage: bytes | None) -> None:
    Library((reference,)).save(tmp_path)
    [file] = tmp_path.glob(what)
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    with pytest.raises(LibraryError, match=r"plan_001.json is no plan of a library"):
        Library.load(tmp_path)


def test_a_library_is_not_written_over_another(reference: ReferencePlan, tmp_path: Path) -> None:
    Library((reference,)).save(tmp_path)
    with pytest.raises(LibraryError, match="holds plans already"):
        Library((reference,)).save(tmp_path)
