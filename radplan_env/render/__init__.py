"""What people and language models see of a plan: a figure, a DVH plot, a small image, a text."""

from radplan_env.render.dvh import draw_dvh, dvh_curves, dvh_figure
from radplan_env.render.figure import figure_to_rgb, plan_figure
from radplan_env.render.image import CaseImage, observation_image
from radplan_env.render.text import dvh_text, plan_text
from radplan_env.render.views import View, plan_views

__all__ = [
    "CaseImage",
    "View",
    "draw_dvh",
    "dvh_curves",
    "dvh_figure",
    "dvh_text",
    "figure_to_rgb",
    "observation_image",
    "plan_figure",
    "plan_text",
    "plan_views",
]
