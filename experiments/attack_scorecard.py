"""Make plans that no physicist would sign, and see what the scorecard says of them."""

import sys

from radplan_experiments.commands.attack_scorecard import main

if __name__ == "__main__":
    sys.exit(main(program=("python", sys.argv[0])))
