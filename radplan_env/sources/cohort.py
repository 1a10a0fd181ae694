"""A cohort whose cases are read when asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from radplan_env.errors import CaseError

if TYPE_CHECKING:
    from radplan_env.case import Case


@dataclass(frozen=True, repr=False)
class Cohort(Sequence["Case"]):
    """Cases by position or by id, each read when it is asked for: a hundred patients need not fit in memory.

    Parameters
    ----------
    ids
        Case ids, such as ``"openkbp/pt_17"``.
    read
        Reads the case of an id.
    """

    ids: Sequence[str]
    read: Callable[[str], Case]

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, key: int | str) -> Case: ...
    @overload
    def __getitem__(self, key: slice) -> Cohort: ...
    def __getitem__(self, key: int | str | slice) -> Case | Cohort:
        """The case of a position or an id; a slice is a smaller cohort."""
        if isinstance(key, slice):
            return Cohort(self.ids[key], self.read)
        if isinstance(key, int):
            return self.read(self.ids[key])
        if key not in self.ids:
            raise CaseError(f"no case {key!r} in this cohort; it holds {shortened(self.ids)}")
        return self.read(key)

    def select(self, ids: Sequence[str]) -> Cohort:
        """The cohort of these ids, each a whole id or what follows its last slash.

        Raises
        ------
        CaseError
            If an id is not in the cohort.
        """
        short = {case_id.rpartition("/")[2]: case_id for case_id in self.ids}
        if unknown := [i for i in ids if i not in self.ids and i not in short]:
            raise CaseError(f"no {' '.join(unknown)} among {shortened(self.ids)}")
        return Cohort(tuple(i if i in self.ids else short[i] for i in ids), self.read)

    def __repr__(self) -> str:
        return f"<Cohort: {shortened(self.ids)}>"


def shortened(ids: Sequence[str]) -> str:
    """Ids as a text: all of them, or the first ten and how many there are."""
    return ", ".join(ids) if len(ids) <= 12 else f"{', '.join(ids[:10])}, … ({len(ids)} in all)"
