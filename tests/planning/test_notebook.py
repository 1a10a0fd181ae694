"""What a notebook shows of a case and a plan."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from radplan_env import Case, PlanningSystem
from radplan_env.influence import Fidelity
from radplan_env.planning import Plan
from radplan_env.render import figure_to_rgb


class Seen(HTMLParser):
    """Tags and texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def plan(box_case: Case) -> Plan:
    coarse = Fidelity("coarse", dose_grid_mm=10.0, bixel_mm=15.0)
    system = PlanningSystem(box_case, "prostate", fidelity=coarse, gantry_angles_deg=(0, 120, 240), progress=False)
    return system.plan(system.protocol.start_parameters())


def test_a_plan_is_its_parameters_and_its_criteria(plan: Plan) -> None:
    seen = Seen(plan._repr_html_())
    assert seen.tags.count("table") == 2
    text = " ".join(seen.texts)
    assert f"score {plan.evaluation.score:.1f}" in text
    for criterion in plan.evaluation.criteria:
        assert f"{criterion.value:.2f}" in seen.texts
    for name in plan.parameters.structures:
        assert name in seen.texts


def test_a_case_is_its_structures_and_names_are_no_markup(box_case: Case) -> None:
    named = replace(box_case, id="<script>alert(1)</script>")
    seen = Seen(named._repr_html_())
    assert "script" not in seen.tags
    assert f"{box_case.volume_cc('PTV_7020'):.1f}" in seen.texts


def test_a_plan_is_drawn_on_its_own_patient_only(plan: Plan, box_case: Case) -> None:
    assert figure_to_rgb(plan.show(box_case)).std() > 0
    drawn = plan.dvh()
    assert figure_to_rgb(drawn).std() > 0
    assert drawn._repr_png_().startswith(b"\x89PNG")  # what a notebook asks a figure without pyplot for
    with pytest.raises(ValueError, match="not of another"):
        plan.show(replace(box_case, id="another"))
