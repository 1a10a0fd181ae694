"""The prompts in the docs are those that the model sees."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from radplan_experiments.reporting.prompts import RENDERED, rendered, rendered_console

DOCS = Path(__file__).parents[2] / "docs" / "prompts"


def without_figures(text: str) -> str:
    """A text whose numbers, and the spaces they align, say nothing: processors differ in the last digits."""
    return re.sub(r"[ -]+", " ", re.sub(r"[-+−]?\d+(\.\d+)?", "0", text))


@pytest.mark.slow
@pytest.mark.parametrize("name", RENDERED)
def test_the_docs_show_what_the_model_sees(name: str) -> None:
    written = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    message = "run `python experiments/render_prompts.py` after changing a prompt"
    assert without_figures(rendered(name, step=4)) == without_figures(written), message


@pytest.mark.slow
def test_the_docs_show_the_console() -> None:
    written = (DOCS / "console.md").read_text(encoding="utf-8")
    message = "run `python experiments/render_prompts.py` after changing a tool"
    assert without_figures(rendered_console()) == without_figures(written), message
