"""pyRadPlan, an extra: the reference for K, and the reader of matRad's files."""

from __future__ import annotations

from importlib.util import find_spec

from radplan_env import extras


def require_pyradplan(purpose: str) -> None:
    """See that pyRadPlan is there; it is not imported, which would take seconds.

    Parameters
    ----------
    purpose : str
        What needs it, as the subject of the message: "engine 'pyradplan'".

    Raises
    ------
    ImportError
        If it is not installed; the message says how to install it.
    """
    if find_spec("pyRadPlan") is None:
        raise ImportError(f"{purpose} needs pyRadPlan: {extras.command('reference')}", name="pyRadPlan")
