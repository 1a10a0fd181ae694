"""The planner's console on a small pelvis: what is asked is done, what cannot be done costs nothing, numbers agree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from radplan_env import Case, Limit, RadPlanEnv
from radplan_env.console import TOOLS, Console, ToolError
from radplan_env.console.changes import excluding
from radplan_env.influence import Fidelity

COARSE = Fidelity("coarse", dose_grid_mm=5.0, bixel_mm=10.0)


@pytest.fixture(scope="module")
def env(box_case: Case) -> Iterator[RadPlanEnv]:
    env = RadPlanEnv(cases=[box_case], budget=5, fidelity=COARSE, gantry_angles_deg=range(0, 360, 72), progress=False)
    yield env
    env.close()


@pytest.fixture
def console(env: RadPlanEnv) -> Console:
    env.reset(seed=0)
    return Console(env)


def call(console: Console, name: str, **arguments: Any) -> dict[str, Any]:
    """The answer, which must be JSON, to arguments that have been JSON."""
    answer = console.call(name, json.loads(json.dumps(arguments))).data
    return json.loads(json.dumps(answer, allow_nan=False))


def refused(console: Console, name: str, **arguments: Any) -> str:
    with pytest.raises(ToolError) as error:
        console.call(name, arguments)
    return error.value.fault


def test_a_plan_changes_what_is_asked_and_keeps_the_rest_of_its_base(console: Console, env: RadPlanEnv) -> None:
    first = call(console, "plan")
    assert first["plan"] == 1 and first["base"] == "start" and first["solves_left"] == 4
    limit = {"structure": "Rectum", "metric": "mean", "at_most": 25.0}
    second = call(console, "plan", weights={"Rectum": 50}, limits=[limit])
    third = call(console, "plan", objective_doses={"Bladder": 10}, base=2)
    fourth = call(console, "plan", limits=[], base=1)
    made = [call(console, "parameters", plan=number) for number in (1, 2, 3, 4)]
    assert made[1]["structures"]["Rectum"]["weight"] == 50 == made[2]["structures"]["Rectum"]["weight"]
    assert made[1]["limits"] == [limit] == made[2]["limits"] and made[3]["limits"] == []
    assert made[2]["structures"]["Bladder"]["objective_dose_gy"] == 10
    assert made[3]["structures"] == made[0]["structures"]
    assert second["score_change"] == pytest.approx(second["score"] - first["score"], abs=0.02)
    assert third["base"] == 2 and fourth["base"] == 1 and fourth["solves_left"] == 1
    assert env.system.case is not None and env.plan is not None
    assert fourth["score"] == pytest.approx(env.plan.evaluation.score, abs=0.01)
    assert max((first, second, third, fourth), key=lambda each: each["score"])["plan"] == fourth["best_plan"]


def test_a_batch_counts_every_solve_and_finishing_ends_it(console: Console, env: RadPlanEnv) -> None:
    before = env.system.solves
    answer = call(console, "what_if", changes=[{}, {"weights": {"Rectum": 20}}, {"weights": {"Bladder": 20}}])
    assert [each["plan"] for each in answer["plans"]] == [1, 2, 3] and answer["solves_left"] == 2
    assert {each["base"] for each in answer["plans"]} == {"start"}
    assert refused(console, "what_if", changes=[{}] * 3) == "no_solves_left"
    assert env.system.solves - before == 3
    call(console, "plan", base=2)
    call(console, "plan", weights={"Body": 5}, base="best")
    assert refused(console, "plan") == "no_solves_left"
    assert len(call(console, "criteria", plan=5)["criteria"]) == len(env.system.protocol.criteria)
    best = call(console, "finish")
    assert best["handed_over"] == best["best_plan"]
    assert refused(console, "criteria") == "episode_over"
    record = console.record()
    assert record["plan_chosen"] == best["best_plan"]
    assert record["console_faults"] == {"episode_over": 1, "no_solves_left": 2}
    assert len(record["console_calls"]) == 8


@pytest.mark.parametrize(
    ("tool", "arguments", "fault"),
    [
        ("plan", {"weight": {"Rectum": 5}}, "wrong_arguments"),
        ("plan", {"weights": {"Rectum": float("nan")}}, "wrong_arguments"),
        ("plan", {"weights": {"Prostate": 5}}, "unknown_structure"),
        ("plan", {"base": 7}, "unknown_plan"),
        ("plan", {"limits": [{"structure": "Larynx", "metric": "mean", "at_most": 5}]}, "unknown_structure"),
        ("plan", {"limits": [{"structure": "Rectum", "metric": "beauty", "at_most": 5}]}, "wrong_arguments"),
        ("plan", {"limits": [{"structure": "Rectum", "metric": "mean"}]}, "wrong_arguments"),
        ("plan", {"limits": [{"structure": "PTV_7020", "metric": "max", "at_most": 60}]}, "excluding_limits"),
        ("what_if", {"changes": []}, "wrong_arguments"),
        ("what_if", {"changes": [{"colour": "red"}]}, "wrong_arguments"),
        ("irradiate", {}, "unknown_tool"),
        ("criteria", {}, "unknown_plan"),
        ("finish", {}, "unknown_plan"),
    ],
)
def test_what_cannot_be_done_is_refused_and_costs_no_solve(
    console: Console, env: RadPlanEnv, tool: str, arguments: dict[str, Any], fault: str
) -> None:
    before = env.system.solves
    assert refused(console, tool, **arguments) == fault
    assert env.system.solves == before and console.desk.solves_left == env.budget
    assert console.record()["console_faults"] == {fault: 1}


def test_all_that_is_wrong_is_told_at_once(console: Console) -> None:
    """A model that is told of one fault at a time spends its calls on the others."""
    limits = [
        {"structure": "Larynx", "metric": "mean", "at_most": 5},
        {"structure": "Rectum", "metric": "mean"},
        {"structure": "PTV_7020", "metric": "max", "at_most": 60},
    ]
    wrong = {"weights": {"Moon": 1}, "objective_doses": {"Mars": 1}, "limits": limits}
    wrong |= {"base": 7, "gantry_angles_deg": [0, 180], "smoothness": "much", "additionalProperties": False}
    with pytest.raises(ToolError) as told:
        console.call("plan", wrong)
    for part in (
        "additionalProperties",
        "smoothness",
        "no plan yet",
        "as many as",
        "Moon",
        "Mars",
        "Larynx",
        "Rectum mean",
        "PTV_7020 max",
    ):
        assert part in str(told.value)
    with pytest.raises(ToolError, match=r"colour.*\n?.*flavour"):
        console.call("what_if", {"changes": [{"colour": "red"}, {"flavour": "sweet"}]})
    with pytest.raises(ToolError, match="Moon.*Mars"):
        console.call("what_if", {"changes": [{"weights": {"Moon": 1}}, {"weights": {"Mars": 1}}]})


def test_a_value_beyond_its_range_stops_there_and_is_said(console: Console, env: RadPlanEnv) -> None:
    low, high = env.action_map.ranges()["Body"]["weight"]
    answer = call(console, "plan", weights={"Body": 7 * high}, objective_doses={"Rectum": -3})
    assert len(answer["clamped"]) == 2 and f"{high:g} done" in answer["clamped"][0]
    assert call(console, "parameters")["structures"]["Body"]["weight"] == high
    assert low < high


def test_criteria_and_terms_are_those_of_the_verdict(console: Console, env: RadPlanEnv) -> None:
    call(console, "plan")
    call(console, "plan", weights={"Rectum": 500})
    assert env.plan is not None
    judged = env.plan.evaluation
    criteria = {row["criterion"]: row for row in call(console, "criteria")["criteria"]}
    for result in judged.criteria:
        row = criteria[result.criterion.name]
        assert row["passed"] == result.passed and row["value"] == pytest.approx(result.value, rel=1e-3)
    terms = {row["term"]: row for row in call(console, "terms")["terms"]}
    assert sum(row["of"] - row["points_lost"] for row in terms.values()) == pytest.approx(judged.score, abs=0.2)
    assert terms["Rectum V31Gy"]["value"] == pytest.approx(judged.metrics["Rectum"]["V31Gy"], rel=1e-3)
    core = terms["PTV_7020.core D98%"]["value"]
    assert judged.metrics["PTV_7020"]["min"] < core < judged.metrics["PTV_7020"]["max"]


def test_the_price_of_a_limit_is_what_moving_it_saves(console: Console, env: RadPlanEnv) -> None:
    """A Lagrange multiplier is the objective's derivative by the limit: held against a difference quotient."""
    call(console, "plan")
    assert env.plan is not None
    reached = env.plan.evaluation.metrics["Rectum"]["mean"]
    objectives, prices = [], []
    for share in (0.82, 0.80):
        limit = {"structure": "Rectum", "metric": "mean", "at_most": share * reached}
        call(console, "plan", limits=[limit], base=1)
        row = call(console, "limits")["limits"][-1]
        assert row["held_in_solve"] and row["asked_by"] == "planner"
        assert row["kept"] == (row["as_judged"] <= limit["at_most"])
        assert row["as_judged"] <= limit["at_most"] * 1.08
        objectives.append(env.plan.solution.objective)
        prices.append(row["price_percent_per_gy"] * env.plan.solution.objective / 100)
    quotient = (objectives[1] - objectives[0]) / (0.02 * reached)
    assert quotient == pytest.approx(np.mean(prices), rel=0.25)  # which voxels D95 exempts changes too
    assert call(console, "limits", plan=1)["limits"][0]["asked_by"] == "protocol"


