"""The digest of a scorecard's code: it changes with what is computed, and only then."""

from __future__ import annotations

import importlib
import linecache
import sys
from pathlib import Path
from typing import Any

import pytest

from radplan_env import metrics
from radplan_env.scorecards import code_digest as module
from radplan_env.scorecards import load_scorecard, v0
from radplan_env.scorecards.code_digest import code_digest

SOURCE = """
LIMIT = 0.8

def helper(x):
    return LIMIT * x

def score(x):
    return helper(x) + 1

def unused(x):
    return x
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [("LIMIT = 0.8", "LIMIT = 0.1"), ("LIMIT * x", "LIMIT + x"), ("+ 1", "+ 2"), ("helper(x) +", "helper(x + x) +")],
)
def test_code_and_constants_count(old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _digest(SOURCE, tmp_path, monkeypatch) != _digest(SOURCE.replace(old, new), tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def score(x):", 'def score(x: float) -> float:\n    """Say what it is."""'),
        ("return helper(x) + 1", "# a comment\n    return (helper(x)\n        + 1)"),
        ("def unused(x):\n    return x", "def unused(x):\n    return 2 * x"),
        ("LIMIT = 0.8", "\n\nOTHER = 3\nLIMIT = 0.8"),
    ],
)
def test_comments_docstrings_types_layout_and_what_is_not_used_do_not(
    old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _digest(SOURCE, tmp_path, monkeypatch) == _digest(SOURCE.replace(old, new), tmp_path, monkeypatch)


def test_v0_covers_its_constants_and_the_metrics_it_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    scorecard = load_scorecard("v0")
    before = scorecard.digest
    assert scorecard.digest == before
    with monkeypatch.context() as patch:
        patch.setattr(v0, "CREDIT_AT_LIMIT", 0.1)
        assert scorecard.digest != before
    with monkeypatch.context() as patch:
        patch.setattr(metrics, "mean_dose", metrics.max_dose)
        assert scorecard.digest != before
    assert scorecard.digest == before


def _digest(source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (folder / "toy_scorecard.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    sys.modules.pop("toy_scorecard", None)
    module._tree.cache_clear()
    importlib.invalidate_caches()
    linecache.clearcache()
    toy: Any = importlib.import_module("toy_scorecard")
    return code_digest([toy.score], ["toy_scorecard"])
