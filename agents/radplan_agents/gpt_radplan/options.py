"""What can be switched on, off and bounded: the arms of an ablation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

EvaluatorKind = Literal["separate", "joint", "dvh", "vision", "none"]
References = Literal["none", "fixed", "retrieved"]


@dataclass(frozen=True)
class Options:
    """How GPT-RadPlan is put together.

    Parameters
    ----------
    evaluator : {"separate", "joint", "dvh", "vision", "none"}
        Who judges a plan: the vision expert and the DVH expert, each in a call of its own, and the evaluator who joins
        their reports (the paper's); pictures and tables in one call; one of the two experts alone with the evaluator;
        or nobody, so that the planner plans without feedback.
    memory_steps : int
        How many of the last steps are remembered in full (the paper's L); 0 plans without memory.
    references : {"none", "fixed", "retrieved"}
        Plans of other patients given as examples: none, always the same, or those of the most similar anatomy.
    reference_count : int
        How many of them; the paper has three.
    largest_weight_factor : float
        A step multiplies a weight by at most this, and divides it by at most this.
    largest_dose_change_gy : float
        A step moves an objective dose by at most this.
    remedies : bool
        Whether each criterion that fails comes with the parameters that usually help, chosen by code.
    most_changes : int
        How many parameters a step may change.

    Raises
    ------
    ValueError
        If a value is not as above.
    """

    evaluator: EvaluatorKind = "separate"
    memory_steps: int = 3
    references: References = "retrieved"
    reference_count: int = 3
    remedies: bool = True
    largest_weight_factor: float = 5.0
    largest_dose_change_gy: float = 20.0
    most_changes: int = 4

    def __post_init__(self) -> None:
        for name, kinds in (("evaluator", EvaluatorKind), ("references", References)):
            if getattr(self, name) not in get_args(kinds):
                raise ValueError(f"{name} is one of {', '.join(get_args(kinds))}; got {getattr(self, name)!r}")
        for name, least in (("memory_steps", 0), ("reference_count", 1), ("most_changes", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)!r}")
        if not self.largest_weight_factor > 1:
            raise ValueError(f"largest_weight_factor must be above 1, got {self.largest_weight_factor!r}")
        if not self.largest_dose_change_gy > 0:
            raise ValueError(f"largest_dose_change_gy must be above 0, got {self.largest_dose_change_gy!r}")

    @property
    def uses_pictures(self) -> bool:
        """Whether the evaluator looks at pictures, where the model can."""
        return self.evaluator in ("separate", "joint", "vision")

    @property
    def uses_tables(self) -> bool:
        """Whether the evaluator reads dose statistics."""
        return self.evaluator in ("separate", "joint", "dvh")
