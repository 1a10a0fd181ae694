"""Plan training patients and keep what was learnt, as examples for gpt-radplan."""

import sys

from radplan_experiments.commands.build_library import main

if __name__ == "__main__":
    sys.exit(main(program=("python", sys.argv[0])))
