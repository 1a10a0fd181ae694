"""GPT-RadPlan with one part changed or taken away: the arms of an ablation, each an agent under its own name.

Against ``gpt-radplan`` itself, which has both experts in calls of their own, the evaluator who joins them, memory, and
reference plans retrieved by anatomy. The paper (section 2.4) promises the comparison of evaluators and shows none.
"""

from __future__ import annotations

from typing import ClassVar

from radplan_agents.gpt_radplan.agent import GPTRadPlanAgent
from radplan_agents.gpt_radplan.options import Options


class Variant(GPTRadPlanAgent):
    """GPT-RadPlan with the options that its class says; derive from it for a variant of your own."""

    needs_pictures: ClassVar[bool] = False
    """Whether it can do nothing with a model that sees no pictures."""


class Small(Variant):
    """For models of a few billion parameters: forms, remedies chosen by code, and short replies."""

    options = Options(forms="small")


class NoFeedback(Variant):
    """The planner alone: nobody judges the plan, it reads the criteria itself."""

    options = Options(evaluator="none")


class DVHOnly(Variant):
    """The DVH expert's report alone; no pictures."""

    options = Options(evaluator="dvh")


class VisionOnly(Variant):
    """The vision expert's report alone; no dose statistics."""

    options = Options(evaluator="vision")
    needs_pictures = True


class Joint(Variant):
    """Pictures and dose statistics judged together, in one call."""

    options = Options(evaluator="joint")


class NoMemory(Variant):
    """Each plan judged and changed as if it were the first."""

    options = Options(memory_steps=0)


class FixedReferences(Variant):
    """The same reference plans for every patient, as in the paper, rather than those of similar anatomy."""

    options = Options(references="fixed")


class NoReferences(Variant):
    """No plans of other patients as examples."""

    options = Options(references="none")
