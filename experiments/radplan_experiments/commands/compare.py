"""Let agents plan the same cases with the same budget of solves, and compare what they reach.

Every solve is recorded in DIR/episodes.jsonl; the plan that an episode hands over lies in DIR/plans.

Stop the run whenever you like: the same command goes on where it stopped. Exit code 1: an agent failed in an episode.

It ends with a report (DIR/report.html), tables (DIR/tables.md, as CSV in DIR/tables) and figures (DIR/figures).

  python experiments/compare.py
      three synthetic prostates, planned by a template, random search, rules and, given --llm, a language model
  python experiments/compare.py --suite prostate-v0 --agents template wish-list
      a suite: cases, fidelity, budget and seeds are set, so that results of one name can be compared (docs/suites.md)
  python experiments/compare.py --validate DIR
      confirm the numbers in a folder of results, yours or another's
  python experiments/compare.py --site head-and-neck --data provided-data --agents template coordinate
      the OpenKBP test patients, beside their reference plans
  python experiments/compare.py --site prostate --source dicom --data PATIENT --fidelity paper
      your own patient
  python experiments/compare.py --agents coordinate mypackage.mymodule:MyAgent --seeds 5 --jobs 8
      your own agent against the rule-based planner
  python experiments/compare.py --agents template gpt-radplan --llm MODEL --instructions "spare the rectum"
      a language model, at OpenAI (OPENAI_API_KEY), elsewhere (MODEL@URL) or on this machine (local:PATH.gguf)

Plans are ideal fluences, before sequencing: they are not deliverable plans yet.
"""

from __future__ import annotations

import shlex
import sys

import tyro

from radplan_experiments.options import CompareOptions, given


def main(argv: list[str] | None = None) -> int:
    """Run what was asked for; return the exit code.

    0 is done, 1 an error, an episode that failed or a plan not confirmed, 2 wrong usage, 130 interrupted.
    """
    script, arguments = ("experiments/compare.py", argv) if argv is not None else (sys.argv[0], sys.argv[1:])
    args = tyro.cli(CompareOptions, args=arguments, description=__doc__)
    from radplan_experiments import command

    return command.run(args, given(arguments), command=shlex.join(["python", script, *arguments]))
