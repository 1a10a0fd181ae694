"""Serve one episode at the planner's console over the Model Context Protocol: any agent that speaks it can plan.

The server offers the console's tools (docs/console.md) and nothing else; every plan costs a solve of the budget. When
the episode ends, by `finish` or as the client goes, its record is written to DIR/CASE/N, a results folder like those of
compare.py: `radplan validate DIR/CASE/N` confirms it.

  radplan mcp
      the first synthetic validation patient, ten solves, over standard input and output
  radplan mcp --suite prostate-v1 --case synthetic/test/3 --out results/my-agent
      a case of a suite
  radplan mcp --site head-and-neck --data provided-data --http 8000
      over HTTP on this machine, at http://127.0.0.1:8000/mcp

Needs the package mcp: pip install -e '.[mcp]' in the checkout. Plans are ideal fluences, before sequencing.
"""

from __future__ import annotations

from collections.abc import Sequence

from radplan_experiments.commands.invocation import Invocation
from radplan_experiments.options import MCPOptions, given

PROGRAM = ("radplan", "mcp")


def main(argv: Sequence[str] | None = None, program: Sequence[str] = PROGRAM) -> int:
    """Serve until the client goes; return the exit code, as `guarded` says it."""
    invoked = Invocation.of(program, argv)
    args = invoked.options(MCPOptions, __doc__)
    from radplan_experiments.running import (  # slow to import: help and mistyped options need not wait for it
        comparison,
        mcp_server,
    )

    named = given(invoked.arguments)
    return comparison.guarded(invoked.command, lambda: mcp_server.run(args, named, invoked.command))
