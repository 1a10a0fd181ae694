"""The one way YAML is read here: nothing given twice, nothing that means another thing than it seems to."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

_NUMBER = re.compile(
    r"[-+]?(0|[1-9]\d*)(\.\d*)?([eE][-+]?\d+)?|[-+]?\.\d+([eE][-+]?\d+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_SAYS_WHAT_IT_IS = {"bool": re.compile("true|True|TRUE|false|False|FALSE"), "int": _NUMBER, "float": _NUMBER}


class YAMLFileError(ValueError):
    """Text that is no YAML, or not unambiguous YAML; the message names the line and says what to write."""


def read_yaml(path: str | Path) -> Any:
    """Return what a YAML file holds; see `parse_yaml`.

    Raises
    ------
    YAMLFileError
        If it cannot be read, or as `parse_yaml`.
    """
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise YAMLFileError(f"cannot be read: {error}") from error
    return parse_yaml(text)


def parse_yaml(text: str) -> Any:
    """Return what a YAML text holds, in plain Python.

    Refused are a key given twice, of which YAML keeps the last, and plain words that YAML 1.1 reads as something else
    than they seem: ``01000`` (octal, 512), ``yes``, ``no``, ``on`` and ``off`` (truth values), ``1:30`` (90), ``1_000``
    and dates. In quotes all of them are text.

    Raises
    ------
    YAMLFileError
        The message names the line.
    """
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError as error:
        raise YAMLFileError(f"not valid YAML: {' '.join(str(error).split())}") from error


class _StrictLoader(yaml.CSafeLoader):
    """Safe loader that guesses nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise _refused(node, f"key {twice[0]!r} given twice")
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        kind = node.tag.rpartition(":")[2]
        plain = isinstance(node, yaml.ScalarNode) and not node.style
        if plain and kind == "timestamp":
            raise _refused(node, f"{node.value} is read as a date: put it in quotes")
        if plain and kind in _SAYS_WHAT_IT_IS and not _SAYS_WHAT_IT_IS[kind].fullmatch(node.value):
            number = f"; a number is written {node.value.replace('_', '').lstrip('0') or '0'}" if kind != "bool" else ""
            what = "true or false" if kind == "bool" else repr(super().construct_object(node, deep))
            raise _refused(node, f"{node.value} would be read as {what}: put it in quotes if it is text{number}")
        return super().construct_object(node, deep)


def _refused(node: yaml.Node, problem: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