def test_worst_points_are_where_dose_is_highest_or_lowest(console: Console, env: RadPlanEnv) -> None:
    call(console, "plan")
    assert env.plan is not None
    metrics = env.plan.evaluation.metrics
    hot = call(console, "worst_points", criterion="Rectum D0.03cc")["points"]
    assert hot[0]["dose_gy"] == pytest.approx(metrics["Rectum"]["max"], rel=0.05)
    assert [point["dose_gy"] for point in hot] == sorted((p["dose_gy"] for p in hot), reverse=True)
    # The rectum lies 30 mm behind the target: its hottest point is at its front, near the target.
    assert "posterior" in hot[0]["from_target_centre"]
    assert hot[0]["within_1_cm"]["Rectum"] == "inside" and "PTV_7020" in hot[0]["within_1_cm"]
    cold = call(console, "worst_points", criterion="PTV_7020 D98%")["points"]
    assert cold[0]["dose_gy"] == pytest.approx(metrics["PTV_7020"]["min"], rel=0.05)
    assert all(point["within_1_cm"]["Rectum"] == "inside" for point in hot)
    z, y, x = ([point[f"{axis}_mm"] for point in hot] for axis in "zyx")
    assert np.hypot(np.hypot(z[0] - z[1], y[0] - y[1]), x[0] - x[1]) >= 9.8
    assert refused(console, "worst_points", criterion="Moon mean") == "wrong_arguments"


