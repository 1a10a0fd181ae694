"""How a command was started: as `radplan compare …` or as `python experiments/compare.py …`."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import tyro

from radplan_experiments.wording import program_name

Options = TypeVar("Options")

_SCRIPT = re.compile(r"python experiments/(\w+)\.py")
_NAMES = {"ablate_evaluator": "ablate", "export_plan": "export"}
"""Scripts whose command has another name."""


@dataclass(frozen=True)
class Invocation:
    """A command and its arguments.

    Parameters
    ----------
    program : tuple of str
        ``("radplan", "compare")`` or ``("python", "experiments/compare.py")``.
    arguments : tuple of str
        What follows.
    """

    program: tuple[str, ...]
    arguments: tuple[str, ...]

    @classmethod
    def of(cls, program: Sequence[str], argv: Sequence[str] | None) -> Invocation:
        """A program with the arguments given, or else those of this process."""
        return cls(tuple(program), tuple(sys.argv[1:] if argv is None else argv))

    @property
    def command(self) -> str:
        """The command line, to be repeated."""
        return shlex.join([*self.program, *self.arguments])

    @property
    def name(self) -> str:
        """What messages begin with."""
        return program_name(self.command)

    def options(self, kind: type[Options], description: str | None) -> Options:
        """Read the arguments; `--help` and wrong usage end the process.

        Parameters
        ----------
        kind : type
            Class of the options.
        description : str
            What the command does; examples in it are shown as this program is started.
        """
        if self.program[0] == "radplan":
            description = _SCRIPT.sub(lambda found: f"radplan {command_of(found[1])}", description or "")
        return tyro.cli(kind, prog=" ".join(self.program), args=self.arguments, description=description)


def command_of(script: str) -> str:
    """Return the name of a script's command: "build_library" becomes "build-library"."""
    return _NAMES.get(script, script).replace("_", "-")
