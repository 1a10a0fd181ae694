"""Scorecards: objects with a name, a version and a digest that give the dose of a plan a score from 0 to 100."""

from radplan_env.scorecards.registry import (
    DEFAULT,
    GROUP,
    available_scorecards,
    check_scorecard,
    check_section,
    load_scorecard,
    scorecard_for,
)
from radplan_env.scorecards.scorecard import Goals, Scorecard, ScorecardIdentity, ScoreTerm, Verdict

__all__ = [
    "DEFAULT",
    "GROUP",
    "Goals",
    "ScoreTerm",
    "Scorecard",
    "ScorecardIdentity",
    "Verdict",
    "available_scorecards",
    "check_scorecard",
    "check_section",
    "load_scorecard",
    "scorecard_for",
]
