"""Plays agents on cases: settings of a run, its workers, its episodes, conversations and sweeps."""
