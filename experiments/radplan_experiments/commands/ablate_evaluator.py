"""Take GPT-RadPlan apart: which experts, memory and examples are worth their calls?

The paper (arXiv 2406.15609, section 2.4) promises an experiment on the evaluator's architecture and shows none. Here
each variant of the agent plans the same cases with the same budget, as in compare.py, with its records, its tables and
its figures; differences are taken case by case against the whole agent, gpt-radplan, or against the reference plans
where the cases have any.

  gpt-radplan:no-feedback        the planner alone
  gpt-radplan:dvh-only           the DVH expert alone, no pictures
  gpt-radplan:vision-only        the vision expert alone, no dose statistics
  gpt-radplan:joint              pictures and statistics judged in one call
  gpt-radplan                    both experts in calls of their own, joined by the evaluator: the whole agent
  gpt-radplan:small              forms, remedies chosen by code and short replies, for small models
  gpt-radplan:no-memory          no trajectory
  gpt-radplan:no-references      no plans of other patients as examples
  gpt-radplan:fixed-references   the same examples for everyone, not those of similar anatomy

With a model that sees no pictures, vision-only is left out, and joint and the whole agent go on without: the table of
the language model says so.

Stop the run whenever you like: the same command goes on where it stopped, and pays for no reply twice.

  OPENAI_API_KEY=… python experiments/ablate_evaluator.py --llm MODEL --cases all --seeds 3
  python experiments/ablate_evaluator.py --llm local:PATH.gguf --model.vision no
  python experiments/ablate_evaluator.py --llm MODEL --agents gpt-radplan gpt-radplan:no-memory
      some of the variants; agents of your own may stand among them
"""

from __future__ import annotations

from collections.abc import Sequence

from radplan_experiments.commands.invocation import Invocation
from radplan_experiments.options import AblationOptions

PROGRAM = ("python", "experiments/ablate_evaluator.py")


def main(argv: Sequence[str] | None = None, program: Sequence[str] = PROGRAM) -> int:
    """Run the ablation; return the exit code, 1 also for a failed episode."""
    invoked = Invocation.of(program, argv)
    args = invoked.options(AblationOptions, __doc__)
    from radplan_experiments.running import comparison  # slow to import: help and mistyped options need not wait for it

    return comparison.run(args, invoked.command)
