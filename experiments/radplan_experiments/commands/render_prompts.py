"""Write what language models see to docs/prompts: GPT-RadPlan's calls of one step, and the planner's console.

The patients are made up. The first steps are played with scripted replies, so that the step shown has a history.
"""

from __future__ import annotations

from collections.abc import Sequence

from radplan_experiments.commands.invocation import Invocation
from radplan_experiments.options import PromptOptions

PROGRAM = ("python", "experiments/render_prompts.py")


def main(argv: Sequence[str] | None = None, program: Sequence[str] = PROGRAM) -> int:
    """Write the prompts of every site; return the exit code, as `guarded` says it."""
    invoked = Invocation.of(program, argv)
    args = invoked.options(PromptOptions, __doc__)
    from radplan_experiments.reporting import prompts  # slow to import: help and mistyped options need not wait for it
    from radplan_experiments.running import comparison

    return comparison.guarded(invoked.command, lambda: prompts.run(args))
