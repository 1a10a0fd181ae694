"""Own rows against verdict, CPU seconds, and whether fidelities agree on the order of agents. Training patients only.

Every agent plans every patient at every fidelity; its plan with the best verdict counts. Printed are

- for each plan: own rows, verdict, the factor to D95 = Rx, the score at half the spacing of the verdict's points (with
  `--halved`), and the CPU seconds of a step; their medians by fidelity;
- the CPU seconds of one full and one sampled verdict, and how the two differ;
- Kendall's tau between fidelities over the agents' mean scores.

  python benchmarks/planners.py --patients 2 --fidelities fast standard
  python benchmarks/planners.py --site head-and-neck --data open-kbp/provided-data --patients 1
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from time import process_time
from typing import Literal

# Run as a script: find our packages from any directory.
if not __package__:
    root = Path(__file__).resolve().parent.parent
    sys.path[:1] = [str(root), str(root / "agents")]

import numpy as np
import tyro
from scipy import stats

from benchmarks import scorecard
from benchmarks.machine import print_figures, print_machine
from radplan_env.case import Case
from radplan_env.env import RadPlanEnv

AGENTS = ("template", "coordinate", "wish-list", "bayes-gp", "random", "nelder-mead", "cma-es", "bayes-tpe")


@dataclass
class Args:
    site: Literal["prostate", "head-and-neck"] = "prostate"
    """Synthetic prostates of the training split, or OpenKBP's training patients."""
    data: Path | None = None
    """Folder of OpenKBP's provided-data."""
    patients: int = 1
    """How many patients, from the first."""
    agents: tuple[str, ...] = AGENTS
    """Who plans."""
    fidelities: tuple[str, ...] = ("fast", "standard")
    """What plans are optimised on."""
    budget: int = 4
    """Solves of an episode."""
    halved: bool = False
    """Whether to judge on points at half the spacing as well."""


@dataclass
class Found:
    """An agent's best plan of a patient at a fidelity."""

    fidelity: str
    case: str
    agent: str
    judged: scorecard.Judged
    step_cpu_s: float
    verdict_cpu_s: float
    sampled_cpu_s: float


def main(args: Args) -> None:
    print_machine()
    own = scorecard.Args(site=args.site, data=args.data, patients=args.patients)
    found = [
        survey(case, agent, fidelity, args)
        for case in scorecard.cases(own)
        for fidelity in args.fidelities
        for agent in args.agents
    ]
    figures: dict[str, float] = {}
    for fidelity in args.fidelities:
        some = [each for each in found if each.fidelity == fidelity]
        figures |= {f"{fidelity}: {name}": round(value, 3) for name, value in medians(some).items()}
    for one, other in combinations(args.fidelities, 2):
        scores = [[mean_score(found, fidelity, agent) for agent in args.agents] for fidelity in (one, other)]
        figures[f"Kendall's tau, {one} and {other}"] = round(float(stats.kendalltau(*scores).statistic), 3)
    print_figures("planners", figures)


def survey(case: Case, agent: str, fidelity: str, args: Args) -> Found:
    env = RadPlanEnv(protocol=args.site, cases=[case], fidelity=fidelity, budget=args.budget, progress=False)
    env.reset(seed=0)  # K is computed here
    started, before = process_time(), env.system.solves
    plan = scorecard.best_plan(env, agent)
    step_cpu_s = (process_time() - started) / max(env.system.solves - before, 1)
    system = env.system
    k = system._beams(plan.gantry_angles_deg, plan.collimator_angles_deg).k

    def seconds(kind: Literal["full", "sampled"]) -> float:
        system.judge.judge(k.beams, k.bixels, plan.solution.fluence, kind)  # traces
        began = process_time()
        for _ in range(3):
            system.judge.judge(k.beams, k.bixels, plan.solution.fluence, kind)
        return (process_time() - began) / 3

    judged = scorecard.judge(plan, env, agent, args.halved)
    found = Found(fidelity, case.id, agent, judged, step_cpu_s, seconds("full"), seconds("sampled"))
    print(
        f"{fidelity} {scorecard.line(judged)}, scaled by {plan.scaled_by:.4f}, a step {step_cpu_s:.2f} CPU s",
        flush=True,
    )
    return found


def medians(found: list[Found]) -> dict[str, float]:
    off = np.array([each.judged.own_rows - each.judged.verdict for each in found])
    sampled = np.array([each.judged.sampled - each.judged.verdict for each in found])
    result = {
        "own rows less verdict, median": float(np.median(off)),
        "own rows less verdict, largest": float(np.abs(off).max()),
        "sampled less full, mean": float(sampled.mean()),
        "sampled less full, standard deviation": float(sampled.std()),
        "CPU s of a step, tracing included, median": float(np.median([each.step_cpu_s for each in found])),
        "CPU s of a full verdict, median": float(np.median([each.verdict_cpu_s for each in found])),
        "CPU s of a sampled verdict, median": float(np.median([each.sampled_cpu_s for each in found])),
    }
    finer = [abs(each.judged.halved - each.judged.verdict) for each in found if each.judged.halved is not None]
    return result | ({"half the spacing moves a score by, at most": max(finer)} if finer else {})


def mean_score(found: list[Found], fidelity: str, agent: str) -> float:
    return float(np.mean([each.judged.verdict for each in found if (each.fidelity, each.agent) == (fidelity, agent)]))


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
