"""Plans against reference plans, criterion by criterion: what records hold of both on the same voxels, scaled alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from radplan_env.criterion import Criterion
from radplan_env.verdict.against_reference import comparable
from radplan_experiments.recording.records import Record
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import frames


@dataclass(frozen=True)
class Compared:
    """An agent's plans and the reference plans by one criterion, a value for each patient, seeds averaged.

    Parameters
    ----------
    agent : str
    criterion : Criterion
    ours, reference : ndarray, shape (patients,)
    """

    agent: str
    criterion: Criterion
    ours: NDArray[np.float64]
    reference: NDArray[np.float64]

    @property
    def difference(self) -> NDArray[np.float64]:
        """Ours minus the reference's."""
        return self.ours - self.reference

    @property
    def gain(self) -> NDArray[np.float64]:
        """By how much ours lies further on the side that the criterion asks for."""
        return -self.difference if self.criterion.upper else self.difference


def comparisons(settings: Settings, records: Iterable[Record]) -> Iterator[Compared]:
    """Yield what is known of each criterion and agent; the D95 that both plans are scaled to is left out."""
    protocol, frame = settings.protocol, _values(records)
    for name, criterion in comparable(protocol).items():
        if name == f"{protocol.primary.structure} D95%":
            continue
        for agent in settings.agents:
            own = frame[(frame["criterion"] == name) & (frame["agent"] == agent)]
            if not own.empty:
                by_case = own.groupby("case")[["ours", "reference"]].mean().to_numpy(dtype=float)
                yield Compared(agent, criterion, by_case[:, 0], by_case[:, 1])


def _values(records: Iterable[Record]) -> pd.DataFrame:
    rows = [
        (record["agent"], record["case"], name, ours, both["reference"][name])
        for record in frames.complete(records)
        if (both := record.get("against_reference")) is not None
        for name, ours in both["ours"].items()
    ]
    return pd.DataFrame(rows, columns=["agent", "case", "criterion", "ours", "reference"])
