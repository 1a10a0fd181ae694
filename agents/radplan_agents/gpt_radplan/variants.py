"""GPT-RadPlan with one part changed or taken away: the arms of an ablation, each an agent under its own name.

Against ``gpt-radplan`` itself, which has both experts in calls of their own, the evaluator who joins them, memory, and
reference plans retrieved by anatomy. The paper (section 2.4) promises the comparison of evaluators and shows none.
"""

from __future__ import annotations

from typing import ClassVar

from radplan_agents.gpt_radplan.agent import GPTRadPlanAgent
from radplan_agents.gpt_radplan.library import Library
from radplan_agents.gpt_radplan.options import Options
from radplan_agents.llm import Session
from radplan_env.env import RadPlanEnv


class Variant(GPTRadPlanAgent):
    """GPT-RadPlan with the options that its class says; derive from it for a variant of your own."""

    options: ClassVar[Options] = Options()

    needs_pictures: ClassVar[bool] = False
    """Whether it can do nothing with a model that sees no pictures."""

    def __init__(
        self,
        env: RadPlanEnv,
        *,
        seed: int = 0,
        session: Session,
        instructions: str = "",
        library: Library | None = None,
    ) -> None:
        super().__init__(
            env, seed=seed, session=session, instructions=instructions, options=self.options, library=library
        )


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


class NoRemedies(Variant):
    """No hints which parameters usually help: the model's own knowledge of planning."""

    options = Options(remedies=False)


class NoMemory(Variant):
    """Each plan judged and changed as if it were the first."""

    options = Options(memory_steps=0)


class FixedReferences(Variant):
    """The same reference plans for every patient, as in the paper, rather than those of similar anatomy."""

    options = Options(references="fixed")


class NoReferences(Variant):
    """No plans of other patients as examples."""

    options = Options(references="none")
