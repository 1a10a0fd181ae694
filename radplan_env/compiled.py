"""Functions compiled by Numba, whose machine code lies in the user's cache folder.

Beside the sources, as Numba keeps it by default, it outlives an uninstall, and the folders that it holds open in
site-packages hide an editable install from Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, overload

import numba
from platformdirs import user_cache_dir

Function = Callable[..., Any]
ErrorModel = Literal["python", "numpy"]

_config: Any = numba.config


@overload
def compiled(function: Function, /) -> Function: ...


@overload
def compiled(*, error_model: ErrorModel) -> Callable[[Function], Function]: ...


def compiled(function: Any = None, /, *, error_model: ErrorModel = "python") -> Any:
    """Compile a function that runs without the interpreter's lock; as a decorator, with or without arguments.

    Where its code is kept: NUMBA_CACHE_DIR, or "radplan_env/numba" in the user's cache folder.

    Parameters
    ----------
    function : callable
    error_model : {"python", "numpy"}
        Whether dividing by zero raises, or gives infinity and NaN.
    """
    if function is None:
        return lambda later: _compiled(later, error_model)
    return _compiled(function, error_model)


def _compiled(function: Function, error_model: ErrorModel) -> Any:
    given = _config.CACHE_DIR
    _config.CACHE_DIR = given or user_cache_dir("radplan_env/numba", appauthor=False)
    try:  # the folder is chosen here, and that of other packages stays theirs
        return numba.njit(nogil=True, cache=True, error_model=error_model)(function)
    finally:
        _config.CACHE_DIR = given
