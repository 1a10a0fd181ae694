"""Scorecards of other packages: registered by an entry point, they score, are named, and read their own section."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any, ClassVar

import numpy as np
import pytest

from radplan_env import PlanningSystem, RadPlanEnv, load_scorecard, plugins
from radplan_env.case import Case
from radplan_env.dose import dose_at
from radplan_env.dose_view import DoseView
from radplan_env.metrics import dose_at_volume_cc
from radplan_env.planning import Plan
from radplan_env.protocol import ProtocolError, load_protocol, read_protocol
from radplan_env.scorecards import Goals, Scorecard, ScoreTerm, Verdict, available_scorecards, registry
from radplan_env.vector import RadPlanVectorEnv


class Toy(Scorecard):
    """The less of the body gets 20 Gy further than 20 mm from the target, the better."""

    name: ClassVar[str] = "toy"
    version: ClassVar[str] = "1"

    def faults(self, section: Mapping[str, Any], goals: Goals) -> list[str]:
        unknown = [f"unknown key {key}" for key in section if key != "none_at_gy"]
        return unknown or ([] if "none_at_gy" in section else ["none_at_gy is missing"])

    def terms(self, goals: Goals) -> tuple[ScoreTerm, ...]:
        return (ScoreTerm("far", 100, 0, goals.scorecards[self.name]["none_at_gy"], "Gy", "a test"),)

    def verdict(self, view: DoseView, goals: Goals) -> Verdict:
        (term,) = self.terms(goals)
        far = view.metric("Beyond20mm", "D1cc")
        earned = max(0.0, 100 * (1 - far / term.none_at))
        hot = view.metric("Body", "max") > 1.2 * goals.prescription_gy("Body")
        return Verdict(earned, {term.name: earned}, {term.name: 100}, not hot, ("hot",) if hot else ())


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy scorecard, as if a package had registered it."""
    point = EntryPoint("toy", f"{__name__}:Toy", registry.GROUP)

    monkeypatch.setattr(EntryPoint, "load", lambda self: Toy)
    monkeypatch.setattr(plugins, "_entry_points", lambda path, group: EntryPoints([point]).select(group=group))


@pytest.fixture
def protocol() -> Any:
    return read_protocol(load_protocol("prostate").to_dict() | {"scorecards": {"toy": {"none_at_gy": 100.0}}}, "mine")


@pytest.mark.usefixtures("installed")
def test_it_is_loaded_by_name_and_refuses_what_it_does_not_know() -> None:
    assert available_scorecards() == ("toy", "v0", "v1")
    assert isinstance(load_scorecard("toy"), Toy)
    content = load_protocol("prostate").to_dict()
    with pytest.raises(ProtocolError, match=r"scorecards\.toy: unknown key none_at"):
        read_protocol(content | {"scorecards": {"toy": {"none_at": 3}}}, "mine")
    with pytest.raises(ValueError, match="no scorecard 'tao'; there are toy, v0, v1"):
        load_scorecard("tao")


def test_plans_are_scored_by_it_and_say_so(protocol: Any, box_case: Case, tmp_path: Any) -> None:
    system = PlanningSystem(box_case, protocol, fidelity="fast", scorecard=Toy(), progress=False)
    plan = system.plan(system.protocol.start_parameters())
    k, points = system._beams(system.gantry_angles_deg, system.collimator_angles_deg).k, system.judge.points
    dose = dose_at(box_case, k.beams, plan.fluence, points.positions_mm, bixels=k.bixels)
    far = points.inside("Beyond20mm")
    assert dose[far].max() < dose.max()
    d1cc = dose_at_volume_cc(dose[far], 1, points.volume_cc[far])
    assert plan.evaluation.score == pytest.approx(100 - d1cc, abs=1e-3)
    assert plan.summary()["terms"] == {"far": {"points": plan.evaluation.score, "available": 100}}
    assert plan.summary()["screened"] is True
    assert plan.scorecard == Toy().identity
    again = Plan.load(plan.save(tmp_path / "plan.npz"))
    assert again.summary() == plan.summary() and again.scorecard == plan.scorecard
    assert np.array_equal(again.dose_gy, plan.dose_gy)


def test_environments_take_it(protocol: Any, box_case: Case) -> None:
    env = RadPlanEnv(protocol=protocol, cases=[box_case], scorecard=Toy(), progress=False)
    _, info = env.reset(seed=0)
    assert info["scorecard"] == {"name": "toy", "version": "1"}
    _, reward, *_, info = env.step(env.action_map.to_action(info["start_parameters"]))
    assert reward == pytest.approx(info["plan"]["score"] / 100) and list(info["plan"]["terms"]) == ["far"]
    envs = RadPlanVectorEnv(2, protocol=protocol, cases=[box_case], scorecard=Toy(), progress=False)
    envs.reset(seed=0)
    assert [each.scorecard.name for each in envs.envs] == ["toy", "toy"]


def test_a_protocol_without_its_section_is_refused(box_case: Case) -> None:
    with pytest.raises(ValueError, match="scorecard toy and protocol 'prostate' do not fit: none_at_gy is missing"):
        RadPlanEnv(protocol="prostate", cases=[box_case], scorecard=Toy())


def test_it_travels_to_worker_processes() -> None:
    assert pickle.loads(pickle.dumps(Toy())).identity == Toy().identity