def test_dvh_agrees_with_metrics(console: Console, env: RadPlanEnv) -> None:
    call(console, "plan")
    answer = call(console, "dvh", structures=["Rectum"], doses_gy=[0, 31, 200])
    assert env.plan is not None
    v31 = env.plan.evaluation.metrics["Rectum"]["V31Gy"]
    assert answer["percent_of_volume"]["Rectum"] == [100, pytest.approx(v31, abs=1), 0]
    assert set(call(console, "dvh")["percent_of_volume"]) == set(env.system.protocol.structures)
    assert refused(console, "dvh", structures=["Moon"]) == "unknown_structure"


def test_a_slice_goes_through_the_worst_point_and_names_no_patient(console: Console, env: RadPlanEnv) -> None:
    call(console, "plan")
    point = call(console, "worst_points", criterion="Rectum D0.03cc")["points"][0]
    answer = console.call("slice_image", {"criterion": "Rectum D0.03cc"})
    (view,) = answer.pictures
    (panel,) = view.panels
    assert panel.plane.position_mm == pytest.approx(point["z_mm"], abs=env.system.case.grid.spacing_mm[0] / 2 + 0.1)
    plain = console.call("slice_image", {"z_mm": point["z_mm"]}).pictures[0]
    assert plain.png != view.png and view.png.startswith(b"\x89PNG")
    assert refused(console, "slice_image") == "wrong_arguments"
    told = json.dumps([console.call("task", {}).data, answer.data])
    assert env.system.case.id not in told


