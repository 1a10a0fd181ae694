"""Files that are whole or not there, and names that are fit for them."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

UNFINISHED = ".unfinished-"
"""How the names of files begin that are not whole yet."""


def slug(name: str) -> str:
    """A name made fit for a path: "openkbp/pt_17" becomes "openkbp-pt_17"."""
    return re.sub(r"[^\w.]+", "-", name).strip("-.")


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it there in one step.

    A reader, or a run killed half-way, sees the old file or the new one, never half of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED, suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def fill_atomically(folder: Path, fill: Callable[[Path], object]) -> None:
    """Let `fill` put files into a temporary folder beside `folder`, then put that there in one step.

    Raises
    ------
    OSError
        If `folder` is there already and not empty.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=UNFINISHED) as temporary:
        whole = Path(temporary) / folder.name
        whole.mkdir()
        fill(whole)
        whole.replace(folder)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file atomically."""
    write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def new_folder(parent: Path) -> Path:
    """Make an empty folder, named by its number, beside those of earlier times."""
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        try:
            (parent / str(number)).mkdir()
        except FileExistsError:
            number += 1
        else:
            return parent / str(number)
