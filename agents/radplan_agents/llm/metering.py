"""What calls use and cost, and the limits of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from radplan_agents.llm.chat import ChatClient, Reply, Request, Usage
from radplan_agents.llm.database import transaction
from radplan_agents.llm.errors import BudgetExceededError


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens, from the provider's price list on the day of the run.

    None is built in: prices change, and a wrong one is worse than none.

    Parameters
    ----------
    prompt, completion : float
        Price of tokens sent and received. Reasoning tokens count as received.
    cached : float, optional
        Price of sent tokens that the service had seen before; by default that of `prompt`.
    """

    prompt: float
    completion: float
    cached: float | None = None

    def __post_init__(self) -> None:
        for value in (self.prompt, self.completion, self.cached or 0.0):
            if not 0 <= value < float("inf"):
                raise ValueError(f"a price must be 0 or more US dollars for a million tokens, not {value}")

    def cost_usd(self, usage: Usage) -> float | None:
        """Cost of a call in US dollars, None where the service did not say what was used."""
        if usage.prompt_tokens is None or usage.completion_tokens is None:
            return None
        cached_tokens = usage.cached_tokens or 0
        cached = self.prompt if self.cached is None else self.cached
        prompt = (usage.prompt_tokens - cached_tokens) * self.prompt + cached_tokens * cached
        return (prompt + usage.completion_tokens * self.completion) / 1e6


FREE = Price(0.0, 0.0)
"""Of a model on one's own machine."""


@dataclass(frozen=True)
class Limits:
    """What a run may spend; None is no limit. The call that crosses a limit is the last one.

    Parameters
    ----------
    tokens : int, optional
        Prompt and completion tokens.
    usd : float, optional
        US dollars.
    """

    tokens: int | None = None
    usd: float | None = None


@dataclass(frozen=True)
class Spent:
    """What a run has spent. `unmeasured` calls told no tokens, `unpriced` calls have no known price."""

    calls: int
    tokens: int
    usd: float
    unmeasured: int
    unpriced: int


class Ledger:
    """Every call that a run paid for, on disk: shared by its processes, and kept when they are killed.

    Parameters
    ----------
    path : Path
        An SQLite file, made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with transaction(self._path) as database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS calls (prompt_tokens INTEGER, cached_tokens INTEGER, "
                "completion_tokens INTEGER, reasoning_tokens INTEGER, cost_usd REAL)"
            )

    def add(self, usage: Usage, cost_usd: float | None) -> None:
        """Enter one call."""
        row = (
            usage.prompt_tokens,
            usage.cached_tokens,
            usage.completion_tokens,
            usage.reasoning_tokens,
            cost_usd,
        )
        with transaction(self._path) as database:
            database.execute("INSERT INTO calls VALUES (?, ?, ?, ?, ?)", row)

    def add_all(self, other: Ledger) -> None:
        """Enter every call of another ledger."""
        with transaction(other._path) as database:
            rows = database.execute("SELECT * FROM calls").fetchall()
        with transaction(self._path) as database:
            database.executemany("INSERT INTO calls VALUES (?, ?, ?, ?, ?)", rows)

    def spent(self) -> Spent:
        """Add up all calls of all processes so far."""
        with transaction(self._path) as database:
            row = database.execute(
                "SELECT COUNT(*), SUM(COALESCE(prompt_tokens, 0) + COALESCE(completion_tokens, 0)), "
                "TOTAL(cost_usd), SUM(prompt_tokens IS NULL OR completion_tokens IS NULL), SUM(cost_usd IS NULL) "
                "FROM calls"
            ).fetchone()
        calls, tokens, usd, unmeasured, unpriced = row
        return Spent(calls, tokens or 0, usd, unmeasured or 0, unpriced or 0)


class Metered:
    """Prices every reply, enters it into the ledger, and stops the run at its limits.

    Parameters
    ----------
    client : ChatClient
        Who is asked.
    ledger : Ledger
        What the run has spent so far.
    price : Price, optional
        Without it costs are None.
    limits : Limits
        What the run may spend.

    Raises
    ------
    ValueError
        If money is limited but the price not known.
    """

    def __init__(
        self, client: ChatClient, ledger: Ledger, *, price: Price | None = None, limits: Limits | None = None
    ) -> None:
        limits = limits or Limits()
        if limits.usd is not None and price is None:
            raise ValueError("a limit in US dollars needs the model's price for a million tokens")
        self._client = client
        self._ledger = ledger
        self._price = price
        self._limits = limits

    def complete(self, request: Request) -> Reply:
        """Return the reply to a request; see `ChatClient`.

        Raises
        ------
        BudgetExceededError
            If the run has spent what it may, or the service does not say what a limited run spends.
        """
        self._check()
        reply = self._client.complete(request)
        cost_usd = self._price.cost_usd(reply.usage) if self._price else None
        self._ledger.add(reply.usage, cost_usd)
        return reply.model_copy(update={"cost_usd": cost_usd})

    def _check(self) -> None:
        limits = self._limits
        if limits == Limits():
            return
        spent = self._ledger.spent()
        if spent.unmeasured:
            raise BudgetExceededError(
                f"the service did not say how many tokens {spent.unmeasured} of {spent.calls} calls used, so the run's "
                "limit cannot be kept; repeat the command without a limit to go on"
            )
        for name, value, limit in (("tokens", spent.tokens, limits.tokens), ("US dollars", spent.usd, limits.usd)):
            if limit is not None and value >= limit:
                raise BudgetExceededError(
                    f"the run has spent {value:,.6g} of the {limit:,.6g} {name} it may; "
                    "repeat the command with a higher limit to go on"
                )
