"""Write what the model of GPT-RadPlan sees to docs/prompts: each call of one step, for a prostate and a neck."""

import sys

from radplan_experiments.commands.render_prompts import main

if __name__ == "__main__":
    sys.exit(main(program=("python", sys.argv[0])))
