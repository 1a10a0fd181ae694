"""Does a language model see what is wrong with a plan? Sensitivity and false alarms for planted errors."""

import sys

from radplan_experiments.commands.read_plans import main

if __name__ == "__main__":
    sys.exit(main(program=("python", sys.argv[0])))
