import math

import pytest

from radplan_env.render import plan_text
from radplan_env.render.text import criterion_row


@pytest.fixture(scope="module")
def lines(summary):
    return plan_text(summary).splitlines()


def test_every_criterion_has_a_line_with_its_facts(summary, lines):
    for criterion in summary["criteria"]:
        verdict, structure, metric, limit, value, margin = criterion_row(criterion)
        line = next(x for x in lines if x.split()[:3] == [verdict, structure, metric])
        assert all(cell in line for cell in (limit, value, margin))
        assert verdict == ("PASS" if criterion["passed"] else "FAIL")


def test_score_metrics_parameters_terms_and_solver_are_there(summary, lines):
    text = "\n".join(lines)
    assert lines[0] == "made/1: score 71.2 of 100, 17 of 20 criteria met"
    assert "solver converged in 14 iterations, objective 546.765, KKT residual 1.2e-06" in text
    for name in summary["parameters"]:
        rows = [line.split() for line in lines if line.startswith(name + " ")]
        assert [name, "30.00", "71.50", "45.2"] in rows
        assert [name, "1234", "30.00"] in rows
    for name in summary["terms"]:
        assert any(line.split() == [*name.split(), "3.00", "5.00"] for line in lines)


def test_constraints_say_whether_they_were_met(summary):
    met, missed = (
        {"structure": name, "metric": "D95%", "relation": relation, "dose_gy": gy, "achieved_gy": achieved, "met": ok}
        for name, relation, gy, achieved, ok in (
            ("PTV_7000", "=", 70.0, 70.012, True),
            ("PTV_5600", "≥", 56.0, 55.1, False),
        )
    )
    lines = plan_text({**summary, "solver": {**summary["solver"], "constraints": [met, missed]}}).splitlines()
    assert "PTV_7000     D95%    = 70.00 Gy  70.012 Gy  met" in lines
    assert "PTV_5600     D95%    ≥ 56.00 Gy  55.100 Gy  NOT met" in lines


def test_columns_are_aligned(lines):
    start = next(i for i, line in enumerate(lines) if line.startswith("criteria"))
    table = lines[start : lines.index("", start)]
    assert len({len(line) for line in table}) == 1


def test_a_value_that_fails_never_looks_like_its_limit(summary):
    close = next(c for c in summary["criteria"] if c["structure"] == "OutsideTargets")
    verdict, *_, limit, value, _ = criterion_row(close)
    assert verdict == "FAIL"
    assert limit.removeprefix("≤ ") != value
    assert value == "74.90001 Gy"


def test_tolerance_is_explained_where_it_decides(summary):
    criterion = {**summary["criteria"][0], "passed": True, "value": 59.9, "margin": -0.1}
    text = plan_text({**summary, "criteria": [criterion]})
    assert "within the criterion's tolerance" in text
    assert "tolerance" not in plan_text(summary)


def test_a_metric_that_is_not_a_number_is_a_dash(summary):
    criterion = {**summary["criteria"][0], "value": math.nan, "margin": math.nan, "passed": False}
    assert criterion_row(criterion)[4:] == ("- Gy", "-")


def test_before_the_first_plan(summary):
    solver = {"converged": False, "iterations": 0, "objective": math.nan, "kkt_residual": math.nan}
    text = plan_text({**summary, "criteria": [], "metrics": {}, "terms": {}, "solver": solver})
    assert text.startswith("made/1: no plan yet\n\nparameters")
    assert "nan" not in text
