"""How to install what an extra brings."""

from __future__ import annotations


def command(extra: str) -> str:
    """Return the command, for messages of what is missing."""
    return f"pip install -e '.[{extra}]' in the checkout"
