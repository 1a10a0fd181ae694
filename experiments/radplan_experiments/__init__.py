"""What people run: `compare.py` plans cases with agents, records every solve and prints the comparison."""
