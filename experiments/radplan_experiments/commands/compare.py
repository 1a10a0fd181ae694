"""Let agents plan the same cases with the same budget of solves, and compare what they reach.

Every solve is recorded in DIR/episodes.jsonl; the plan that an episode hands over lies in DIR/plans.

Stop the run whenever you like: the same command goes on where it stopped. Exit code 1: an agent failed in an episode.

It ends with a report (DIR/report.html), tables (DIR/tables.md, as CSV in DIR/tables) and figures (DIR/figures).

  python experiments/compare.py
      three synthetic prostates, planned by a template, random search, rules and, given --llm, a language model
  python experiments/compare.py --suite prostate-v1 --agents template wish-list
      a suite: cases, fidelity, budget and seeds are set, so that results of one name can be compared (docs/suites.md)
  python experiments/compare.py --validate DIR
      confirm the numbers in a folder of results, yours or another's
  python experiments/compare.py --site head-and-neck --data provided-data --agents template coordinate
      the OpenKBP test patients, beside their reference plans
  python experiments/compare.py --technique vmat --deliver final
      ideal plans as agents make them, and an arc of the one that each episode hands over
  python experiments/compare.py --site prostate --source dicom --data PATIENT --fidelity paper
      your own patient
  python experiments/compare.py --agents coordinate mypackage.mymodule:MyAgent --seeds 5 --jobs 8
      your own agent against the rule-based planner
  python experiments/compare.py --agents template gpt-radplan --llm MODEL --instructions "spare the rectum"
      a language model, at OpenAI (OPENAI_API_KEY), elsewhere (MODEL@URL) or on this machine (local:PATH.gguf)

Plans are ideal fluences, before sequencing, which no machine delivers, unless --technique says how: then they are
judged as they are delivered (docs/delivery.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from radplan_experiments.commands.invocation import Invocation
from radplan_experiments.options import CompareOptions, given

PROGRAM = ("python", "experiments/compare.py")


def main(argv: Sequence[str] | None = None, program: Sequence[str] = PROGRAM) -> int:
    """Run what was asked for; return the exit code, 1 also for a failed episode or a plan not confirmed."""
    invoked = Invocation.of(program, argv)
    args = invoked.options(CompareOptions, __doc__)
    from radplan_experiments.commands import comparing  # slow to import: help and mistyped options need not wait for it

    return comparing.run(args, given(invoked.arguments), invoked.command)
