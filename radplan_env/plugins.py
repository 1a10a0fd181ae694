"""What other packages add: sites, sources and agents that register through an entry-point group."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import TypeVar

T = TypeVar("T")


class PluginError(ValueError):
    """Something another package registers cannot be used; the message names the package and the entry point."""


class Registry(Mapping[str, T]):
    """Values by name: those of this package first, then those that other packages register.

    Listing the names imports nothing. A plugin is imported when it is first looked up, so that one that fails stands
    in nobody's way until it is asked for.

    Parameters
    ----------
    group : str
        Entry-point group, such as "radplan_env.sites".
    built_in : Mapping[str, T]
        Values of this package, by name.
    load : callable
        Turns an entry point into a value; what it raises becomes a `PluginError`.
    """

    def __init__(self, group: str, built_in: Mapping[str, T], load: Callable[[EntryPoint], T]) -> None:
        self.group = group
        self.built_in = dict(built_in)
        self._load = cache(load)

    def __iter__(self) -> Iterator[str]:
        yield from self.built_in
        yield from sorted(self._plugins().keys() - self.built_in.keys())

    def __len__(self) -> int:
        return len(set(self.built_in) | set(self._plugins()))

    def __contains__(self, name: object) -> bool:
        return name in self.built_in or name in self._plugins()

    def __getitem__(self, name: str) -> T:
        """Return the value of a name.

        Raises
        ------
        KeyError
            If nothing has this name.
        PluginError
            If two packages use the name, or the plugin cannot be loaded.
        """
        plugins = self._plugins().get(name, ())
        if len(plugins) + (name in self.built_in) > 1:
            owners = ["radplan_env"] * (name in self.built_in) + [_package(plugin) for plugin in plugins]
            raise PluginError(
                f"{' and '.join(owners)} register {name!r} in {self.group}: uninstall one, or rename its entry point"
            )
        if not plugins:
            return self.built_in[name]
        try:
            return self._load(plugins[0])
        except PluginError:
            raise
        except Exception as error:  # another package's module may raise anything
            raise PluginError(
                f"{_described(plugins[0], self.group)} cannot be loaded: {type(error).__name__}: {error}"
            ) from error

    def _plugins(self) -> dict[str, tuple[EntryPoint, ...]]:
        found: dict[str, tuple[EntryPoint, ...]] = {}
        for plugin in _entry_points(tuple(sys.path), self.group):
            same = found.get(plugin.name, ())
            if plugin.value not in [other.value for other in same]:  # an editable install may be listed twice
                found[plugin.name] = (*same, plugin)
        return found


def object_of(kind: type[T], group: str) -> Callable[[EntryPoint], T]:
    """Return a loader for entry points that name an object of type `kind` whose `id` is the entry point's name."""

    def load(plugin: EntryPoint) -> T:
        found = plugin.load()
        if not isinstance(found, kind):
            raise PluginError(
                f"{_described(plugin, group)} is a {type(found).__name__}: it must name a {kind.__name__} object"
            )
        if (own := getattr(found, "id", plugin.name)) != plugin.name:
            raise PluginError(f"{_described(plugin, group)} has the id {own!r}: make the two names equal")
        return found

    return load


@cache
def _entry_points(path: tuple[str, ...], group: str) -> EntryPoints:
    """The entry points of a group on a search path; it takes time to look through all installed packages."""
    return entry_points(group=group)


def _described(plugin: EntryPoint, group: str) -> str:
    return f"{plugin.name} = {plugin.value} ({group}, package {_package(plugin)})"


def _package(plugin: EntryPoint) -> str:
    return plugin.dist.name if plugin.dist is not None else "unknown"
