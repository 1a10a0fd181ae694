"""Train a planner by reinforcement learning: PPO and SAC on relative actions, DQN on moves up and down."""

import sys

from radplan_experiments.commands.train import main

if __name__ == "__main__":
    sys.exit(main(program=("python", sys.argv[0])))
