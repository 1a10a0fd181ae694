"""What the DVH expert reports: it names criteria, and code puts their figures beside the names."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import create_model

from radplan_agents.criteria import Criterion, criterion_name
from radplan_agents.gpt_radplan.schema import Answer, prose, some_of
from radplan_agents.gpt_radplan.tables import margin_in_words, tight_and_roomy
from radplan_agents.gpt_radplan.task import Task

MOST_NAMED = 3
"""Criteria that may be named as tight, or as having room."""


class DVHReport(Answer):
    """What the DVH expert says of a plan.

    Parameters
    ----------
    tight, room : list of str
        Criteria that are met with little to spare, and with much.
    remark : str
        What the histograms show beyond that.
    """

    tight: list[str]
    room: list[str]
    remark: str

    def text(self, criteria: Sequence[Criterion]) -> str:
        """Return the report with the figures of the criteria it names."""
        stands = {criterion_name(criterion): margin_in_words(criterion) for criterion in criteria}
        lines = [
            f"{title}: {', '.join(f'{name} ({stands[name]})' for name in dict.fromkeys(names)) or 'nothing'}"
            for title, names in (("Tight", self.tight), ("Room", self.room))
        ]
        return "\n".join([*lines, self.remark.strip()])


def report_on(criteria: Sequence[Criterion], task: Task) -> type[DVHReport]:
    """Return the form of a report on a plan with these criteria: what is tight and what has room is arithmetic."""
    tight, roomy = (
        (some_of(names, most=MOST_NAMED, fault="unknown_criterion"), ...) for names in tight_and_roomy(criteria, task)
    )
    return create_model("DVHReport", __base__=DVHReport, tight=tight, room=roomy, remark=(prose(170), ...))
