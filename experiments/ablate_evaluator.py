"""Take GPT-RadPlan apart: which experts, memory and examples are worth their calls?"""

import sys

from radplan_experiments.commands.ablate_evaluator import main

if __name__ == "__main__":
    sys.exit(main(program=("python", sys.argv[0])))
