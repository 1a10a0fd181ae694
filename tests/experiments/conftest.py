"""A small recorded run: what episodes leave behind, made up so that means are known by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from radplan_env.protocol import load_protocol
from radplan_env.scorecards import load_scorecard
from radplan_experiments.recording.run_folder import RunFolder
from radplan_experiments.recording.settings import ScorecardChoice, Settings

SETTINGS = Settings(
    site="prostate",
    protocol=load_protocol("prostate"),
    scorecard=ScorecardChoice.of(load_scorecard("v0")),
    source="synthetic",
    data=(),
    split="test",
    names=None,
    cases=("synthetic/test/0", "synthetic/test/1"),
    agents=("template", "coordinate"),
    budget=3,
    seeds=1,
    fidelity="fast",
)


def make_plan(
    score: float, *, rectum_mean: float = 20.0, rectum_weight: float = 5.0, met: bool = False
) -> dict[str, Any]:
    """A plan summary with the keys of info["plan"]."""
    target = {"mean": 71.0, "min": 66.0, "D95%": 70.2, "HI": 2.0, "CI": 0.9}
    rectum = {"mean": rectum_mean, "D5%": 60.0, "D50%": 15.0, "V15Gy": 50.0, "V30Gy": 20.0}
    criterion = {
        "structure": "Rectum",
        "metric": "V31Gy",
        "limit": 34.0,
        "value": rectum_mean,
        "unit": "%",
        "priority": 3,
        "passed": rectum_mean < 25,
        "upper": True,
        "margin": 34.0 - rectum_mean,
        "relative_margin": 1 - rectum_mean / 34.0,
    }
    return {
        "case": "…",
        "stage": "ideal",
        "score": score,
        "screened": None,
        "reasons": [],
        "verdict": "full",
        "scaled_by": 1.0,
        "own_rows_score": score,
        "complexity": {"mu_per_fraction": 800.0, "highest_over_median": 2.5},
        "met": met,
        "metrics": {"PTV_7020": target, "Rectum": rectum},
        "criteria": [criterion],
        "parameters": {"Rectum": {"weight": rectum_weight, "objective_dose_gy": 0.0}},
        "limits": [],
        "smoothness": None,
        "gantry_angles_deg": [0.0, 180.0],
        "collimator_angles_deg": [0.0, 0.0],
        "terms": {"Rectum V31Gy": score},
        "solver": {"converged": True, "iterations": 9},
    }


def make_record(agent: str, case: str, seed: int, plans: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """An episode's record, as the runner writes it."""
    scores = [plan["score"] for plan in plans]
    record = {
        "status": "complete",
        "error": None,
        "agent": agent,
        "case": case,
        "seed": seed,
        "budget": 3,
        "steps": plans,
        "best_score": max(scores),
        "final_score": scores[-1],
        "handed_over": scores.index(max(scores)),
        "site": "prostate",
        "protocol": "prostate",
        "scorecard": SETTINGS.scorecard.identity,
        "fidelity": "fast",
        "agent_record": None,
        "seconds": 1.0,
        "versions": {"python": "3"},
    }
    return {**record, **changes}


@pytest.fixture(scope="session")
def settings() -> Settings:
    """Two cases, two agents, one seed."""
    return SETTINGS


@pytest.fixture(scope="session")
def plan_summary() -> Callable[..., dict[str, Any]]:
    """Makes plan summaries; see `make_plan`."""
    return make_plan


@pytest.fixture(scope="session")
def episode() -> Callable[..., dict[str, Any]]:
    """Makes episode records; see `make_record`."""
    return make_record


@pytest.fixture
def records() -> list[dict[str, Any]]:
    """Template 60 and 80 after one solve; coordinate 70 → 90 and 88 → 92, ending lower than its best."""
    first, second = SETTINGS.cases
    last = make_plan(90, rectum_mean=24, rectum_weight=12.5)
    return [
        make_record("coordinate", second, 0, [make_plan(88), make_plan(92, rectum_mean=18), make_plan(85)]),
        make_record("template", first, 0, [make_plan(60, rectum_mean=30)]),
        make_record("template", second, 0, [make_plan(80, rectum_mean=20)]),
        make_record("coordinate", first, 0, [make_plan(70), make_plan(65), last]),
    ]


