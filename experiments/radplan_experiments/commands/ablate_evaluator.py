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
  gpt-radplan:no-memory          no trajectory
  gpt-radplan:no-remedies        no hints, chosen by code, which parameters usually help
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

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from radplan_experiments.options import RunOptions


@dataclass
class Args(RunOptions):
    agents: tuple[str, ...] = (
        "gpt-radplan",
        "gpt-radplan:no-feedback",
        "gpt-radplan:dvh-only",
        "gpt-radplan:vision-only",
        "gpt-radplan:joint",
        "gpt-radplan:no-memory",
        "gpt-radplan:no-remedies",
        "gpt-radplan:no-references",
        "gpt-radplan:fixed-references",
    )
    """Variants to compare; differences are taken against the first where the cases have no reference plans."""

    out: Path = Path("results/ablation")
    """Folder for the results; a run of the same settings in it is continued."""


def main(argv: list[str] | None = None) -> int:
    """Run the ablation; return the exit code: 0 done, 1 an error or failed episode, 2 wrong usage, 130 interrupted."""
    script, arguments = ("experiments/ablate_evaluator.py", argv) if argv is not None else (sys.argv[0], sys.argv[1:])
    args = tyro.cli(Args, args=arguments, description=__doc__)
    from radplan_experiments.running import comparison

    return comparison.run(args, command=shlex.join(["python", script, *arguments]))
