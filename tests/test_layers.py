"""The house as data: which room may import which. Every import counts, in functions and under TYPE_CHECKING too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "radplan_env": ROOT / "radplan_env",
    "radplan_agents": ROOT / "agents" / "radplan_agents",
    "radplan_experiments": ROOT / "experiments" / "radplan_experiments",
}
"""From the lowest to the highest."""

LAYERS: tuple[tuple[str, ...], ...] = (
    (
        "compiled",
        "errors",
        "extras",
        "grid",
        "lazy",
        "notebook",
        "threads",
        "version",
        "reference",
        "structure_names",
        "plugins",
    ),
    ("radiobiology", "metrics", "distance"),
    ("yaml_files", "beam_angles", "beam_models", "info"),
    ("bound", "criterion", "dose_view", "limits", "beams", "tracing", "case", "skin", "sites"),
    ("scorecards", "slots", "protocol_checks"),
    ("parameters", "sources", "influence", "dose", "fluence", "delivery"),
    ("protocol",),
    ("evaluation", "actions", "render"),
    ("verdict",),
    ("planning", "observations", "rewards"),
    ("systems", "discrete", "cohorts"),
    ("export", "export_plan", "episode", "env", "machine_parameters"),
    ("console",),
    ("integrations",),
    ("vector",),
    ("stable_baselines",),
)
"""Rooms of radplan_env, from the lowest: a room imports rooms of its own row and of lower ones."""

FORBIDDEN = {
    "radplan_env.metrics": ("radplan_env.errors", "radplan_env.grid", "radplan_env.structure_names"),
    "radplan_env.radiobiology": ("radplan_env",),
    "radplan_env.fluence": ("radplan_env.protocol", "radplan_env.influence", "radplan_env.verdict", "gymnasium"),
    "radplan_env.influence": ("radplan_env.protocol", "radplan_env.fluence", "radplan_env.verdict", "gymnasium"),
    "radplan_agents": ("radplan_env.verdict",),
    "radplan_env.dose": ("radplan_env.protocol", "radplan_env.fluence", "radplan_env.influence", "gymnasium"),
    "radplan_env.delivery": ("radplan_env.protocol", "gymnasium"),
    "radplan_env.scorecards": ("radplan_env.protocol", "gymnasium"),
    "radplan_env.sources": ("radplan_env.protocol", "gymnasium"),
    "radplan_experiments.options": ("radplan_experiments",),
    "radplan_experiments.recording": ("radplan_experiments.commands", "radplan_experiments.auditing"),
    "radplan_experiments.reporting": ("radplan_experiments.commands", "radplan_experiments.auditing"),
    "radplan_experiments.running": ("radplan_experiments.commands", "radplan_experiments.auditing"),
    "radplan_experiments.training": ("radplan_experiments.commands", "radplan_experiments.auditing"),
    "radplan_experiments.auditing": ("radplan_experiments.commands",),
}
"""What a room must not import, where the rows do not say it."""

LONGEST_FILE = 480


@cache
def modules() -> dict[str, Path]:
    """Every module, by name."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in folder.rglob("*.py"):
            parts = (package, *path.relative_to(folder).with_suffix("").parts)
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


@cache
def imports(module: str) -> frozenset[str]:
    """What a module imports: modules of ours, and the packages of others."""
    return frozenset(_ours(name) for name in _imported(module)) - {module}


def _imported(module: str) -> Iterator[str]:
    path = modules()[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _ours(name: str) -> str:
    """The module of ours that a name lies in; of a name of others, their package."""
    if name.partition(".")[0] not in PACKAGES:
        return name.partition(".")[0]
    while name not in modules():
        name = name.rpartition(".")[0]
    return name


def _within(module: str, room: str) -> bool:
    return f"{module}.".startswith(f"{room}.")


def test_no_module_imports_itself_through_others() -> None:
    settled: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " → ".join([*above[above.index(module) :], module])
        if module in settled:
            return
        for imported in imports(module) & modules().keys():
            visit(imported, (*above, module))
        settled.add(module)

    for module in modules():
        visit(module, ())
    assert len(settled) > 150


def test_packages_import_lower_packages_only() -> None:
    order = list(PACKAGES)
    upward = [
        (module, imported)
        for module in modules()
        for imported in imports(module) & modules().keys()
        if order.index(imported.partition(".")[0]) > order.index(module.partition(".")[0])
    ]
    assert not upward


def test_rooms_of_the_environment_import_their_row_and_lower_ones() -> None:
    row = {f"radplan_env.{room}": number for number, rooms in enumerate(LAYERS) for room in rooms}
    upward, homeless = [], set()
    for module in modules():
        room = ".".join(module.split(".")[:2])
        if module.partition(".")[0] != "radplan_env" or module == "radplan_env":
            continue
        if room not in row:
            homeless.add(room)
            continue
        for imported in imports(module) & modules().keys():
            there = ".".join(imported.split(".")[:2])
            if row.get(there, -1) > row[room]:
                upward.append((module, imported))
    assert not homeless, "write down in LAYERS where these belong"
    assert not upward


def test_rooms_keep_away_from_what_is_not_theirs() -> None:
    wrong = [
        (module, imported)
        for room, forbidden in FORBIDDEN.items()
        for module in modules()
        if _within(module, room)
        for imported in imports(module)
        if any(_within(imported, name) and not _within(imported, room) for name in forbidden)
    ]
    assert not wrong


def test_metrics_need_numpy_only() -> None:
    assert imports("radplan_env.metrics") - {"radplan_env.radiobiology"} <= {
        "numpy",
        "re",
        "math",
        "dataclasses",
        "collections",
        "typing",
        "__future__",
    }


def test_doors_hold_no_code() -> None:
    for script in (ROOT / "experiments").glob("*.py"):
        assert len(script.read_text(encoding="utf-8").splitlines()) <= 10, script


def test_no_file_is_long() -> None:
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules().items()}
    assert not {name: count for name, count in lines.items() if count > LONGEST_FILE}
