"""GPT-RadPlan: a language model judges the plan and sets the planning parameters (arXiv 2406.15609, section 2.2).

One step of the loop reads along the files: `evaluator` (vision expert and DVH expert, joined into feedback) →
`memory` (what was tried and what it did) → `planner` (the next planning parameters). `told` and `pictures` are what all
three are given of plans, `prompts` holds every word, and `small` is the same by forms for small models.
"""

from radplan_agents.gpt_radplan.agent import GPTRadPlanAgent
from radplan_agents.gpt_radplan.options import Options

__all__ = ["GPTRadPlanAgent", "Options"]
