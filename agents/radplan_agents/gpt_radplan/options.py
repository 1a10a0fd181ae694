"""What can be switched on, off and bounded: the arms of an ablation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Forms = Literal["open", "small"]
EvaluatorKind = Literal["separate", "joint", "dvh", "vision", "none"]
References = Literal["none", "fixed", "retrieved"]


@dataclass(frozen=True)
class Options:
    """How GPT-RadPlan is put together.

    Parameters
    ----------
    forms : {"open", "small"}
        How the model is asked: in prose and with free parameters, as in the paper, or by forms that a model of a few
        billion parameters fills in surely; see `radplan_agents.gpt_radplan.small`.
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

    Raises
    ------
    ValueError
        If a value is not as above.
    """

    forms: Forms = "open"
    evaluator: EvaluatorKind = "separate"
    memory_steps: int = 3
    references: References = "retrieved"
    reference_count: int = 3

    def __post_init__(self) -> None:
        for name, kinds in (("forms", Forms), ("evaluator", EvaluatorKind), ("references", References)):
            if getattr(self, name) not in get_args(kinds):
                raise ValueError(f"{name} is one of {', '.join(get_args(kinds))}; got {getattr(self, name)!r}")
        for name, least in (("memory_steps", 0), ("reference_count", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)!r}")

    @property
    def uses_pictures(self) -> bool:
        """Whether anybody looks at pictures, where the model can."""
        return self.evaluator in ("separate", "joint", "vision") or (self.evaluator == "none" and self.forms == "open")

    @property
    def uses_tables(self) -> bool:
        """Whether the evaluator reads dose statistics."""
        return self.evaluator in ("separate", "joint", "dvh")
