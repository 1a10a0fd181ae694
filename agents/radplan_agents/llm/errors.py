"""Why a run stops because of its model's service.

These say nothing about the model's skill, so none of them is held against the agent: the run stops, and the same
command goes on where it stopped. What a model says wrongly is no error but a `structured.Failed`.
"""

from __future__ import annotations

from collections.abc import Sequence

from radplan_agents.agent import EpisodeInterruptedError


class ModelError(EpisodeInterruptedError):
    """There is no reply; the message says why and what to do."""


class SettingsError(ModelError):
    """No model can be reached with what was given."""


class NoModelError(SettingsError):
    """No model is named, or there is no key for it: who can do without goes on without."""


class BudgetExceededError(ModelError):
    """The run has spent its tokens or its money."""


class CacheMissError(ModelError):
    """Only replies in the cache may be used, and this one is not there."""


class ServiceError(ModelError):
    """The service gave no reply.

    Parameters
    ----------
    message : str
        What it said, or what happened.
    fault : str
        Its name in the record: "rate_limited", "server_error", "timeout", "connection", "malformed_response",
        "oversized_response", "out_of_credit", "no_access", "not_found" or "rejected".
    transient : bool
        Whether asking again may help.
    status : int, optional
        HTTP status, where there was one.
    parameter : str, optional
        The request's parameter that it complains of, where it says.
    retry_after_s : float, optional
        How long it asks to be left alone.
    faults : sequence of str
        The names of every attempt's fault, this one last; by default this one alone.
    """

    def __init__(
        self,
        message: str,
        *,
        fault: str = "rejected",
        transient: bool = False,
        status: int | None = None,
        parameter: str | None = None,
        retry_after_s: float | None = None,
        faults: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.fault = fault
        self.transient = transient
        self.status = status
        self.parameter = parameter
        self.retry_after_s = retry_after_s
        self.faults = tuple(faults) or (fault,)
