"""The apertures of every solve of an episode whose plans are delivered, on disk: from them each can be replayed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from radplan_env.delivery.delivered import Delivery
from radplan_experiments.recording import archive


def save(path: Path, deliveries: Sequence[Delivery]) -> None:
    """Write deliveries, in the order of the solves."""
    arrays: dict[str, Any] = {}
    for number, delivery in enumerate(deliveries, start=1):
        arrays |= {f"{name}_{number}": array for name, array in delivery.arrays().items()}
    headers = json.dumps([delivery.header() for delivery in deliveries])
    with path.open("wb") as file:
        np.savez_compressed(file, headers=np.array(headers), **arrays)


def load(path: Path) -> list[Delivery]:
    """Read what `save` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged.
    """
    return archive.read(path, _deliveries)


def _deliveries(held: Mapping[str, Any]) -> list[Delivery]:
    headers, names = json.loads(str(held["headers"])), ("left_mm", "right_mm", "monitor_units")
    return [
        Delivery.read(header, {name: held[f"{name}_{number}"] for name in names})
        for number, header in enumerate(headers, start=1)
    ]
