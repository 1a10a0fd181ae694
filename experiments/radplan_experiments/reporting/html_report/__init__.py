"""The report of a run as one HTML file that needs nothing else: figures inside it, no script, no network."""

from radplan_experiments.reporting.html_report.page import shown, write
from radplan_experiments.reporting.html_report.picture import Picture

__all__ = ["Picture", "shown", "write"]
