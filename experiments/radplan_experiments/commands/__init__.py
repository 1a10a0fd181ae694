"""What each command does, one module each: `radplan NAME` and `python experiments/NAME.py` are their doors."""
