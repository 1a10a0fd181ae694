"""Every word that a model is given, as Jinja templates beside this file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from radplan_agents.llm import Image, Message, Text, system, user


def conversation(name: str, *after: Text | Image, **values: Any) -> list[Message]:
    """Return the messages that ask one of the experts.

    Parameters
    ----------
    name : str
        Who is asked: the templates NAME.system.md and NAME.user.md.
    *after : Text or Image
        What follows the user's text: pictures and what they show.
    **values
        What the templates need; one that is missing is an error.
    """
    return [system(render(f"{name}.system", **values)), user(render(f"{name}.user", **values), *after)]


def render(name: str, **values: Any) -> str:
    """Return a template's text."""
    return _environment().get_template(f"{name}.md").render(values).strip()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # Markdown for a model, not HTML
    )
    environment.filters["quoted"] = _quoted
    return environment


def _quoted(text: str) -> str:
    """Text as a block quotation: where it ends is plain, whatever it says."""
    return "\n".join(f"> {line}" for line in text.splitlines())