def test_schemas_name_the_arguments_that_tools_take() -> None:
    for name, tool in TOOLS.items():
        schema = tool.schema
        assert schema["additionalProperties"] is False and tool.description, name
        assert set(schema["properties"]) == set(tool.arguments.model_fields)
        json.dumps(schema)
        assert "$ref" not in json.dumps(schema) and "null" not in json.dumps(schema)
    changes = TOOLS["what_if"].schema["properties"]["changes"]["items"]
    assert changes["properties"] == TOOLS["plan"].schema["properties"]
    limit = changes["properties"]["limits"]["items"]
    assert limit["required"] == ["structure", "metric"] and limit["additionalProperties"] is False
    assert TOOLS["worst_points"].schema["required"] == ["criterion"]


def test_limits_that_exclude_each_other(env: RadPlanEnv) -> None:
    env.reset(seed=0)
    protocol, volumes = env.system.protocol, env.system.judge.points.region_cc

    def pair(*limits: Limit) -> str | None:
        return excluding(limits, protocol, volumes)

    low_mean, high_mean = Limit("Rectum", "mean", at_most=10), Limit("Rectum", "mean", at_least=20)
    assert pair(low_mean, high_mean) and not pair(low_mean, Limit("Bladder", "mean", at_least=20))
    assert pair(Limit("Rectum", "D50%", at_least=30), Limit("Rectum", "D20%", at_most=20))
    assert not pair(Limit("Rectum", "D20%", at_least=30), Limit("Rectum", "D50%", at_most=20))
    assert pair(Limit("Rectum", "max", at_most=19), high_mean)
    assert pair(Limit("PTV_7020", "D50%", at_most=70)) and not pair(Limit("PTV_7020", "D50%", at_most=71))
    assert pair(Limit("PTV_7020", "mean", at_most=60), Limit("PTV_7020", "min", at_least=65))
    assert not pair(Limit("PTV_7020", "D98%", at_most=69))
    assert pair(Limit("Rectum", "V31Gy", at_most=20), Limit("Rectum", "D30%", at_least=40))
    assert np.isfinite(list(volumes.values())).all()


@pytest.mark.slow
def test_beams_are_turned_twice_and_a_turned_plan_replays(console: Console, env: RadPlanEnv) -> None:
    first, second, third = ([start + 72 * beam for beam in range(5)] for start in (10, 20, 30))
    assert refused(console, "plan", gantry_angles_deg=[0, 180]) == "wrong_arguments"
    assert refused(console, "plan", gantry_angles_deg=[0, 1, 2, 3, 400]) == "wrong_arguments"
    assert refused(console, "what_if", changes=[{"gantry_angles_deg": each} for each in (first, second, third)])
    turned = call(console, "plan", gantry_angles_deg=first)
    assert turned["gantry_angles_deg"] == first and env.plan is not None
    assert env.system.replay(env.plan).evaluation.score == pytest.approx(turned["score"], abs=0.01)
    kept = call(console, "plan", weights={"Rectum": 20})
    back = call(console, "plan", base="start")
    assert kept["gantry_angles_deg"] == first and "gantry_angles_deg" not in back
    assert back["score"] != turned["score"]
    call(console, "what_if", changes=[{"gantry_angles_deg": second}, {"gantry_angles_deg": first}])
    env.reset(seed=0)
    again = Console(env)
    for angles in (first, second):
        call(again, "plan", gantry_angles_deg=angles)
    assert refused(again, "plan", gantry_angles_deg=third) == "wrong_arguments"
    assert call(again, "plan", base=1)["gantry_angles_deg"] == first
    assert call(again, "parameters")["gantry_angles_deg"] == first
