"""What people and language models see of a plan: a figure, a DVH plot, a small image, a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radplan_env.lazy import imported_when_asked

if TYPE_CHECKING:
    from radplan_env.render.dvh import draw_dvh as draw_dvh
    from radplan_env.render.dvh import dvh_curves as dvh_curves
    from radplan_env.render.dvh import dvh_figure as dvh_figure
    from radplan_env.render.figure import figure_to_rgb as figure_to_rgb
    from radplan_env.render.figure import plan_figure as plan_figure
    from radplan_env.render.image import CaseImage as CaseImage
    from radplan_env.render.image import observation_image as observation_image
    from radplan_env.render.text import dvh_text as dvh_text
    from radplan_env.render.text import plan_text as plan_text
    from radplan_env.render.views import View as View
    from radplan_env.render.views import plan_views as plan_views

# matplotlib takes longer to import than an environment without pictures.
_MODULES = {
    "CaseImage": "image",
    "View": "views",
    "draw_dvh": "dvh",
    "dvh_curves": "dvh",
    "dvh_figure": "dvh",
    "dvh_text": "text",
    "figure_to_rgb": "figure",
    "observation_image": "image",
    "plan_figure": "figure",
    "plan_text": "text",
    "plan_views": "views",
}

__all__ = sorted(_MODULES)

__getattr__ = imported_when_asked(__name__, _MODULES)
