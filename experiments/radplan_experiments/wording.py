"""Numbers, lists and commands in sentences."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path


def counted(number: int, noun: str) -> str:
    """A number of things: "1 case", "3 cases"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Names as a sentence lists them: "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def program_name(command: str) -> str:
    """What the messages of a command line begin with: "radplan compare", or the name of its script, "compare.py"."""
    first, second, *_ = shlex.split(command)
    return f"radplan {second}" if first == "radplan" else Path(second).name
