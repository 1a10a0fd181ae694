"""Options of read_plans.py."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from radplan_experiments.options import DEFAULT_SITE, SITE_ARGUMENT, LanguageModelOptions


@dataclass
class ReadOptions(LanguageModelOptions):
    """Which plans a model reads, and with which errors."""

    site: Annotated[str, SITE_ARGUMENT] = DEFAULT_SITE
    """Treatment site: which protocol. A missed node needs one with elective targets, such as head-and-neck."""

    data: Path | None = None
    """What the site's source reads, for head-and-neck the provided-data folder of OpenKBP."""

    split: Literal["train", "validation", "test"] = "train"
    """Part of the cohort."""

    cases: tuple[str, ...] = ("4",)
    """How many cases (the first so many), "all", or their ids; plans are made of them in turn."""

    plans: int = 20
    """How many plans, each of which is shown without and with each error."""

    errors: tuple[str, ...] = ("cold_end", "hot_outside", "missed_node", "organ_for_another", "left_and_right_swapped")
    """Which errors are planted."""

    fidelity: Literal["fast", "standard", "paper"] = "fast"
    """Dose grid and bixels."""

    seed: int = 0
    """Seed of weights, and of where errors are planted."""

    out: Path = Path("results/reading")
    """Folder for answers, table and transcript."""
