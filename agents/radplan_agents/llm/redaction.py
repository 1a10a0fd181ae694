"""Keeps the API key out of whatever a service says back."""

from __future__ import annotations

from typing import Any

PLACEHOLDER = "[API key]"

SHORTEST = 8
"""What is shorter is no secret but a word such as "none" or "EMPTY", given to services that ask for no key."""


def redact(value: Any, secret: str) -> Any:
    """Return plain JSON data with every occurrence of a secret in its strings, keys included, replaced."""
    if len(secret) < SHORTEST:
        return value
    if isinstance(value, str):
        return value.replace(secret, PLACEHOLDER)
    if isinstance(value, dict):
        return {redact(key, secret): redact(item, secret) for key, item in value.items()}
    if isinstance(value, list):
        return [redact(item, secret) for item in value]
    return value
