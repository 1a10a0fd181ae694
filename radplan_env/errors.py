"""Errors shared by cases and their sources."""


class CaseError(ValueError):
    """A case that cannot be planned on; the message names the structure, array or file and the remedy."""
