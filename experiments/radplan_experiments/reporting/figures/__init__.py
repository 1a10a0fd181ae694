"""Figures of a comparison. Each function returns a figure; `save` writes it as PNG and PDF."""

from radplan_experiments.reporting.figures.doses import differences, dvh_comparison, mean_dvhs
from radplan_experiments.reporting.figures.scores import (
    performance_profile,
    probability_of_improvement,
    sample_efficiency,
    score_differences,
)
from radplan_experiments.reporting.figures.style import AGENT_COLORS, add_footnote, save
from radplan_experiments.reporting.figures.trajectories import trajectory

__all__ = [
    "AGENT_COLORS",
    "add_footnote",
    "differences",
    "dvh_comparison",
    "mean_dvhs",
    "performance_profile",
    "probability_of_improvement",
    "sample_efficiency",
    "save",
    "score_differences",
    "trajectory",
]
