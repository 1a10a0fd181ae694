"""What language models saw and said in a run, for the report: from DIR/transcripts and the episodes' records."""

from radplan_experiments.reporting.transcripts.section import Section, gather

__all__ = ["Section", "gather"]
