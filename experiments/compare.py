"""Let agents plan the same cases with the same budget of solves, and compare what they reach."""

import sys

from radplan_experiments.commands.compare import main

if __name__ == "__main__":
    sys.exit(main(program=("python", sys.argv[0])))
