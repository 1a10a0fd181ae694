"""Let agents plan the same cases with the same budget of solves, and compare what they reach.

Every solve is recorded in DIR/episodes.jsonl; the plan that an episode hands over lies in DIR/plans.

Stop the run whenever you like: the same command goes on where it stopped.

It ends with tables (DIR/tables.md, as CSV in DIR/tables) and figures (DIR/figures).

  python experiments/compare.py
      three synthetic prostates, the three agents that come with the repository
  python experiments/compare.py --site head-and-neck --data provided-data --agents template coordinate
      the OpenKBP test patients, beside their reference plans
  python experiments/compare.py --site prostate --source dicom --data PATIENT --fidelity paper
      your own patient
  python experiments/compare.py --agents coordinate mypackage.mymodule:MyAgent --seeds 5 --jobs 8
      your own agent against the rule-based planner

Plans are ideal fluences, before sequencing: they are not deliverable plans yet.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# Run as a script: find our packages from any directory, and not our files as top-level modules.
if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    sys.path.append(str(Path.cwd()))  # agents of your own

import tyro


@dataclass
class Args:
    site: Literal["prostate", "head-and-neck", "tg119"] = "prostate"
    """Treatment site: which environment and protocol."""

    source: Literal["synthetic", "openkbp", "dicom", "matrad"] | None = None
    """Where cases come from; by default synthetic (prostate), openkbp (head-and-neck) or matrad (tg119)."""

    data: tuple[Path, ...] = ()
    """What openkbp, dicom or matrad read: the provided-data folder, or a folder or file for each patient."""

    names: Path | None = None
    """YAML file with structure names of DICOM or matRad data and their TG-263 names: "Prostate PTV: PTV_7020"."""

    split: Literal["train", "validation", "test"] = "test"
    """Part of a synthetic or OpenKBP cohort. Tune agents on train and validation, report test."""

    cases: tuple[str, ...] = ()
    """How many cases (the first so many), "all", or their ids. By default 3 synthetic prostates, else all."""

    agents: tuple[str, ...] = ("template", "random", "coordinate")
    """Agents by name, or your own as package.module:Class."""

    budget: int = 10
    """Solves (inner optimisations) an agent may spend on a case."""

    seeds: int = 1
    """Episodes of each agent on each case, with different random seeds."""

    fidelity: Literal["fast", "standard", "paper"] = "fast"
    """Dose grid and bixels: fast for trying out, paper (2.5 mm, 5 mm) for numbers to report."""

    jobs: int = 0
    """Processes, which do not change the results; each holds a dose-influence matrix. 0: one per core, at most 8."""

    retry_failed: bool = False
    """Play again what an agent failed in; otherwise it counts as played."""

    out: Path = Path("results/compare")
    """Folder for the results; a run of the same settings in it is continued."""


def main(argv: list[str] | None = None) -> int:
    """Run the comparison; return the exit code: 0 done, 1 an error, 2 wrong usage, 130 interrupted."""
    script, arguments = ("experiments/compare.py", argv) if argv is not None else (sys.argv[0], sys.argv[1:])
    args = tyro.cli(Args, args=arguments, description=__doc__)
    from experiments import comparison  # slow to import: help and mistyped options need not wait for it

    return comparison.run(args, command=shlex.join(["python", script, *arguments]))


if __name__ == "__main__":
    sys.exit(main())
