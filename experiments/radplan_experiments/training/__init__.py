"""Training of policies by reinforcement learning: what `experiments/train.py` does."""
