"""The bar that says which colour is which dose."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from radplan_env.render.colors import ISODOSE_PERCENT, WASH_FROM_PERCENT, WASH_TO_PERCENT, dose_colormap


def draw_dose_bar(axes: Axes, prescription_gy: float) -> None:
    """Draw the dose colours: in Gy on the left, the isodose lines in % of the prescription on the right."""
    lowest, highest = (percent * prescription_gy / 100 for percent in (WASH_FROM_PERCENT, WASH_TO_PERCENT))
    axes.imshow(
        np.linspace(0, 1, 256)[:, None],
        cmap=dose_colormap(),
        extent=(0, 1, lowest, highest),
        origin="lower",
        aspect="auto",
    )
    axes.set(xticks=[], xlim=(0, 1), ylim=(lowest, highest))
    axes.tick_params(labelsize=8.5)
    axes.set_title("Gy      % Rx", fontsize=8.5, pad=5)
    percent = axes.twinx()
    percent.set(ylim=(WASH_FROM_PERCENT, WASH_TO_PERCENT))
    percent.set_yticks(ISODOSE_PERCENT, [f"{level:g}" for level in ISODOSE_PERCENT], fontsize=8.5)
    percent.hlines(ISODOSE_PERCENT, 0, 1, color="black", linewidth=0.8)
