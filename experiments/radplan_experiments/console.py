"""The command `radplan`: `radplan compare …`, `radplan --help`, `radplan --version`."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "compare": ("compare", "let agents plan the same cases with the same budget, and compare what they reach"),
    "converse": ("converse", "plan one patient in conversation with a language model"),
    "mcp": ("mcp", "serve an episode at the planner's console to any agent that speaks the Model Context Protocol"),
    "train": ("train", "train a planner by reinforcement learning"),
    "pareto": ("pareto", "trace what two dose metrics of a patient trade for each other"),
    "ablate": ("ablate_evaluator", "take GPT-RadPlan apart: which of its parts are worth their calls"),
    "build-library": ("build_library", "plan training patients and keep the plans as examples for gpt-radplan"),
    "export": ("export", "export a plan of a run as DICOM"),
    "report": ("report", "write tables, figures and report of a results folder again"),
    "validate": ("validate", "confirm the numbers in a results folder"),
    "rescore": ("rescore", "judge the plans of a results folder by the protocol as it is now"),
    "merge": ("merge", "put results folders together"),
    "attack-scorecard": ("attack_scorecard", "make plans that no physicist would sign, and see how they score"),
    "read-plans": ("read_plans", "see whether a language model finds errors that are planted in plans"),
    "render-prompts": ("render_prompts", "write what language models see to docs/prompts"),
}
"""By name: the module in `radplan_experiments.commands` and a line of help."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code. 2 is wrong usage."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0 if arguments else 2
    name, *rest = arguments
    if name == "--version":
        from radplan_env.version import __version__

        print(f"radplan_env {__version__}")
        return 0
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(COMMANDS)}"
        print(f"radplan: error: there is no command {name!r}: {hint}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"radplan_experiments.commands.{COMMANDS[name][0]}")
    code: int = module.main(rest, ("radplan", name))
    return code


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {line}" for name, (_, line) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: radplan COMMAND …",
            "",
            "Radiotherapy treatment planning as a Gymnasium environment: planning agents, compared.",
            "",
            *lines,
            "",
            "  radplan COMMAND --help   what a command does, its options and examples",
            "  radplan --version",
            "",
            "Begin with `radplan compare`: three made-up patients, planned by three agents in a few minutes.",
        ]
    )
