"""Plan one patient in conversation with a language model."""

import sys

from radplan_experiments.commands.converse import main

if __name__ == "__main__":
    sys.exit(main(program=("python", sys.argv[0])))