@pytest.fixture
def references() -> dict[str, dict[str, Any]]:
    """One of the two cases has a reference plan."""
    return {SETTINGS.cases[0]: make_plan(75, rectum_mean=33)}


@pytest.fixture(scope="session")
def tiny_openkbp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two test patients in OpenKBP's layout, small enough to be planned in seconds, with a reference dose.

    A neck of water, 2.5 mm voxels: PTV70, the cord behind it and a parotid beside it. Axes as OpenKBP's:
    anterior to posterior, right to left, superior to inferior.
    """
    root = tmp_path_factory.mktemp("tiny") / "provided-data"
    y, x, z = np.meshgrid(*(2.5 * (np.arange(128) - 64),) * 3, indexing="ij")
    for number, shift in ((1, 0.0), (2, 10.0)):
        from_target = np.sqrt((x - shift) ** 2 + y**2 + z**2)
        body = (np.hypot(x, y) < 60) & (abs(z) < 50)
        target = from_target < 12
        folder = root / "test-pats" / f"pt_{number}"
        folder.mkdir(parents=True)
        (folder / "voxel_dimensions.csv").write_text("2.5\n2.5\n2.5\n")
        _write_csv(folder / "ct.csv", body, np.full(body.shape, 1000.0))
        _write_csv(folder / "possible_dose_mask.csv", body, None)
        dose = np.where(target, 71.0, 70 * np.exp(-np.clip(from_target - 12, 0, None) / 30))
        _write_csv(folder / "dose.csv", body, dose)
        _write_csv(folder / "PTV70.csv", target, None)
        _write_csv(folder / "SpinalCord.csv", (np.hypot(x, y - 35) < 7) & body, None)
        _write_csv(folder / "LeftParotid.csv", np.sqrt((x - 40) ** 2 + y**2 + z**2) < 12, None)
    return root


def _write_csv(file: Path, mask: NDArray[np.bool_], values: NDArray[np.float64] | None) -> None:
    index = np.flatnonzero(mask)
    data = ["" if values is None else f"{value:.4f}" for value in (index if values is None else values.flat[index])]
    lines = [f"{i},{value}" for i, value in zip(index, data, strict=True)]
    file.write_text("\n".join([",data", *lines, ""]))


@pytest.fixture(scope="session")
def tiny_settings(settings: Settings, tiny_openkbp: Path) -> Settings:
    """Two solves on the first of the two tiny patients."""
    return replace(
        settings,
        site="head-and-neck",
        protocol=load_protocol("head_and_neck"),
        source="openkbp",
        data=(str(tiny_openkbp),),
        cases=("openkbp/pt_1",),
        budget=2,
    )


@pytest.fixture(scope="session")
def tiny_run(tiny_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run on the two tiny patients: template once, random search with two seeds, an agent that fails."""
    from radplan_experiments.recording.run_folder import open_run_folder
    from radplan_experiments.running import runner

    tiny = replace(
        tiny_settings,
        cases=("openkbp/pt_1", "openkbp/pt_2"),
        agents=("template", "random", "odd_agents:Raises"),
        deterministic=("template", "odd_agents:Raises"),
        seeds=2,
    )
    path = tmp_path_factory.mktemp("tiny-run") / "run"
    with open_run_folder(path, tiny) as folder:
        for case in tiny.cases:
            runner.prepare(tiny, case, folder.case_path(case))
        for key in folder.todo():
            folder.append({**runner.play(folder, key), "command": "python compare.py"})
    return path


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replays cases one after the other, without processes, which take seconds to start."""
    from radplan_experiments.auditing import replay

    def by_case(folder: RunFolder, work: Any, jobs: int) -> list[Any]:
        records = list(folder.records.values())
        cases = dict.fromkeys(record["case"] for record in records)
        bare = RunFolder(folder.path, folder.settings)
        return [work(bare, case, [record for record in records if record["case"] == case]) for case in cases]

    monkeypatch.setattr(replay, "by_case", by_case)
