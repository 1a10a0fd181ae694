"""Plan one patient in conversation with a language model.

After each plan you see what has changed since the plan it began from, where pictures of it lie, what the evaluator says
of it, and what the planner wants to change and why. Then

  Enter       go on with the change
  any words   are an instruction: the plan is judged and the change planned again with it
  undo        go back to the plan before, which costs no solve: the change is planned again from there
  table       the plan's whole table
  accept      keep this plan and end; "accept 2" keeps plan 2
  stop        end and keep the best plan

DIR/CASE/N holds the plan kept (plan.npz) and the conversation as you saw it, with its pictures (conversation.md). It is
a results folder as well, like those of compare.py, with every word between agents and model (transcripts/): `radplan
validate DIR/CASE/N` and `radplan report DIR/CASE/N` work on it. Replies are kept in DIR/replies.sqlite: nothing is paid
for twice.

  python experiments/converse.py --llm MODEL
      a synthetic prostate, with a model at OpenAI (OPENAI_API_KEY)
  python experiments/converse.py --llm local:PATH.gguf --instructions "spare the rectum before the bladder"
      with a model on this machine
  python experiments/converse.py --llm MODEL --source dicom --data PATIENT
      your own patient: numbers, structure names and, unless --model.vision no, pictures go to the model's service
  printf '\\nspare the bladder more\\naccept\\n' | python experiments/converse.py --llm MODEL
      with what you say prepared

Plans are ideal fluences, before sequencing: they are not deliverable plans yet.
"""

from __future__ import annotations

from collections.abc import Sequence

from radplan_experiments.commands.invocation import Invocation
from radplan_experiments.options import ConverseOptions

PROGRAM = ("python", "experiments/converse.py")


def main(argv: Sequence[str] | None = None, program: Sequence[str] = PROGRAM) -> int:
    """Converse; return the exit code, as `guarded` says it."""
    invoked = Invocation.of(program, argv)
    args = invoked.options(ConverseOptions, __doc__)
    from radplan_experiments.running import (  # slow to import: help and mistyped options need not wait for it
        comparison,
        conversation,
    )

    return comparison.guarded(invoked.command, lambda: conversation.run(args, invoked.command))
