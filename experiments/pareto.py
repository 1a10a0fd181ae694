"""Trace what two dose metrics of a patient trade for each other, by wishes in words and by weights."""

import sys

from radplan_experiments.commands.pareto import main

if __name__ == "__main__":
    sys.exit(main(program=("python", sys.argv[0])))
