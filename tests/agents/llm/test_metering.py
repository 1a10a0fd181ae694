"""What calls cost, and that a run ends at its limits."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radplan_agents.llm import (
    BudgetExceededError,
    Ledger,
    Limits,
    Metered,
    MockClient,
    Price,
    Reply,
    Request,
    Usage,
    user,
)

REQUEST = Request(messages=(user("What next?"),))
USED = Usage(prompt_tokens=1000, cached_tokens=600, completion_tokens=200, reasoning_tokens=150)
PRICE = Price(prompt=2.5, completion=10.0, cached=1.25)


def test_a_call_by_hand() -> None:
    # 400 × 2.5 + 600 × 1.25 + 200 × 10, in millionths of a dollar
    assert PRICE.cost_usd(USED) == pytest.approx(0.00375)
    assert Price(2.5, 10.0).cost_usd(USED) == pytest.approx(0.0045)
    assert Price(0, 0).cost_usd(USED) == 0.0


@given(st.sampled_from(["prompt_tokens", "completion_tokens"]))
def test_what_is_not_known_costs_an_unknown_amount(missing: str) -> None:
    assert PRICE.cost_usd(USED.model_copy(update={missing: None})) is None


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_price_is_a_number(value: float) -> None:
    with pytest.raises(ValueError, match="US dollars"):
        Price(prompt=1.0, completion=value)


def metered(path: Path, usage: Usage = USED, price: Price | None = PRICE, **limits: float) -> Metered:
    client = MockClient([lambda request: Reply(text="Yes.", usage=usage)] * 100)
    return Metered(client, Ledger(path), price=price, limits=Limits(**limits))  # type: ignore[arg-type]


def calls_until_the_end(client: Metered) -> tuple[int, str]:
    for calls in range(100):
        try:
            client.complete(REQUEST)
        except BudgetExceededError as error:
            return calls, str(error)
    raise AssertionError("no end")


def test_a_run_ends_at_its_tokens(tmp_path: Path) -> None:
    calls, message = calls_until_the_end(metered(tmp_path / "l.sqlite", tokens=3000))
    assert calls == 3  # 1,200 each: the third crosses the limit
    assert "3,600 of the 3,000 tokens" in message and "higher limit" in message


def test_a_run_ends_at_its_money_and_remembers_it(tmp_path: Path) -> None:
    assert calls_until_the_end(metered(tmp_path / "l.sqlite", usd=0.01))[0] == 3
    assert calls_until_the_end(metered(tmp_path / "l.sqlite", usd=0.01))[0] == 0  # the command repeated
    assert calls_until_the_end(metered(tmp_path / "l.sqlite", usd=0.02))[0] == 3  # with a higher limit
    spent = Ledger(tmp_path / "l.sqlite").spent()
    assert (spent.calls, spent.tokens) == (6, 7200)
    assert spent.usd == pytest.approx(6 * 0.00375)


def test_without_a_limit_there_is_none(tmp_path: Path) -> None:
    client = metered(tmp_path / "l.sqlite", price=None)
    assert {client.complete(REQUEST).cost_usd for _ in range(50)} == {None}
    assert Ledger(tmp_path / "l.sqlite").spent().unpriced == 50


def test_a_limit_that_cannot_be_kept_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="price"):
        metered(tmp_path / "l.sqlite", price=None, usd=1.0)
    calls, message = calls_until_the_end(metered(tmp_path / "l.sqlite", usage=Usage(), tokens=3000))
    assert calls == 1
    assert "did not say how many tokens" in message
