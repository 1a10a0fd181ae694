"""The beam model that is asked for is that of K and of the verdict, and a run of another one is another run."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args, get_type_hints

import pytest

from radplan_env.beam_models import BEAM_MODELS
from radplan_env.case import Case
from radplan_experiments.options import RunOptions, TaskOptions
from radplan_experiments.recording.settings import BeamModelChoice, Settings
from radplan_experiments.reporting.html_report.command import command
from radplan_experiments.running.run_settings import settings_of
from radplan_experiments.running.runner import planning_system


def test_every_beam_model_can_be_asked_for() -> None:
    assert get_args(get_type_hints(TaskOptions)["beam_model"]) == BEAM_MODELS


@pytest.mark.parametrize("name", BEAM_MODELS)
def test_plans_are_made_and_judged_by_it(settings: Settings, box_case: Case, name: str) -> None:
    system = planning_system(replace(settings, beam_model=BeamModelChoice.of(name)), box_case)
    assert system.judge.beam_model.name == name


def test_what_is_asked_for_is_recorded_and_repeated() -> None:
    asked = settings_of(RunOptions(agents=("template",), cases=("1",), beam_model="matrad-generic"))
    assert Settings.from_json(asked.to_json(), asked.protocol) == asked
    assert asked.beam_model == BeamModelChoice.of("matrad-generic")
    assert "--beam-model matrad-generic" in command(asked)
