"""NumPy archives of a results folder, read whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

Content = TypeVar("Content")


def read(path: Path, content: Callable[[Mapping[str, Any]], Content]) -> Content:
    """Return what `content` makes of an archive's arrays, by name.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return content(file)
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged archive can fail in as many ways as zip, json and numpy know
        raise ValueError(f"{path} is damaged: {error}") from error
