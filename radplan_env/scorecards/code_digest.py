"""A digest of code: it changes with what is computed, not with comments, docstrings, types or layout.

Covered are the functions given and every function, class and plain constant of the same packages that they reach by a
global name, as the interpreter would look it up. Not covered are methods of objects handed in (name those that matter
among the functions given) and other packages, such as NumPy.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

_MEANINGLESS = {"annotation", "returns", "type_comment", "kind", "type_params"}
_PLAIN = (int, float, complex, str, bytes, type(None))


def code_digest(functions: Iterable[Callable[..., Any]], packages: Iterable[str]) -> str:
    """Return the SHA-256, in hexadecimal, of what functions compute; see the module.

    Parameters
    ----------
    functions : iterable of callable
    packages : iterable of str
        Top-level packages whose code counts.
    """
    found: dict[str, str] = {}
    _add(list(functions), frozenset(packages), found)
    text = "\n".join(f"{name} = {found[name]}" for name in sorted(found))
    return hashlib.sha256(text.encode()).hexdigest()


def _add(pending: list[Any], packages: frozenset[str], found: dict[str, str]) -> None:
    while pending:
        item = inspect.unwrap(pending.pop())
        name = _name(item)
        if name in found or item.__module__.partition(".")[0] not in packages:
            continue
        if isinstance(item, type):
            found[name] = repr(_canonical(_node(item)))
            pending += _methods(item)
            continue
        found[name] = repr(_canonical(_node(item)))
        for global_name, value in _globals(item):
            if isinstance(value, FunctionType | type):
                pending.append(value)
            elif _is_plain(value):
                found[f"{item.__module__}.{global_name}"] = repr(value)


def _name(item: Any) -> str:
    line = f":{_position(item.__code__)}" if "<lambda>" in item.__qualname__ else ""
    return f"{item.__module__}.{item.__qualname__}{line}"


def _position(code: CodeType) -> str:
    """What tells a lambda from others, wherever in the file it stands: its instructions' names and constants."""
    return repr((code.co_names, code.co_varnames, [each for each in code.co_consts if isinstance(each, _PLAIN)]))


def _methods(kind: type) -> Iterator[Any]:
    file = sys.modules[kind.__module__].__file__
    for value in vars(kind).values():
        inner = getattr(value, "fget", None) or getattr(value, "func", None) or getattr(value, "__func__", value)
        # Methods that dataclasses generate have no source of their own: the class's fields say what they do.
        if isinstance(inner, FunctionType) and inspect.unwrap(inner).__code__.co_filename == file:
            yield inner


def _globals(function: Any) -> Iterator[tuple[str, Any]]:
    """Name and value of everything global that a function looks up."""
    for name in sorted(set(_names(function.__code__))):
        if name not in function.__globals__:
            continue
        value = function.__globals__[name]
        if isinstance(value, ModuleType):
            yield from (
                (f"{name}.{each}", vars(value)[each]) for each in _names(function.__code__) if each in vars(value)
            )
        else:
            yield name, value


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | frozenset):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(_is_plain(each) for pair in value.items() for each in pair)
    return isinstance(value, _PLAIN)


@lru_cache
def _tree(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(sys.modules[module]))


def _node(item: Any) -> ast.AST:
    """The syntax tree of a function or class, found by where it stands in its file."""
    if isinstance(item, type):
        line, kinds = inspect.getsourcelines(item)[1], (ast.ClassDef,)
    else:
        line, kinds = item.__code__.co_firstlineno, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)  # type: ignore[assignment]
    for node in ast.walk(_tree(item.__module__)):
        if isinstance(node, kinds):
            first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
            if line in (first, node.lineno):
                return node
    raise ValueError(f"the source of {item.__module__}.{item.__qualname__} cannot be found: it cannot be digested")


def _canonical(node: Any) -> Any:
    """A syntax tree as nested tuples, the same for every version of Python, without what computes nothing."""
    if isinstance(node, list):
        return [_canonical(each) for each in node]
    if not isinstance(node, ast.AST):
        return node
    fields = {name: value for name, value in ast.iter_fields(node) if name not in _MEANINGLESS}
    body = fields.get("body")
    if isinstance(body, list) and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        fields["body"] = [each for each in body if not _is_docstring(each)]
    kept = [(name, _canonical(value)) for name, value in fields.items() if value is not None and value != []]
    return (type(node).__name__, *kept)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
