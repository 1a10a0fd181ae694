"""The fluence of every solve of an episode, on disk: from it each plan can be had again without solving."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radplan_experiments.recording import archive

Fluence = NDArray[np.float64]


def save(path: Path, fluences: Sequence[Fluence]) -> None:
    """Write fluences, each of shape (bixels,), in the order of the solves.

    In double precision: rounded to single precision, plans would not replay to the very numbers recorded.
    """
    arrays: dict[str, Any] = {f"solve_{number}": fluence for number, fluence in enumerate(fluences, start=1)}
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load(path: Path) -> list[Fluence]:
    """Read what `save` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged.
    """
    return archive.read(path, lambda held: [held[f"solve_{number}"] for number in range(1, len(held) + 1)])
