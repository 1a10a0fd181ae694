"""A progress bar for work that goes on elsewhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm


@contextmanager
def progress(total: int, description: str, unit: str) -> Iterator[tqdm[Any]]:
    """A progress bar whose clock runs on between updates where someone watches it."""
    over = threading.Event()
    with tqdm(total=total, desc=description, unit=unit, disable=total == 0, file=sys.stderr) as bar:

        def tick() -> None:
            while not over.wait(1.0):
                bar.refresh()

        if sys.stderr.isatty():
            threading.Thread(target=tick, daemon=True).start()
        try:
            yield bar
        finally:
            over.set()
