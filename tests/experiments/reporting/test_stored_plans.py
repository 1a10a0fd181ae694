"""Plans are found again in a run's folder; what is lost or damaged is left out and said."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radplan_experiments.recording.run_folder import read_run_folder
from radplan_experiments.reporting.frames import REFERENCE
from radplan_experiments.reporting.report import read_references
from radplan_experiments.reporting.stored_plans import StoredPlans, example_case, example_episodes

Record = dict[str, Any]


@pytest.fixture
def plans(tiny_run: Path, tmp_path: Path) -> StoredPlans:
    """Of the tiny run: template once, random twice, on two patients."""
    folder = read_run_folder(shutil.copytree(tiny_run, tmp_path / "run"))
    return StoredPlans(folder, list(folder.records.values()))


def test_plans_handed_over_are_those_recorded(plans: StoredPlans) -> None:
    curves = plans.curves(read_references(plans.folder))
    seeds = {method: [len(own) for own in by_case.values()] for method, by_case in curves.items()}
    assert seeds == {"template": [1, 1], "random": [2, 2], REFERENCE: [1, 1]}
    for record in plans.records:
        plan = plans.handed_over(record)
        assert plan is not None
        assert plan.evaluation.score == record["steps"][record["handed_over"]]["score"]
    assert plans.unreadable == {}


def test_missing_and_damaged_plans_are_left_out_and_said(plans: StoredPlans) -> None:
    lost, damaged = sorted((plans.folder.path / "plans" / "random" / "openkbp-pt_1").iterdir())
    lost.unlink()
    damaged.write_bytes(damaged.read_bytes()[:200])
    assert plans.curves({})["random"].keys() == {"openkbp/pt_2"}
    assert {Path(name).name: why for name, why in plans.unreadable.items()} == {
        lost.name: "missing",
        damaged.name: "damaged, or of another format",
    }


def test_first_plan_is_the_one_that_another_episode_handed_over(plans: StoredPlans) -> None:
    template = next(record for record in plans.records if record["agent"] == "template")
    begins_with_it = {
        **template,
        "agent": "other",
        "steps": [template["steps"][0], {**template["steps"][0], "score": 1}],
    }
    first, own = plans.first(begins_with_it), plans.handed_over(template)
    assert first is not None
    assert own is not None
    np.testing.assert_array_equal(first.dose_gy, own.dose_gy)
    moved = {**template["steps"][0], "parameters": {}}
    assert plans.first({**begins_with_it, "steps": [moved]}) is None


def test_case_whose_data_are_gone_is_said(plans: StoredPlans) -> None:
    assert plans.case("openkbp/pt_1") is not None
    plans.folder.settings = dataclasses.replace(plans.folder.settings, data=("/nowhere",))
    assert plans.case("openkbp/pt_1") is None
    assert "openkbp/pt_1" in plans.unreadable


def test_examples_are_of_the_median_case_and_the_best_agents_that_searched(
    episode: Callable[..., Record], plan_summary: Callable[..., Record]
) -> None:
    def played(agent: str, case: str, seed: int, *scores: float) -> Record:
        return episode(agent, case, seed, [plan_summary(score) for score in scores])

    records = [played("template", case, 0, score) for case, score in (("a", 60), ("b", 90), ("c", 70))]
    records += [played(agent, "c", seed, 50, 71) for agent in ("one", "two", "three", "four") for seed in (1, 0)]
    case = example_case(records)
    assert case == "c"
    shown = example_episodes(records, case, ["template", "four", "two", "one", "three"])
    assert [(record["agent"], record["seed"]) for record in shown] == [("four", 0), ("two", 0), ("one", 0)]
    assert [record["agent"] for record in example_episodes(records, "a", ["template"])] == ["template"]
    assert example_case([]) is None
